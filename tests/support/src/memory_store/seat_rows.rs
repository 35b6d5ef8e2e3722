//! What is kept of computers that knock, copies of one computer, and installs at a time.

use std::collections::BTreeMap;

use jiff::Timestamp;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::{ClientId, ComputerName};
use sealpost_site::changes::{Actor, ComputerKnocked, CopySeen, InstallTried};
use sealpost_site::rules::schedule::Schedule;

/// As the module says.
#[derive(Debug, Clone, Default)]
pub(super) struct Seats {
    /// By name, and the Base64 text of the key.
    pub(super) knocks: BTreeMap<(ComputerName, String), Knock>,
    /// By client and branch.
    pub(super) copies: BTreeMap<(ClientId, Sha256Digest), CopySeen>,
    /// Which copy of a client goes on, and whether the ledger was restored since.
    pub(super) kept: BTreeMap<ClientId, (Sha256Digest, bool)>,
    /// Clients that were replaced by a copy of theirs, and their names.
    pub(super) given_up: BTreeMap<ClientId, ComputerName>,
    pub(super) schedules: BTreeMap<ComputerName, Planned>,
}

/// A computer that knocked.
#[derive(Debug, Clone)]
pub(super) struct Knock {
    pub(super) knocked: ComputerKnocked,
    pub(super) seen_at: Timestamp,
    pub(super) sequence: u64,
}

/// An install that is planned.
#[derive(Debug, Clone)]
pub(super) struct Planned {
    pub(super) schedule: Schedule,
    pub(super) planned_at: Timestamp,
    pub(super) planned_by: Actor,
    /// The last try, and when it was noted.
    pub(super) tried: Option<(InstallTried, Timestamp)>,
}

impl Seats {
    /// A computer enrolled: nobody of its name waits any more.
    pub(super) fn is_here(&mut self, name: &ComputerName) {
        self.knocks.retain(|(waits, _), _| waits != name);
        self.schedules.remove(name);
    }

    /// The copies of a client, by their branches.
    pub(super) fn branches(&self, client_id: &ClientId) -> Vec<Sha256Digest> {
        let copies = self.copies.keys().filter(|(of, _)| of == client_id);
        copies.map(|(_, branch)| *branch).collect()
    }

    /// A client is gone.
    pub(super) fn forget(&mut self, client_id: &ClientId) {
        self.copies.retain(|(of, _), _| of != client_id);
        self.kept.remove(client_id);
    }
}
