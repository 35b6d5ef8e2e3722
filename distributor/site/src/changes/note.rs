//! What is remembered without being chained: the second and last way in which state changes.
//!
//! Invariant: the latest note of a key wins, so that replaying them in order gives the same state. A note proves
//! nothing to an auditor, and nothing that an auditor asks for is only a note.

use jiff::Timestamp;
use sealpost_manifests::assignment::Assignment;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::{ClientId, Nonce, Platform, Tag};
use sealpost_manifests::lease::Lease;
use sealpost_manifests::license_time::VendorStatement;
use sealpost_manifests::order::Order;
use sealpost_manifests::wire::contact::{InstalledPackage, Postponed};
use serde::{Deserialize, Serialize};

use crate::rules::came_by::CameBy;
use crate::rules::restore::Progress;
use crate::rules::rollouts::cadence::Cadence;

/// One note.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Note {
    /// A contact was answered.
    ContactAnswered {
        /// The client.
        client_id: ClientId,
        /// The nonce that it knew before.
        previous: Option<Nonce>,
        /// The nonce that it knows since.
        next: Nonce,
        /// License time of the contact.
        at: Timestamp,
        /// What it was answered, for retries.
        answer: ContactAnswer,
        /// How far the client has come.
        progress: Progress,
        /// The order of the server list that it says it holds.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        server_list: Option<Order>,
        /// How long it pauses between contacts.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cadence: Option<Cadence>,
    },
    /// A client said something new about itself.
    ClientSeen {
        /// The client.
        client_id: ClientId,
        /// Its platform.
        platform: Platform,
        /// The version of its agent.
        agent_version: String,
        /// Digest of its machine's and boot's ids.
        instance: Option<Sha256Digest>,
        /// The name that it gives itself.
        hostname: Option<String>,
        /// What it runs, sorted by package.
        installed: Vec<InstalledPackage>,
        /// What it ran before of these packages, where it was another release.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        before: Vec<InstalledPackage>,
        /// The tags of its configuration.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        tags: Vec<Tag>,
        /// What is put off there.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        postponed: Vec<Postponed>,
        /// How its last contact came.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        came_by: Option<CameBy>,
    },
    /// A client was sent a new lease.
    LeaseSent {
        /// The lease, unsigned.
        lease: Lease,
    },
    /// A client was sent a new assignment.
    AssignmentSent {
        /// The assignment, unsigned.
        assignment: Assignment,
    },
    /// A pull was tried.
    PullTried {
        /// License time of the try.
        at: Timestamp,
    },
    /// The vendor's metadata was found fresh.
    MetadataFresh {
        /// License time at which it was.
        as_of: Timestamp,
    },
    /// License time is not before this.
    TimeFloor {
        /// The floor.
        floor: Timestamp,
    },
    /// The newest statement of the vendor about the time, which bounds the floor from both sides.
    VendorStatement {
        /// What it says.
        statement: VendorStatement,
    },
    /// A ring has been watched so long: time in which the server ran.
    RingSoaked {
        /// The rollout.
        rollout: u64,
        /// The ring, from 0.
        ring: u32,
        /// For so many milliseconds.
        soaked_millis: u64,
    },
}

/// What a contact was answered, so that a retry gets the same.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ContactAnswer {
    /// Whether the newest lease went with it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub lease: bool,
    /// Whether the newest assignment went with it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub assignment: bool,
    /// The head that the client witnessed when it asked: a proof starts there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_head: Option<u64>,
    /// Reports up to this id are on disk.
    #[serde(default)]
    pub acknowledged_report: u64,
    /// For the person at the computer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notice: Option<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
const fn is_false(flag: &bool) -> bool {
    !*flag
}

/// By what a note replaces an earlier one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum NoteKey {
    /// One per client.
    ContactAnswered(ClientId),
    /// One per client.
    ClientSeen(ClientId),
    /// One per client.
    LeaseSent(ClientId),
    /// One per client.
    AssignmentSent(ClientId),
    /// One per ledger.
    PullTried,
    /// One per ledger.
    MetadataFresh,
    /// One per ledger.
    TimeFloor,
    /// One per ledger.
    VendorStatement,
    /// One per ring of a rollout.
    RingSoaked(u64, u32),
}

impl Note {
    /// Its key.
    #[must_use]
    pub fn key(&self) -> NoteKey {
        match self {
            Self::ContactAnswered { client_id, .. } => NoteKey::ContactAnswered(client_id.clone()),
            Self::ClientSeen { client_id, .. } => NoteKey::ClientSeen(client_id.clone()),
            Self::LeaseSent { lease } => NoteKey::LeaseSent(lease.client_id.clone()),
            Self::AssignmentSent { assignment } => NoteKey::AssignmentSent(assignment.client_id.clone()),
            Self::PullTried { .. } => NoteKey::PullTried,
            Self::MetadataFresh { .. } => NoteKey::MetadataFresh,
            Self::TimeFloor { .. } => NoteKey::TimeFloor,
            Self::VendorStatement { .. } => NoteKey::VendorStatement,
            Self::RingSoaked { rollout, ring, .. } => NoteKey::RingSoaked(*rollout, *ring),
        }
    }
}
