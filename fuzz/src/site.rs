//! What a Primary Server decides on what a client says of itself. Whoever holds a client key can sign any contact and any
//! enrollment, so the fields of both are as hostile as bytes.
//!
//! Asserted: a decision is the same each time, a client's word alone raises no order, and each entry that is chained
//! can be read again.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use sealpost_keys::PublicKey;
use sealpost_manifests::assignment::Assignment;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::document::SignedDocument;
use sealpost_manifests::grant::{Grant, LicenseModel};
use sealpost_manifests::ids::{
    ChannelName, ComputerName, EraId, Nonce, PackageName, Platform, SerialNumber, SetupId,
};
use sealpost_manifests::lease::{Entitlement, Lease};
use sealpost_manifests::log::{Frontier, LogHead, leaf_hash};
use sealpost_manifests::order::{Epoch, Order, Ordered, Signer};
use sealpost_manifests::release::{PackageKind, ReleaseId, Severity};
use sealpost_manifests::version::{ReleaseCounter, Version};
use sealpost_manifests::wire::contact::Contact;
use sealpost_manifests::wire::enroll::Enrollment;
use sealpost_site::changes::chain::{self, FoundBy, ReadEntry};
use sealpost_site::changes::{ContactAnswer, Note};
use sealpost_site::commands::clients::{Enroll, EnrolledClient, EnrollmentFacts};
use sealpost_site::commands::contact::{
    AnswerContact, ContactClient, ContactFacts, HeldGrantText, LastContact, LostFacts, Shown,
};
use sealpost_site::commands::{Command, Context, Decision, Terms};
use sealpost_site::queries::Query;
use sealpost_site::rows::ServerIdentity;
use sealpost_site::rules::contact::NoncePair;
use sealpost_site::rules::copies::Kept;
use sealpost_site::rules::enrollment::{IssuedSetup, Proof, SetupState};
use sealpost_site::rules::pending::PendingFacts;
use sealpost_site::rules::release::{KnownRelease, ReleaseState};
use sealpost_site::rules::restore::{NamedHead, Progress, Receipt, RestoreState, Restored};
use sealpost_site::rules::rollouts::outages::Outages;

use crate::fixed::{client_id, key, server_id};
use crate::reading::assert_harmless;

/// The order that the ledger issued last, of leases and of assignments.
const ISSUED: u64 = 5;
/// The order that the client shows, signed by the site.
const SHOWN: u64 = 8;
/// Most bytes that one decision writes: 64 reports with details of 2 KiB, and as much again for all else.
const MAX_WRITTEN_BYTES: usize = 512 * 1024;

/// Takes any contact as one whose signature was verified, by a ledger that was never restored and by one that was.
pub(crate) fn contact(contact: &Contact) {
    contact_at(contact, &RestoreState::default());
    let restored = Restored {
        at: day(99),
        epoch: Epoch::of(1, 0),
        resumes_until: day(129),
        confirmed: false,
        acknowledged: None,
    };
    let era = EraId::from_random([4; 16]);
    contact_at(contact, &RestoreState { era, past: vec![EraId::first()], restored: Some(restored) });
}

fn contact_at(contact: &Contact, restore: &RestoreState) {
    let shown = || Shown {
        lease: lease(SHOWN),
        assignment: Some(assignment(SHOWN)),
        witness: None,
        receipt: Some(Receipt { era: EraId::first(), contacts: 90 }),
        new_era: EraId::from_random([9; 16]),
    };
    for (client, shown, highest) in [
        (Some(client(None)), None, ISSUED + 1),
        (Some(client(contact.previous.clone())), None, ISSUED + 1),
        (Some(client(contact.previous.clone())), Some(shown()), SHOWN + 1),
        (Some(client(None)), Some(shown()), SHOWN + 1),
        (None, Some(shown()), SHOWN + 1),
        (None, None, 0),
    ] {
        let lost = shown.is_some().then(lost);
        let facts = ContactFacts {
            client,
            approved: vec![approved()].into(),
            voided: BTreeSet::new(),
            left: Vec::new(),
            kept: Vec::new(),
            metadata_as_of: Some(day(99)),
            has_trust: true,
            epoch: Epoch::of(1, 0),
            raised: None,
            restore: restore.clone(),
            server_list: None,
            lost,
            plan: std::sync::Arc::default(),
            live: std::sync::Arc::default(),
        };
        let decision = decide(
            AnswerContact { contact: contact.clone(), shown, head: NamedHead::OfThisLog, came_by: None },
            facts,
        );
        if let Ok(answer) = &decision.answer {
            let orders =
                [answer.lease.as_ref().map(Ordered::order), answer.assignment.as_ref().map(Ordered::order)];
            for order in orders.into_iter().flatten() {
                let bound = Order { epoch: Epoch::of(1, 0), sequence: highest };
                assert!(order <= bound, "a client's word raised an order to {order}");
            }
            assert!(answer.acknowledged_report <= 1 << 48, "a report's number that nobody can count to");
        }
    }
}

