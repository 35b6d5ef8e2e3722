//! One site, one client, and the facts about it. Its ledger has [`LOGGED`] entries and one grant; the client made
//! [`ANSWERED`] contacts that the ledger knows.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use sealpost_keys::{KeyId, Minisig, PublicKey};
use sealpost_manifests::assignment::Assignment;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::document::SignedDocument;
use sealpost_manifests::grant::{Grant, LicenseModel};
use sealpost_manifests::ids::{
    ChannelName, ClientId, ComputerName, EraId, Nonce, PackageName, Platform, SerialNumber, ServerId,
};
use sealpost_manifests::lease::{Entitlement, Lease};
use sealpost_manifests::log::{Frontier, LogHead, leaf_hash};
use sealpost_manifests::order::{Epoch, HighestOrders, Order, Ordered, Signer};
use sealpost_manifests::release::{PackageKind, ReleaseId, Severity};
use sealpost_manifests::version::{ReleaseCounter, Version};
use sealpost_manifests::wire::contact::Contact;
use sealpost_manifests::wire::problem::ProblemCode;
use sealpost_manifests::word::Word;

use crate::changes::{Change, ContactAnswer, Note, summary};
use crate::commands::contact::{
    AnswerContact, ContactClient, ContactFacts, ContactOutcome, HeldGrantText, LastContact, LostFacts, Shown,
};
use crate::commands::{Command, Context, Decision, Terms};
use crate::rows::ServerIdentity;
use crate::rules::contact::NoncePair;
use crate::rules::copies::Kept;
use crate::rules::release::{KnownRelease, ReleaseState};
use crate::rules::restore::{NamedHead, Progress, Receipt, RestoreState, Restored};
use crate::rules::rollouts::outages::Outages;

/// Entries of the ledger.
pub(super) const LOGGED: u64 = 50;
/// Contacts of the client that the ledger knows.
pub(super) const ANSWERED: u64 = 80;
/// The day of every contact here.
pub(super) const TODAY: i64 = 100;

pub(super) fn at(day: i64) -> Timestamp {
    Timestamp::from_second(day * 24 * 3600).unwrap()
}

pub(super) fn site_key() -> PublicKey {
    PublicKey::new(KeyId::from_bytes([1; 8]), [1; 32])
}

pub(super) fn client_id() -> ClientId {
    ClientId::from_random([1; 16])
}

pub(super) fn client_key() -> PublicKey {
    PublicKey::new(KeyId::from_bytes([2; 8]), [2; 32])
}

pub(super) fn name() -> ComputerName {
    ComputerName::new("pc-1").unwrap()
}

pub(super) fn serial(id: u8) -> SerialNumber {
    SerialNumber::from_random([id; 19])
}

pub(super) fn nonce(id: u8) -> Nonce {
    Nonce::from_random([id; 16])
}

/// An era; 0 is the first.
pub(super) fn era(id: u8) -> EraId {
    if id == 0 { EraId::first() } else { EraId::from_random([id; 16]) }
}

pub(super) fn receipt(of: u8, contacts: u64) -> Receipt {
    Receipt { era: era(of), contacts }
}

pub(super) fn order(sequence: u64) -> Order {
    Order { epoch: Epoch::of(1, 0), sequence }
}

/// The grant of a serial number, good for a year from the beginning.
pub(super) fn grant(id: u8) -> HeldGrantText {
    let grant = Grant {
        vendor: "Acme".to_owned(),
        serial: serial(id),
        server_id: ServerId::of_site_key(&site_key()),
        site_key: site_key(),
        key_epoch: 1,
        epoch: Epoch::of(1, 0),
        packages: Vec::new(),
        model: LicenseModel::Named,
        seats: 10,
        generation: 1,
        not_after: at(366),
        vendor_time: at(0),
        ends_at: None,
        request_id: None,
    };
    // Nobody verifies it here.
    let (signature, global) = ("A".repeat(95), "A".repeat(86));
    let minisig = format!("untrusted comment: c\nRUQA{signature}=\ntrusted comment: c\n{global}==\n");
    let document =
        SignedDocument { document: format!("grant {id}"), minisig: Minisig::parse(&minisig).unwrap() };
    HeldGrantText { digest: document.digest(), grant, document, leased: false, used: None }
}

