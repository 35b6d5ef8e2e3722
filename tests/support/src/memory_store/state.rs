//! What the store holds: one collection per noun, and the latest note of each key.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use sealpost_keys::{PublicKey, SealingPublicKey};
use sealpost_manifests::assignment::{Assignment, PackageAssignment};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::document::SignedDocument;
use sealpost_manifests::grant::Grant;
use sealpost_manifests::ids::Tag;
use sealpost_manifests::ids::{
    ChannelName, ClientId, ComputerName, EraId, Nonce, PackageName, Platform, RequestId, SerialNumber,
    SetupId,
};
use sealpost_manifests::lease::Lease;
use sealpost_manifests::license_time::VendorStatement;
use sealpost_manifests::log::{Frontier, LogHead};
use sealpost_manifests::order::{HighestOrders, Order};
use sealpost_manifests::wire::contact::{InstalledPackage, Postponed};
use sealpost_manifests::wire::report::Report;
use sealpost_manifests::word::Word;
use sealpost_site::changes::chain::LinkedEntry;
use sealpost_site::changes::{ContactAnswer, Note, NoteKey};
use sealpost_site::commands::pulls::PullFacts;
use sealpost_site::rows::{DriftRow, KnownServerList, ReleaseRow, ResumedRow, ServerIdentity};
use sealpost_site::rules::came_by::CameBy;
use sealpost_site::rules::restore::{Acknowledged, Progress, RestoreState};
use sealpost_site::rules::rollouts::cadence::Cadence;
use sealpost_site::rules::test_load::TestLoad;

use super::rolling::Rolling;
use super::seat_rows::Seats;

/// Everything that was committed, or that one transaction sees.
#[derive(Debug, Clone, Default)]
pub(super) struct State {
    /// The log, by sequence.
    pub(super) log: BTreeMap<u64, Arc<Logged>>,
    /// The tree over the log.
    pub(super) tree: Frontier,
    pub(super) server: Option<ServerIdentity>,
    pub(super) server_list: Option<KnownServerList>,
    pub(super) restore: RestoreState,
    /// Who has seen the last restore.
    pub(super) acknowledged: Option<Acknowledged>,
    /// Registrations that told the vendor of the last restore.
    pub(super) restore_requests: BTreeSet<RequestId>,
    pub(super) licenses: BTreeMap<SerialNumber, License>,
    pub(super) computers: BTreeMap<ComputerName, Computer>,
    pub(super) setups: BTreeMap<ComputerName, Setup>,
    pub(super) pending: BTreeMap<ComputerName, Pending>,
    pub(super) seats: Seats,
    pub(super) clients: BTreeMap<ClientId, Client>,
    /// The client that holds a name.
    pub(super) client_of: BTreeMap<ComputerName, ClientId>,
    /// Clients whose name another client holds since.
    pub(super) replaced: BTreeSet<ClientId>,
    /// By manifest. Counts and deltas are empty here, and are filled in when a row is read.
    pub(super) releases: BTreeMap<Sha256Digest, ReleaseRow>,
    /// Bytes by (target, base).
    pub(super) deltas: BTreeMap<(Sha256Digest, Sha256Digest), u64>,
    /// The newest test-load of each release.
    pub(super) tests: BTreeMap<Sha256Digest, TestLoad>,
    /// The number of the reset of a package's counter that was applied last.
    pub(super) counter_resets: BTreeMap<PackageName, u64>,
    pub(super) pull: PullFacts,
    pub(super) rolling: Rolling,
    pub(super) notes: BTreeMap<NoteKey, Note>,
}

/// An entry, and the head of the log with it.
#[derive(Debug)]
pub(super) struct Logged {
    pub(super) linked: LinkedEntry,
    pub(super) head: LogHead,
}

/// The newest grant of a serial number. How many of its seats are used is counted when somebody asks.
#[derive(Debug, Clone)]
pub(super) struct License {
    pub(super) grant: Grant,
    pub(super) document: SignedDocument,
    /// The entry that accepted it.
    pub(super) accepted: u64,
}

/// A name that holds seats.
#[derive(Debug, Clone)]
pub(super) struct Computer {
    pub(super) channel: ChannelName,
    pub(super) reserved_at: Timestamp,
    /// The serial numbers whose seats it holds.
    pub(super) serials: BTreeSet<SerialNumber>,
    /// Those of them with which a computer of this name had a lease.
    pub(super) leased: BTreeSet<SerialNumber>,
}

#[derive(Debug, Clone)]
pub(super) struct Setup {
    pub(super) setup: SetupId,
    pub(super) issued_at: Timestamp,
    pub(super) expires_at: Timestamp,
    pub(super) used_by: Option<ClientId>,
    /// The key of a computer that was admitted; nobody has a code then.
    pub(super) admitted_key: Option<PublicKey>,
    /// Whether the ledger was restored after it.
    pub(super) before_restore: bool,
}

/// A computer without a seat that asked to be enrolled.
#[derive(Debug, Clone)]
pub(super) struct Pending {
    pub(super) source: String,
    pub(super) seen_at: Timestamp,
    pub(super) sequence: u64,
}