/// Takes any enrollment as one whose signature was verified.
pub(crate) fn enrollment(enrollment: &Enrollment) {
    let setup = SetupId::from_random([3; 16]);
    let issued = |used_by| {
        SetupState::Issued(IssuedSetup {
            setup: setup.clone(),
            expires_at: day(200),
            used_by,
            admitted: None,
        })
    };
    let admitted = |client_key: &PublicKey| {
        let expires_at = day(200);
        let admitted = Some(client_key.clone());
        SetupState::Issued(IssuedSetup { setup: setup.clone(), expires_at, used_by: None, admitted })
    };
    let code = Proof::Setup(setup.clone());
    for (state, proof, may_enroll) in [
        (SetupState::Unknown, Proof::None, false),
        (SetupState::Reserved, Proof::None, false),
        (issued(None), Proof::None, false),
        (issued(None), Proof::Wrong, false),
        (issued(None), code.clone(), true),
        (issued(Some(key().public())), code.clone(), true),
        (admitted(&enrollment.client_key), Proof::None, true),
        (admitted(&key().public()), Proof::None, enrollment.client_key == key().public()),
        (admitted(&key().public()), code, enrollment.client_key == key().public()),
    ] {
        let facts = EnrollmentFacts {
            setup: state,
            client: Some(EnrolledClient {
                client_id: client_id(),
                client_key: key().public(),
                enrolled_at: day(1),
                last_contact: Some(day(2)),
                forked: false,
                kept_copy: Kept::Undecided,
            }),
            grants: vec![grant().document],
            restore: RestoreState::default(),
            pending: PendingFacts::default(),
        };
        let command = Enroll {
            source: "192.0.2.1".to_owned(),
            enrollment: enrollment.clone(),
            proof,
            copy: None,
            new_id: client_id(),
        };
        let decision = decide(command, facts);
        assert!(may_enroll || decision.answer.is_err(), "a computer that proved nothing is enrolled");
    }
}

/// Decides twice, and reads what would be written.
fn decide<C>(command: C, facts: <C::Facts as Query>::Answer) -> Decision<C::Answer>
where
    C: Command + Clone,
    C::Answer: std::fmt::Debug,
    <C::Facts as Query>::Answer: Clone,
{
    let server = ServerIdentity { server_id: server_id().clone(), site_key: key().public() };
    let mut log = Frontier::empty();
    for entry in 0..50u64 {
        log.append(leaf_hash(&entry.to_le_bytes()));
    }
    let context = Context {
        now: day(100),
        server: &server,
        terms: &Terms::default(),
        log: &log,
        outages: Outages::none(),
    };
    let again = command.clone().decide(facts.clone(), &context);
    let decision = command.decide(facts, &context);
    assert_eq!(format!("{decision:?}"), format!("{again:?}"), "a decision is the same each time");
    let mut written = 0;
    for (actor, change) in &decision.changes {
        let linked =
            chain::link(&mut log, day(100), actor.clone(), change.clone()).expect("a change has a JSON form");
        written += linked.bytes.len();
        let ReadEntry::Known(read) = chain::read(&linked.bytes).expect("an entry that was written is read")
        else {
            panic!("an entry of this program is taken for one of a newer");
        };
        assert_eq!(serde_json::to_vec(&*read).unwrap(), linked.bytes, "an entry is read as it was written");
        assert_eq!(FoundBy::of(&read), FoundBy::of(&linked.entry));
        assert_harmless(&ReadEntry::Known(read).summary());
    }
    for note in &decision.notes {
        let text = serde_json::to_string(note).expect("a note has a JSON form");
        written += text.len();
        let read: Note = serde_json::from_str(&text).expect("a note that was written is read");
        assert_eq!(read.key(), note.key());
        assert_eq!(serde_json::to_string(&read).unwrap(), text);
    }
    assert!(written <= MAX_WRITTEN_BYTES, "one request writes {written} bytes");
    decision
}

