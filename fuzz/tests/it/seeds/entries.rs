//! Entries of an activity log.

use jiff::Timestamp;
use sealpost_fuzz::{MAX_SEED_BYTES, client_id, key, sealing_key, server_id};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::grant::{Grant, RegistrationReason};
use sealpost_manifests::ids::{ChannelName, ComputerName, EraId, Platform, RequestId, SerialNumber, SetupId};
use sealpost_manifests::lease::Lease;
use sealpost_manifests::log::{Frontier, LogHead};
use sealpost_manifests::order::{Epoch, Order};
use sealpost_manifests::release::{PackageKind, Severity};
use sealpost_manifests::version::ReleaseCounter;
use sealpost_manifests::wire::contact::Contact;
use sealpost_manifests::wire::problem::ProblemCode;
use sealpost_site::changes::activity::Change;
use sealpost_site::changes::{Actor, EnrolledBy, chain};
use sealpost_site::rules::reports::ReportEffect;
use sealpost_site::rules::restore::RestoreCause;

use super::documents::{frozen, signed};
use super::golden::{Seeds, golden};

/// Names for the pieces of the frozen log.
const PIECES: [&str; 8] =
    ["golden_1", "golden_2", "golden_3", "golden_4", "golden_5", "golden_6", "golden_7", "golden_8"];

pub(super) fn activity_entries() -> Seeds {
    let mut seeds = vec![
        ("enrollment", log(enrollment())),
        ("licensing", log(licensing())),
        ("newer", newer()),
        ("releases", log(releases())),
        ("restore", log(restore())),
        ("troubles", log(troubles())),
        ("golden_later", golden("distributor/ledger/tests/golden/log.v2.later.jsonl")),
        ("golden_tokens", golden("distributor/ledger/tests/golden/log.v2.tokens.jsonl")),
        ("golden_started", golden("distributor/ledger/tests/golden/log.v2.started.jsonl")),
    ];
    seeds.extend(frozen_log());
    seeds
}

/// The frozen log, which has an entry of every kind, in pieces that are small enough.
fn frozen_log() -> Seeds {
    let log = golden("distributor/ledger/tests/golden/log.v2.jsonl");
    let mut pieces = vec![Vec::new()];
    for line in log.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let last: &mut Vec<u8> = pieces.last_mut().unwrap();
        if last.is_empty() {
            last.extend_from_slice(line);
        } else if last.len() + line.len() < MAX_SEED_BYTES {
            last.push(b'\n');
            last.extend_from_slice(line);
        } else {
            pieces.push(line.to_vec());
        }
    }
    assert!(pieces.len() <= PIECES.len(), "the frozen log has grown to {} pieces", pieces.len());
    PIECES.into_iter().zip(pieces).collect()
}

/// A log of the fixed server with these changes, one entry on each line.
fn log(changes: Vec<Change>) -> Vec<u8> {
    let first = Change::ServerInitialized { server_id: server_id().clone(), site_key: key().public() };
    let mut tree = Frontier::empty();
    let entry = |change| chain::link(&mut tree, Timestamp::UNIX_EPOCH, actor(), change).unwrap().bytes;
    std::iter::once(first).chain(changes).map(entry).collect::<Vec<_>>().join(&b'\n')
}

fn actor() -> Actor {
    Actor::socket("alice")
}

fn name() -> ComputerName {
    ComputerName::new("pc-17").unwrap()
}

fn serial() -> SerialNumber {
    SerialNumber::from_random([7; 19])
}

fn stable() -> ChannelName {
    ChannelName::new("stable").unwrap()
}

fn digest() -> Sha256Digest {
    Sha256Digest::of(b"manifest")
}

fn order() -> Order {
    Order { epoch: Epoch::of(1, 0), sequence: 7 }
}

fn head(size: u64) -> LogHead {
    LogHead { size, root: digest() }
}

fn enrollment() -> Vec<Change> {
    let setup = SetupId::from_random([3; 16]);
    let lease = frozen::<Lease>();
    vec![
        Change::SeatReserved { name: name(), channel: stable(), serial: serial() },
        Change::SetupIssued { name: name(), setup: setup.clone(), expires_at: Timestamp::UNIX_EPOCH },
        Change::ClientEnrolled {
            client_id: client_id(),
            name: name(),
            client_key: key().public(),
            sealing_key: sealing_key().public(),
            platform: Platform::any(),
            agent_version: "0.1.0".to_owned(),
            setup,
            replaces: None,
            last_contact: None,
            by: EnrolledBy::Code,
        },
        Change::LeaseIssued { client_id: client_id(), order: order(), entitlements: lease.entitlements },
        Change::UnknownComputerSeen { name: name(), source: "192.0.2.1".to_owned(), drops: Some(name()) },
    ]
}

fn licensing() -> Vec<Change> {
    let grant = frozen::<Grant>();
    vec![
        Change::SerialRegistered {
            serial: serial(),
            reason: RegistrationReason::First,
            request_id: RequestId::from_random([6; 16]),
        },
        Change::GrantAccepted {
            serial: serial(),
            generation: grant.generation,
            epoch: grant.epoch,
            seats: grant.seats,
            model: grant.model,
            not_after: grant.not_after,
            grant: signed(&grant),
            confirms: true,
        },
    ]
}

fn releases() -> Vec<Change> {
    let report = frozen::<Contact>().reports.remove(0);
    let release = report.release.clone();
    vec![
        Change::ReleaseStaged {
            release: release.clone(),
            manifest: digest(),
            kind: PackageKind::Program,
            counter: ReleaseCounter(3),
            severity: Severity::High,
            channels: vec![stable()],
            signer: key().public(),
            payload_bytes: 1000,
            mandatory: false,
        },
        Change::ReleaseRejected {
            release: release.clone(),
            manifest: digest(),
            reason: "not now".to_owned(),
        },
        Change::ReleaseRefused { release, manifest: digest(), problems: vec!["it has no files".to_owned()] },
        Change::DeltaMade { base: digest(), target: digest(), bytes: 12 },
        Change::StepReported {
            client_id: client_id(),
            report,
            effect: ReportEffect::Unlisted,
            delivery: None,
        },
    ]
}

fn restore() -> Vec<Change> {
    vec![
        Change::LedgerRestored {
            era: EraId::from_random([4; 16]),
            cause: RestoreCause::BackupRestored { head: head(40) },
            epoch: Epoch::of(1, 0),
            resumes_until: Timestamp::UNIX_EPOCH,
            lost_era: None,
        },
        Change::LogForkReported { client_id: client_id(), held: head(40), seen: head(41) },
        Change::ForkDetected { client_id: client_id() },
    ]
}

fn troubles() -> Vec<Change> {
    vec![
        Change::PullFailed { reason: "red \u{1b}[31m\r\nforged".to_owned() },
        Change::MetadataPulled { timestamp_version: 1, snapshot_version: 2, root_version: 3 },
        Change::Refused {
            code: ProblemCode::BadSignature,
            source: "192.0.2.1".to_owned(),
            minute: Timestamp::UNIX_EPOCH,
            count: 3,
            computer: None,
        },
    ]
}

/// Entries that a newer program wrote.
fn newer() -> Vec<u8> {
    let entries = [
        r#"{"version":2,"sequence":2,"at":"2030-01-01T00:00:00Z","actor":{"kind":"server"},"change":{"type":"moon_landed"}}"#,
        r#"{"version":9,"sequence":3,"at":"2030-01-01T00:00:00Z","actor":{"kind":"robot"},"change":{"type":"pull_failed"}}"#,
    ];
    [log(Vec::new()), entries.join("\n").into_bytes()].join(&b'\n')
}