/// A lease of these serial numbers, with a head of the log of this size.
pub(super) fn lease(sequence: u64, head: u64, serials: &[u8]) -> Lease {
    Lease {
        client_id: client_id(),
        client_key: client_key(),
        computer_name: name(),
        channel: ChannelName::new("stable").unwrap(),
        server_id: ServerId::of_site_key(&site_key()),
        signer: Signer::SiteKey,
        epoch: Epoch::of(1, 0),
        sequence,
        issued_at: at(TODAY - 1),
        entitlements: serials.iter().map(|id| entitlement(*id)).collect(),
        ledger_head: LogHead { size: head, root: Sha256Digest::of(b"head") },
    }
}

fn entitlement(id: u8) -> Entitlement {
    Entitlement {
        serial: serial(id),
        model: LicenseModel::Named,
        packages: Vec::new(),
        grant: grant(id).digest,
        not_after: at(TODAY + 29),
    }
}

pub(super) fn assignment(sequence: u64) -> Assignment {
    Assignment {
        client_id: client_id(),
        server_id: ServerId::of_site_key(&site_key()),
        signer: Signer::SiteKey,
        epoch: Epoch::of(1, 0),
        sequence,
        issued_at: at(TODAY - 1),
        expires_at: at(TODAY + 29),
        metadata_as_of: at(TODAY - 1),
        packages: Vec::new(),
    }
}

/// The client as the ledger knows it.
pub(super) fn client() -> ContactClient {
    ContactClient {
        name: name(),
        channel: ChannelName::new("stable").unwrap(),
        client_key: client_key(),
        forked: false,
        copies: Vec::new(),
        kept_copy: Kept::Undecided,
        seats: vec![grant(1)],
        lease_order: Some(order(5)),
        assignment_order: Some(order(2)),
        acknowledged_report: 7,
        last: Some(LastContact {
            at: at(TODAY - 1),
            nonces: NoncePair { previous: Some(nonce(1)), next: nonce(2) },
            answer: ContactAnswer::default(),
            progress: Progress { last: receipt(0, ANSWERED), base: 0 },
            cadence: None,
        }),
        lease: Some(lease(5, 40, &[1])),
        assignment: Some(assignment(2)),
        seen: None,
        reported: BTreeSet::new(),
        not_reserved: false,
        resumed: false,
        log_fork: None,
        drift: Vec::new(),
        attempts: BTreeMap::new(),
        left_locally: BTreeMap::new(),
        listed: BTreeSet::new(),
        deliveries: Vec::new(),
    }
}

/// Facts without anything that may be lost.
pub(super) fn facts(client: Option<ContactClient>) -> ContactFacts {
    ContactFacts {
        client,
        approved: Arc::default(),
        voided: BTreeSet::new(),
        left: Vec::new(),
        kept: Vec::new(),
        metadata_as_of: Some(at(TODAY - 1)),
        has_trust: true,
        epoch: Epoch::of(1, 0),
        raised: None,
        restore: RestoreState::default(),
        server_list: None,
        lost: None,
        plan: Arc::default(),
        live: Arc::default(),
    }
}

/// What stands beside a client that shows a head which the ledger does not have.
pub(super) fn lost() -> LostFacts {
    LostFacts {
        was_replaced: false,
        given_up: false,
        holder: None,
        reserved: BTreeSet::from([serial(1)]),
        seats: vec![grant(1)],
        head_is_known: false,
    }
}

/// A ledger that was found to be restored yesterday.
pub(super) fn restored() -> RestoreState {
    RestoreState {
        era: era(1),
        past: vec![era(0)],
        restored: Some(Restored {
            at: at(TODAY - 1),
            epoch: Epoch::of(1, 0),
            resumes_until: at(TODAY + 29),
            confirmed: false,
            acknowledged: None,
        }),
    }
}