fn day(number: i64) -> Timestamp {
    Timestamp::from_second(number * 24 * 3600).expect("a day of the seventies")
}

fn serial() -> SerialNumber {
    SerialNumber::from_random([7; 19])
}

fn name() -> ComputerName {
    ComputerName::new("pc-17").expect("a name")
}

fn stable() -> ChannelName {
    ChannelName::new("stable").expect("a name")
}

fn order(sequence: u64) -> Order {
    Order { epoch: Epoch::of(1, 0), sequence }
}

fn grant() -> HeldGrantText {
    let grant = Grant {
        vendor: "ACME".to_owned(),
        serial: serial(),
        server_id: server_id().clone(),
        site_key: key().public(),
        key_epoch: 1,
        epoch: Epoch::of(1, 0),
        packages: Vec::new(),
        model: LicenseModel::Named,
        seats: 10,
        generation: 1,
        not_after: day(366),
        vendor_time: day(0),
        ends_at: None,
        request_id: None,
    };
    let document = SignedDocument::sign(&grant, key()).expect("a grant can be signed");
    HeldGrantText { digest: document.digest(), grant, document, leased: false, used: None }
}

fn lease(sequence: u64) -> Lease {
    Lease {
        client_id: client_id(),
        client_key: key().public(),
        computer_name: name(),
        channel: stable(),
        server_id: server_id().clone(),
        signer: Signer::SiteKey,
        epoch: Epoch::of(1, 0),
        sequence,
        issued_at: day(99),
        entitlements: vec![Entitlement {
            serial: serial(),
            model: LicenseModel::Named,
            packages: Vec::new(),
            grant: Sha256Digest::of(b"grant"),
            not_after: day(129),
        }],
        ledger_head: LogHead { size: 60, root: Sha256Digest::of(b"head") },
    }
}

fn assignment(sequence: u64) -> Assignment {
    Assignment {
        client_id: client_id(),
        server_id: server_id().clone(),
        signer: Signer::SiteKey,
        epoch: Epoch::of(1, 0),
        sequence,
        issued_at: day(99),
        expires_at: day(129),
        metadata_as_of: day(99),
        packages: Vec::new(),
    }
}

/// The client as the ledger knows it; with a nonce it contacted before, and that was its last one.
fn client(last: Option<Nonce>) -> ContactClient {
    let progress = Progress { last: Receipt { era: EraId::first(), contacts: 80 }, base: 0 };
    let last = last.map(|next| LastContact {
        at: Timestamp::UNIX_EPOCH,
        nonces: NoncePair { previous: None, next },
        answer: ContactAnswer::default(),
        progress,
        cadence: None,
    });
    ContactClient {
        name: name(),
        channel: stable(),
        client_key: key().public(),
        forked: false,
        copies: Vec::new(),
        kept_copy: Kept::Undecided,
        seats: vec![grant()],
        lease_order: Some(order(ISSUED)),
        assignment_order: Some(order(ISSUED)),
        acknowledged_report: 3,
        last,
        lease: Some(lease(ISSUED)),
        assignment: Some(assignment(ISSUED)),
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

fn lost() -> LostFacts {
    LostFacts {
        was_replaced: false,
        given_up: false,
        holder: None,
        reserved: BTreeSet::from([serial()]),
        seats: vec![grant()],
        head_is_known: false,
    }
}

fn approved() -> KnownRelease {
    KnownRelease {
        release: ReleaseId {
            package: PackageName::new("acme-av").expect("a name"),
            version: Version::new("5.3").expect("a version"),
            platform: Platform::any(),
        },
        manifest: Sha256Digest::of(b"manifest"),
        state: ReleaseState::Approved,
        counter: ReleaseCounter(4),
        channels: vec![stable()],
        rollout: Some(1),
        signer: None,
        reason: None,
        approved_for: vec![stable()],
        rollback: false,
        attempt: 1,
        kind: PackageKind::Program,
        severity: Severity::Normal,
        mandatory: false,
        rolling_out: Vec::new(),
    }
}
