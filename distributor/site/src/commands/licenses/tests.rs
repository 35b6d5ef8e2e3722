use jiff::Timestamp;
use sealpost_keys::{KeyId, Minisig, PublicKey};
use sealpost_manifests::grant::LicenseModel;
use sealpost_manifests::ids::{EraId, ServerId};
use sealpost_manifests::log::Frontier;
use sealpost_manifests::order::Epoch;

use super::*;
use crate::commands::Terms;
use crate::rows::ServerIdentity;
use crate::rules::restore::Restored;
use crate::rules::rollouts::outages::Outages;

fn at(day: i64) -> Timestamp {
    Timestamp::from_second(day * 24 * 3600).unwrap()
}

fn site_key() -> PublicKey {
    PublicKey::new(KeyId::from_bytes([1; 8]), [1; 32])
}

fn grant(generation: u64, epoch: Epoch) -> Grant {
    Grant {
        vendor: "Acme".to_owned(),
        serial: SerialNumber::from_random([1; 19]),
        server_id: ServerId::of_site_key(&site_key()),
        site_key: site_key(),
        key_epoch: 1,
        epoch,
        packages: Vec::new(),
        model: LicenseModel::Named,
        seats: 10,
        generation,
        not_after: at(366),
        vendor_time: at(3),
        ends_at: None,
        request_id: None,
    }
}

/// The grant as it came; nobody verifies it here.
fn document(grant: &Grant) -> SignedDocument {
    let (signature, global) = ("A".repeat(95), "A".repeat(86));
    let minisig = format!("untrusted comment: c\nRUQA{signature}=\ntrusted comment: c\n{global}==\n");
    SignedDocument { document: document::write(grant).unwrap(), minisig: Minisig::parse(&minisig).unwrap() }
}

/// Facts about a ledger that holds this grant, and was restored in epoch 1 or not at all.
fn facts(held: &Grant, restored: bool) -> GrantFacts {
    let restored = restored.then(|| Restored {
        at: at(9),
        epoch: Epoch::of(1, 0),
        resumes_until: at(40),
        confirmed: false,
        acknowledged: None,
    });
    GrantFacts {
        held: Some(HeldGrant {
            generation: held.generation,
            epoch: held.epoch,
            digest: Some(document(held).digest()),
            not_after: at(366),
        }),
        restore: RestoreState { era: EraId::from_random([1; 16]), past: vec![EraId::first()], restored },
        answers_restored: true,
        newest: None,
        granted: Vec::new(),
    }
}

fn accept(grant: &Grant, facts: GrantFacts) -> Decision<GrantAnswer> {
    let server = ServerIdentity { server_id: ServerId::of_site_key(&site_key()), site_key: site_key() };
    let context = Context {
        now: at(10),
        server: &server,
        terms: &Terms::default(),
        log: &Frontier::empty(),
        outages: Outages::none(),
    };
    let actor = Actor::socket("alice");
    let document = document(grant);
    AcceptGrant { actor, grant: grant.clone(), document, asked_for: None }.decide(facts, &context)
}

/// Whether an accepted grant confirms.
fn confirms(decision: &Decision<GrantAnswer>) -> bool {
    match decision.changes.as_slice() {
        [(_, Change::GrantAccepted { confirms, .. })] => *confirms,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_restored_ledger_is_confirmed_by_a_grant_of_a_higher_epoch_and_by_nothing_else() {
    let held = grant(1, Epoch::of(1, 0));
    let again = accept(&held, facts(&held, true));
    assert!(again.changes.is_empty() && again.notes.is_empty());
    assert_eq!(again.answer.map(|answer| answer.unconfirmed), Ok(true), "the same grant again");
    let more_seats = accept(&grant(2, Epoch::of(1, 0)), facts(&held, true));
    assert!(!confirms(&more_seats));
    assert_eq!(more_seats.answer.map(|answer| answer.unconfirmed), Ok(true));
    let kept = GrantFacts { answers_restored: false, ..facts(&held, true) };
    let kept = accept(&grant(2, Epoch::of(2, 0)), kept);
    assert!(!confirms(&kept), "it answers another request");
    assert_eq!(kept.answer.map(|answer| answer.unconfirmed), Ok(true));
    let raised = accept(&grant(2, Epoch::of(2, 0)), facts(&held, true));
    assert!(confirms(&raised));
    assert_eq!(raised.answer.map(|answer| answer.unconfirmed), Ok(false));
}

#[test]
fn a_ledger_that_was_not_restored_has_nothing_to_confirm() {
    let held = grant(1, Epoch::of(1, 0));
    let raised = accept(&grant(2, Epoch::of(2, 0)), facts(&held, false));
    assert!(!confirms(&raised));
    assert_eq!(raised.answer.map(|answer| answer.unconfirmed), Ok(false));
}

#[test]
fn what_a_new_grant_says_of_the_time_is_noted_and_an_old_or_foreign_one_leaves_no_trace() {
    let held = grant(2, Epoch::of(1, 0));
    let new = accept(&grant(3, Epoch::of(1, 0)), facts(&held, false));
    let [Note::VendorStatement { statement }] = new.notes.as_slice() else { panic!("{:?}", new.notes) };
    assert_eq!(*statement, VendorStatement::new(at(3), at(366)));
    let mut other = grant(9, Epoch::of(1, 0));
    other.server_id = ServerId::from_random([9; 16]);
    for refused in [grant(1, Epoch::of(1, 0)), grant(9, Epoch::default()), grant(9, Epoch::of(1, 1)), other] {
        let decision = accept(&refused, facts(&held, true));
        assert_eq!(decision.answer.unwrap_err().code, ProblemCode::GrantRefused);
        assert!(decision.changes.is_empty() && decision.notes.is_empty());
    }
}

#[test]
fn a_registration_keeps_its_reason_and_its_request() {
    let server = ServerIdentity { server_id: ServerId::of_site_key(&site_key()), site_key: site_key() };
    let context = Context {
        now: at(10),
        server: &server,
        terms: &Terms::default(),
        log: &Frontier::empty(),
        outages: Outages::none(),
    };
    let command = RegisterSerial {
        actor: Actor::socket("alice"),
        serial: SerialNumber::from_random([1; 19]),
        reason: RegistrationReason::Restored,
        request_id: RequestId::from_random([4; 16]),
    };
    let decision = command.decide((), &context);
    let [(_, Change::SerialRegistered { reason, request_id, .. })] = decision.changes.as_slice() else {
        panic!("{:?}", decision.changes)
    };
    assert_eq!((*reason, request_id), (RegistrationReason::Restored, &RequestId::from_random([4; 16])));
}