/// A client.
#[derive(Debug, Clone)]
pub(super) struct Client {
    pub(super) name: ComputerName,
    pub(super) client_key: PublicKey,
    /// `None` of a client that came back with its lease, which does not name it.
    pub(super) sealing_key: Option<SealingPublicKey>,
    pub(super) platform: Platform,
    pub(super) agent_version: String,
    pub(super) enrolled_at: Timestamp,
    /// The era in which it came into the ledger.
    pub(super) era: EraId,
    /// The size of the head in the lease that it came back with, if it did not enroll.
    pub(super) resumed_head: Option<u64>,
    pub(super) forked: bool,
    /// The highest order that was issued to it or shown by it, of each type of document.
    pub(super) orders: HighestOrders,
    /// The end of its newest lease.
    pub(super) lease_until: Option<Timestamp>,
    pub(super) acknowledged_report: u64,
    pub(super) assigned: BTreeMap<PackageName, PackageAssignment>,
    pub(super) last_reports: BTreeMap<PackageName, LastReport>,
    /// Its last resumption, and the era of that.
    pub(super) resumed: Option<(EraId, ResumedRow)>,
    pub(super) log_fork: Option<LogFork>,
    pub(super) drift: BTreeMap<PackageName, DriftRow>,
    /// Attempts of its own, by manifest.
    pub(super) attempts: BTreeMap<Sha256Digest, u32>,
}

impl Client {
    /// The highest order of a type of document.
    pub(super) fn order(&self, kind: &str) -> Option<Order> {
        self.orders.get(&Word::new(kind).ok()?).copied()
    }
}

/// Two heads that do not fit each other.
#[derive(Debug, Clone)]
pub(super) struct LogFork {
    pub(super) held: LogHead,
    pub(super) seen: LogHead,
    pub(super) at: Timestamp,
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
    pub(super) instance: Option<Sha256Digest>,
    pub(super) hostname: Option<&'a str>,
    pub(super) installed: &'a [InstalledPackage],
    pub(super) before: &'a [InstalledPackage],
    pub(super) tags: &'a [Tag],
    pub(super) postponed: &'a [Postponed],
    pub(super) came_by: Option<CameBy>,
}

/// The last contact of a client.
pub(super) struct Answered<'a> {
    pub(super) previous: Option<&'a Nonce>,
    pub(super) next: &'a Nonce,
    pub(super) at: Timestamp,
    pub(super) answer: &'a ContactAnswer,
    pub(super) progress: &'a Progress,
    pub(super) server_list: Option<Order>,
    pub(super) cadence: Option<Cadence>,
}

impl State {
    /// The client that holds a name.
    pub(super) fn client_named(&self, name: &ComputerName) -> Option<(&ClientId, &Client)> {
        self.client_of.get(name).and_then(|client_id| self.clients.get_key_value(client_id))
    }

    /// The licenses that a name's seats come from, by serial number; a seat may stand here without its grant.
    pub(super) fn licenses_of(&self, name: &ComputerName) -> impl Iterator<Item = &License> {
        let serials = self.computers.get(name).into_iter().flat_map(|computer| &computer.serials);
        serials.filter_map(|serial| self.licenses.get(serial))
    }

    /// Names that hold a seat of a serial number, and those of them that have a client.
    pub(super) fn seats_of(&self, serial: &SerialNumber) -> (u32, u32) {
        let holders = self.computers.iter().filter(|(_, computer)| computer.serials.contains(serial));
        holders.fold((0, 0), |(used, active), (name, _)| {
            (used + 1, active + u32::from(self.client_of.contains_key(name)))
        })
    }

    /// The highest attempt that a retry of a release gave a computer.
    pub(super) fn highest_attempt(&self, manifest: &Sha256Digest) -> u32 {
        let attempts = self.clients.values().filter_map(|client| client.attempts.get(manifest));
        attempts.copied().max().unwrap_or(0)
    }

    pub(super) fn seen(&self, client_id: &ClientId) -> Option<Seen<'_>> {
        match self.notes.get(&NoteKey::ClientSeen(client_id.clone())) {
            Some(Note::ClientSeen {
                platform,
                agent_version,
                instance,
                hostname,
                installed,
                before,
                tags,
                postponed,
                came_by,
                ..
            }) => {
                let (instance, hostname) = (*instance, hostname.as_deref());
                let came_by = *came_by;
                Some(Seen {
                    platform,
                    agent_version,
                    instance,
                    hostname,
                    installed,
                    before,
                    tags,
                    postponed,
                    came_by,
                })
            }
            _ => None,
        }
    }

    pub(super) fn answered(&self, client_id: &ClientId) -> Option<Answered<'_>> {
        match self.notes.get(&NoteKey::ContactAnswered(client_id.clone())) {
            Some(Note::ContactAnswered {
                previous,
                next,
                at,
                answer,
                progress,
                server_list,
                cadence,
                ..
            }) => {
                let (previous, server_list) = (previous.as_ref(), *server_list);
                Some(Answered { previous, next, at: *at, answer, progress, server_list, cadence: *cadence })
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

    pub(super) fn vendor_statement(&self) -> Option<VendorStatement> {
        match self.notes.get(&NoteKey::VendorStatement) {
            Some(Note::VendorStatement { statement }) => Some(*statement),
            _ => None,
        }
    }
}