pub(super) fn contact(previous: Option<u8>, next: u8) -> Contact {
    Contact {
        client_id: client_id(),
        server_id: ServerId::of_site_key(&site_key()),
        previous: previous.map(nonce),
        next: nonce(next),
        receipt: None,
        sent_at: at(0),
        agent_version: "1.0".to_owned(),
        platform: Platform::any(),
        highest: highest(5, 2),
        held_head: None,
        forked_head: None,
        grants: Vec::new(),
        instance: Some(Sha256Digest::of(b"this computer")),
        hostname: None,
        packages: Vec::new(),
        reports: Vec::new(),
        drift: Vec::new(),
        tags: Vec::new(),
        postponed: Vec::new(),
        new_key: None,
    }
}

/// The orders of a lease and an assignment that are held.
pub(super) fn highest(lease: u64, assignment: u64) -> HighestOrders {
    HighestOrders::from([(word("lease"), order(lease)), (word("assignment"), order(assignment))])
}

pub(super) fn word(text: &str) -> Word {
    Word::new(text).unwrap()
}

/// A client shows a lease of serial number 1 with order 8, which saw ten entries that the ledger lost, an assignment
/// with order 4, and this receipt.
pub(super) fn shown(receipt: Option<Receipt>) -> Shown {
    Shown {
        lease: lease(8, LOGGED + 10, &[1]),
        assignment: Some(assignment(4)),
        witness: None,
        receipt,
        new_era: era(9),
    }
}

/// An approved release of one package.
pub(super) fn approved() -> KnownRelease {
    KnownRelease {
        release: ReleaseId {
            package: PackageName::new("acme-av").unwrap(),
            version: Version::new("1.0").unwrap(),
            platform: Platform::any(),
        },
        manifest: Sha256Digest::of(b"manifest"),
        state: ReleaseState::Approved,
        counter: ReleaseCounter(1),
        channels: vec![ChannelName::new("stable").unwrap()],
        rollout: Some(1),
        signer: None,
        reason: None,
        approved_for: vec![ChannelName::new("stable").unwrap()],
        rollback: false,
        attempt: 1,
        kind: PackageKind::Program,
        severity: Severity::Normal,
        mandatory: false,
        rolling_out: Vec::new(),
    }
}

pub(super) fn decide(
    facts: ContactFacts,
    contact: Contact,
    shown: Option<Shown>,
) -> Decision<ContactOutcome> {
    let server = ServerIdentity { server_id: ServerId::of_site_key(&site_key()), site_key: site_key() };
    let mut log = Frontier::empty();
    for entry in 0..LOGGED {
        log.append(leaf_hash(&entry.to_le_bytes()));
    }
    let context = Context {
        now: at(TODAY),
        server: &server,
        terms: &Terms::default(),
        log: &log,
        outages: Outages::none(),
    };
    AnswerContact { contact, shown, head: NamedHead::OfThisLog, came_by: None }.decide(facts, &context)
}

/// The kinds of the changes, in order.
pub(super) fn kinds(decision: &Decision<ContactOutcome>) -> Vec<&'static str> {
    decision.changes.iter().map(|(_, change)| summary::kind(change)).collect()
}

/// The code of a refusal that writes nothing.
#[track_caller]
pub(super) fn refused_without_a_trace(decision: &Decision<ContactOutcome>) -> ProblemCode {
    assert!(decision.changes.is_empty() && decision.notes.is_empty(), "{:?}", kinds(decision));
    decision.answer.as_ref().unwrap_err().code
}

/// How far the client has come with the contact, as it is noted.
pub(super) fn progress(decision: &Decision<ContactOutcome>) -> Progress {
    let noted = decision.notes.iter().find_map(|note| match note {
        Note::ContactAnswered { progress, .. } => Some(progress.clone()),
        _ => None,
    });
    noted.unwrap()
}

/// The order of the lease that was issued, if one was.
pub(super) fn leased(decision: &Decision<ContactOutcome>) -> Option<Order> {
    let issued = decision.changes.iter().find_map(|(_, change)| match change {
        Change::LeaseIssued { order, .. } => Some(*order),
        _ => None,
    });
    let sent = decision.answer.as_ref().unwrap().lease.as_ref().map(Ordered::order);
    assert!(issued.is_none() || issued == sent);
    issued
}
