//! Computers that wait, copies of one computer, and installs at a time, as they are listed.

use jiff::Timestamp;
use sealpost_keys::PublicKey;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::{ClientId, ComputerName, Platform};
use sealpost_manifests::wire::contact::InstalledPackage;

use crate::rules::account::Actor;
use crate::rules::came_by::CameBy;
use crate::rules::copies::Kept;
use crate::rules::install_tries::{InstallPlan, LastTry};
use crate::rules::schedule::{InstallOutcome, Schedule};

/// A computer that asked to be enrolled and waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitingRow {
    /// The name that it gave.
    pub name: ComputerName,
    /// The address that it came from.
    pub source: String,
    /// When it came first.
    pub seen_at: Timestamp,
    /// The entry that says so.
    pub sequence: u64,
    /// Its key and what it said of itself; `None` of one that came before these were noted.
    pub knock: Option<KnockRow>,
    /// Whether its name holds a seat.
    pub reserved: bool,
    /// Whether another computer is enrolled under its name.
    pub enrolled: bool,
}

/// What a computer that waits said of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnockRow {
    /// Its key.
    pub client_key: PublicKey,
    /// What it can run.
    pub platform: Platform,
    /// The agent's version.
    pub agent_version: String,
}

/// The computers that use the identity of one client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopiesRow {
    /// The client.
    pub client_id: ClientId,
    /// Whether there are two.
    pub forked: bool,
    /// What an admin decided.
    pub kept: Kept,
    /// Those that showed themselves, the first first; two at most.
    pub copies: Vec<CopyRow>,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyRow {
    /// Digest of the nonce from which it goes on.
    pub branch: Sha256Digest,
    /// When it made the contact that showed it.
    pub seen_at: Timestamp,
    /// How that came here.
    pub came_by: Option<CameBy>,
    /// The name that it gives itself.
    pub hostname: Option<String>,
    /// What digests its machine and boot.
    pub instance: Option<Sha256Digest>,
    /// The agent's version.
    pub agent_version: String,
    /// What it runs; the first few, if it is many.
    pub packages: Vec<InstalledPackage>,
}

/// An install that is planned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScheduleRow {
    /// On which computer.
    pub name: ComputerName,
    /// When and how.
    pub schedule: Schedule,
    /// When it was planned.
    pub planned_at: Timestamp,
    /// By whom.
    pub planned_by: Actor,
    /// The last try.
    pub tried: Option<TriedRow>,
}

/// A try to install.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TriedRow {
    /// Which, from 1.
    pub attempt: u32,
    /// What became of it.
    pub outcome: InstallOutcome,
    /// Why.
    pub reason: String,
    /// When that was noted.
    pub at: Timestamp,
}

impl ScheduleRow {
    /// What decides about its next try.
    #[must_use]
    pub fn plan(&self) -> InstallPlan {
        let Schedule { at, ssh } = &self.schedule;
        InstallPlan { at: *at, over_ssh: ssh.is_some(), last: self.tried.as_ref().map(TriedRow::last) }
    }
}

impl TriedRow {
    fn last(&self) -> LastTry {
        LastTry { attempt: self.attempt, outcome: self.outcome, at: self.at }
    }
}

/// An install that is planned, in the list of computers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedRow {
    /// When.
    pub at: Timestamp,
    /// Whether it goes over ssh.
    pub over_ssh: bool,
    /// The last try.
    pub tried: Option<TriedRow>,
}

impl PlannedRow {
    /// What decides about its next try.
    #[must_use]
    pub fn plan(&self) -> InstallPlan {
        let Self { at, over_ssh, tried } = self;
        InstallPlan { at: *at, over_ssh: *over_ssh, last: tried.as_ref().map(TriedRow::last) }
    }
}
