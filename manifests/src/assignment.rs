//! The assignment: what one computer should run, as the site decided it. Signed with the site key.
//!
//! It can only choose among vendor-signed releases; the agent checks the vendor's whole chain all the same. A rollback
//! goes only to a release that this computer ran and kept: the agent bounds it (`domain::rollback` there).

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::digest::Sha256Digest;
use crate::document::Document;
use crate::ids::{ClientId, ServerId};
use crate::order::{Epoch, Order, Ordered, Signer};
use crate::release::ReleaseId;
use crate::word::{Word, open_codes};

/// Longest text for people in an assignment, in bytes.
pub const MAX_WHY_BYTES: usize = 500;

open_codes! {
    /// What is to be done with the named release. An agent skips an action that it does not know, and says so.
    Action {
        /// Install it.
        Install = "install",
        /// Go back to it; it was kept on the computer.
        Rollback = "rollback",
    }
}

open_codes! {
    /// Who starts an install. One that an agent does not know is not started.
    Start {
        /// The agent.
        Automatic = "automatic",
        /// A person at the computer; the agent makes ready and offers it. The deadline overrides.
        ByPerson = "by_person",
    }
}

open_codes! {
    /// How soon an assignment is to be carried out.
    Urgency {
        /// As the method of delivery says.
        Normal = "normal",
        /// Before other work, within the window.
        Critical = "critical",
        /// At once, without waiting for a maintenance window.
        Emergency = "emergency",
    }
}

/// Why a computer gets what it gets, for people and for programs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Why {
    /// A stable code.
    pub code: Word,
    /// One sentence; at most [`MAX_WHY_BYTES`].
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub text: String,
}

/// How far a person at the computer may put an install off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Postpone {
    /// How often.
    pub times: u32,
    /// Not beyond this time.
    pub until: Timestamp,
}

/// What one computer should run of one package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackageAssignment {
    /// What is to be done.
    pub action: Action,
    /// The release that the computer is to run afterwards.
    pub release: ReleaseId,
    /// Digest of its manifest, which was approved.
    pub manifest: Sha256Digest,
    /// Not to be downloaded before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub download_from: Option<Timestamp>,
    /// Not to be installed before: the window opens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub install_from: Option<Timestamp>,
    /// Not to be installed after: the window closes, and the computer waits for its next assignment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub install_until: Option<Timestamp>,
    /// To be installed by: from then on neither window nor person holds it back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Timestamp>,
    /// Who starts it.
    #[serde(default = "automatic", skip_serializing_if = "is_automatic")]
    pub start: Start,
    /// How far a person may put it off; absent: not at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub postpone: Option<Postpone>,
    /// How soon it is to be carried out.
    #[serde(default = "normal", skip_serializing_if = "is_normal")]
    pub urgency: Urgency,
    /// Why it is assigned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<Why>,
    /// The rollout that it belongs to; reports name it.
    pub rollout: u64,
    /// The ring of the rollout.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ring: Option<String>,
    /// Raised when an admin retries; an agent never retries the same (release, attempt) by itself after a rollback.
    pub attempt: u32,
}

const fn automatic() -> Start {
    Start::Automatic
}

const fn normal() -> Urgency {
    Urgency::Normal
}

fn is_automatic(start: &Start) -> bool {
    *start == Start::Automatic
}

fn is_normal(urgency: &Urgency) -> bool {
    *urgency == Urgency::Normal
}

impl PackageAssignment {
    /// Installs a release at once, as most assignments do.
    #[must_use]
    pub const fn install(release: ReleaseId, manifest: Sha256Digest, rollout: u64, attempt: u32) -> Self {
        Self {
            action: Action::Install,
            release,
            manifest,
            download_from: None,
            install_from: None,
            install_until: None,
            deadline: None,
            start: Start::Automatic,
            postpone: None,
            urgency: Urgency::Normal,
            why: None,
            rollout,
            ring: None,
            attempt,
        }
    }
}

/// An assignment: one entry per package that the computer is to have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assignment {
    /// The client that it is for.
    pub client_id: ClientId,
    /// The server that issued it.
    pub server_id: ServerId,
    /// Who signed it.
    pub signer: Signer,
    /// See [`crate::order`].
    pub epoch: Epoch,
    /// Rises with each assignment of the client.
    pub sequence: u64,
    /// When it was signed.
    pub issued_at: Timestamp,
    /// After it the agent installs nothing from it.
    pub expires_at: Timestamp,
    /// When the server last judged the vendor's metadata fresh; the agent takes it as TUF's `now`.
    pub metadata_as_of: Timestamp,
    /// What to run, one entry for each package.
    pub packages: Vec<PackageAssignment>,
}

impl Document for Assignment {
    const TYPE: &'static str = "assignment";
    const VERSION: u32 = 2;

    fn trusted_comment(&self) -> String {
        format!("assignment client={} epoch={} sequence={}", self.client_id, self.epoch.0, self.sequence)
    }
}

impl Ordered for Assignment {
    fn client_id(&self) -> &ClientId {
        &self.client_id
    }

    fn server_id(&self) -> &ServerId {
        &self.server_id
    }

    fn signer(&self) -> Signer {
        self.signer
    }

    fn order(&self) -> Order {
        Order { epoch: self.epoch, sequence: self.sequence }
    }
}
