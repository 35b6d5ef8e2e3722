//! What happens to the seats of a site beside reservations and enrollments: computers that knock and are admitted, copies of
//! one computer, and installs at a time.
//!
//! Invariant: as for [changes](super::activity): fields are only added, and optional. No secret stands in them: of a nonce
//! only its digest, of a computer that is reached over ssh only what everybody may know.

use jiff::Timestamp;
use sealpost_keys::PublicKey;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::{ClientId, ComputerName, Platform, SetupId};
use sealpost_manifests::wire::contact::InstalledPackage;
use serde::{Deserialize, Serialize};

use crate::rules::came_by::CameBy;
use crate::rules::schedule::{InstallOutcome, Schedule};

/// A computer asked to be enrolled and proved no code; it takes no seat and waits in a bounded list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ComputerKnocked {
    /// The name that it gave.
    pub name: ComputerName,
    /// The key that it showed.
    pub client_key: PublicKey,
    /// The IP address that it came from.
    pub source: String,
    /// What it can run.
    pub platform: Platform,
    /// The agent's version.
    pub agent_version: String,
    /// What left the full list for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drops: Option<Dropped>,
}

/// What leaves the list of those who wait.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dropped {
    /// The name.
    pub name: ComputerName,
    /// Its key; absent for one that was seen before keys were noted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_key: Option<PublicKey>,
}

/// An admin admitted a computer by its key: with that key it enrolls under the name. Earlier codes of the name are void.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ComputerAdmitted {
    /// The name, which holds a seat.
    pub name: ComputerName,
    /// The key.
    pub client_key: PublicKey,
    /// Stands for the admission, as a setup file's id stands for its code.
    pub setup: SetupId,
    /// After it the key is admitted no more.
    pub expires_at: Timestamp,
}

/// One of the computers that use the identity of a client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopySeen {
    /// The client.
    pub client_id: ClientId,
    /// Digest of the nonce from which this computer goes on, which the other does not know.
    pub branch: Sha256Digest,
    /// When it made the contact that showed it.
    pub seen_at: Timestamp,
    /// How that came here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub came_by: Option<CameBy>,
    /// The name that it gives itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// What digests its machine and boot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<Sha256Digest>,
    /// The agent's version.
    pub agent_version: String,
    /// What it runs; the first few, if it is many.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub packages: Vec<InstalledPackage>,
}

/// An admin said which of two copies goes on. It makes a key of its own, and with that the old key is dead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopyResolved {
    /// The client.
    pub client_id: ClientId,
    /// Its name.
    pub name: ComputerName,
    /// The branch that goes on, as in [`CopySeen::branch`].
    pub keep: Sha256Digest,
    /// Why, for whoever reads the log later.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub comment: String,
}

/// When, and how, an agent is to be installed on a computer that holds a seat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScheduleChanged {
    /// The computer.
    pub name: ComputerName,
    /// What is planned from now on; absent when it was called off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<Schedule>,
}

/// An admin's program began to install an agent over ssh, or says what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstallTried {
    /// The computer.
    pub name: ComputerName,
    /// Which try, from 1.
    pub attempt: u32,
    /// What became of it.
    pub outcome: InstallOutcome,
    /// Why, in the words of whoever tried; empty for one that began or went well.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// What a computer proved when it enrolled.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EnrolledBy {
    /// The code of a setup file.
    #[default]
    Code,
    /// The key that an admin admitted.
    Admission,
    /// That it is the copy which an admin kept: it has the nonce and the old key.
    Copy,
}

impl EnrolledBy {
    /// Whether it is what every enrollment proved before there was another way.
    #[must_use]
    pub fn is_code(&self) -> bool {
        *self == Self::Code
    }
}
