//! What the store holds: one collection per noun, and the latest note of each key.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use sealpost_keys::PublicKey;
use sealpost_manifests::assignment::Assignment;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::document::SignedDocument;
use sealpost_manifests::grant::Grant;
use sealpost_manifests::ids::{
    ChannelName, ClientId, ComputerName, Nonce, PackageName, Platform, SerialNumber,
};
use sealpost_manifests::lease::Lease;
use sealpost_manifests::wire::contact::InstalledPackage;
use sealpost_manifests::wire::report::Report;
use sealpost_site::changes::chain::LinkedEntry;
use sealpost_site::changes::{ContactAnswer, Note, NoteKey};
use sealpost_site::commands::pulls::PullFacts;
use sealpost_site::rows::{ReleaseRow, ServerIdentity};
use sealpost_site::rules::assignment::AssignedRelease;

/// Everything that was committed, or that one transaction sees.
#[derive(Debug, Clone, Default)]
pub(super) struct State {
    /// The log, by sequence.
    pub(super) log: BTreeMap<u64, Arc<LinkedEntry>>,
    pub(super) server: Option<ServerIdentity>,
    pub(super) licenses: BTreeMap<SerialNumber, License>,
    pub(super) reservations: BTreeMap<ComputerName, Reservation>,
    pub(super) setups: BTreeMap<ComputerName, Setup>,
    pub(super) pending: BTreeMap<ComputerName, Pending>,
    pub(super) clients: BTreeMap<ClientId, Client>,
    /// The client that holds a name.
    pub(super) client_of: BTreeMap<ComputerName, ClientId>,
    /// By manifest. Counts and deltas are empty here, and are filled in when a row is read.
    pub(super) releases: BTreeMap<Sha256Digest, ReleaseRow>,
    /// Bytes by (target, base).
    pub(super) deltas: BTreeMap<(Sha256Digest, Sha256Digest), u64>,
    pub(super) pull: PullFacts,
    pub(super) notes: BTreeMap<NoteKey, Note>,
}

/// The newest grant of a serial number.
#[derive(Debug, Clone)]
pub(super) struct License {
    pub(super) grant: Grant,
    pub(super) document: SignedDocument,
    /// The entry that accepted it.
    pub(super) accepted: u64,
    /// Names that hold a seat of it.
    pub(super) used: u32,
    /// Those of them whose computer enrolled.
    pub(super) active: u32,
}

#[derive(Debug, Clone)]
pub(super) struct Reservation {
    pub(super) channel: ChannelName,
    pub(super) serial: SerialNumber,
    pub(super) reserved_at: Timestamp,
}

#[derive(Debug, Clone)]
pub(super) struct Setup {
    pub(super) code_sha256: Sha256Digest,
    pub(super) used_by: Option<ClientId>,
}

/// A computer without a seat that asked to be enrolled.
#[derive(Debug, Clone)]
pub(super) struct Pending {
    pub(super) seen_at: Timestamp,
    pub(super) sequence: u64,
}

#[derive(Debug, Clone)]
pub(super) struct Client {
    pub(super) name: ComputerName,
    pub(super) client_key: PublicKey,
    pub(super) platform: Platform,
    pub(super) agent_version: String,
    pub(super) enrolled_at: Timestamp,
    pub(super) forked: bool,
    /// The highest sequence that was issued to it.
    pub(super) sequence: u64,
    /// The end of its newest lease.
    pub(super) lease_until: Option<Timestamp>,
    pub(super) had_assignment: bool,
    pub(super) acknowledged_report: u64,
    pub(super) assigned: BTreeMap<PackageName, AssignedRelease>,
    pub(super) last_reports: BTreeMap<PackageName, LastReport>,
}

#[derive(Debug, Clone)]
pub(super) struct LastReport {
    pub(super) report: Report,
    pub(super) failed: bool,
}

/// What a client said of itself last.
pub(super) struct Seen<'a> {
    pub(super) platform: &'a Platform,
    pub(super) agent_version: &'a str,
    pub(super) installed: &'a [InstalledPackage],
}

/// The last contact of a client.
pub(super) struct Answered<'a> {
    pub(super) previous: Option<&'a Nonce>,
    pub(super) next: &'a Nonce,
    pub(super) at: Timestamp,
    pub(super) answer: &'a ContactAnswer,
}

impl State {
    /// The client that holds a name.
    pub(super) fn client_named(&self, name: &ComputerName) -> Option<(&ClientId, &Client)> {
        self.client_of.get(name).and_then(|client_id| self.clients.get_key_value(client_id))
    }

    /// The license that a name's seat comes from.
    pub(super) fn license_of(&self, name: &ComputerName) -> Option<&License> {
        self.reservations.get(name).and_then(|reservation| self.licenses.get(&reservation.serial))
    }

    pub(super) fn seen(&self, client_id: &ClientId) -> Option<Seen<'_>> {
        match self.notes.get(&NoteKey::ClientSeen(client_id.clone())) {
            Some(Note::ClientSeen { platform, agent_version, installed, .. }) => {
                Some(Seen { platform, agent_version, installed })
            }
            _ => None,
        }
    }

    pub(super) fn answered(&self, client_id: &ClientId) -> Option<Answered<'_>> {
        match self.notes.get(&NoteKey::ContactAnswered(client_id.clone())) {
            Some(Note::ContactAnswered { previous, next, at, answer, .. }) => {
                Some(Answered { previous: previous.as_ref(), next, at: *at, answer })
            }
            _ => None,
        }
    }

    pub(super) fn lease_sent(&self, client_id: &ClientId) -> Option<&Lease> {
        match self.notes.get(&NoteKey::LeaseSent(client_id.clone())) {
            Some(Note::LeaseSent { lease }) => Some(lease),
            _ => None,
        }
    }

    pub(super) fn assignment_sent(&self, client_id: &ClientId) -> Option<&Assignment> {
        match self.notes.get(&NoteKey::AssignmentSent(client_id.clone())) {
            Some(Note::AssignmentSent { assignment }) => Some(assignment),
            _ => None,
        }
    }

    pub(super) fn pull_tried_at(&self) -> Option<Timestamp> {
        match self.notes.get(&NoteKey::PullTried) {
            Some(Note::PullTried { at }) => Some(*at),
            _ => None,
        }
    }

    pub(super) fn metadata_as_of(&self) -> Option<Timestamp> {
        match self.notes.get(&NoteKey::MetadataFresh) {
            Some(Note::MetadataFresh { as_of }) => Some(*as_of),
            _ => None,
        }
    }

    pub(super) fn noted_floor(&self) -> Option<Timestamp> {
        match self.notes.get(&NoteKey::TimeFloor) {
            Some(Note::TimeFloor { floor }) => Some(*floor),
            _ => None,
        }
    }
}
