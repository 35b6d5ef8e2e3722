//! Contacts in order: what an answer brings, withholds and notes.

use sealpost_manifests::assignment::{Action, Assignment, PackageAssignment};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::grant::Grant;
use sealpost_manifests::log::LogHead;
use sealpost_manifests::order::{Epoch, HighestOrders, Order, Ordered};
use sealpost_manifests::release::PackageKind;
use sealpost_manifests::wire::contact::{Contact, InstalledPackage};
use sealpost_manifests::wire::problem::ProblemCode;

use super::fixture::{
    ANSWERED, LOGGED, TODAY, approved, assignment, at, client, contact, decide, facts, grant, highest, kinds,
    lease, leased, order, progress, receipt, refused_without_a_trace, restored, serial,
};
use crate::changes::Note;
use crate::commands::contact::{ContactClient, ContactFacts, HeldGrantText, RaisedGrant, SeenClient};
use crate::rules::came_by::CameBy;
use crate::rules::release::{KnownRelease, ReleaseState};
use crate::rules::restore::Progress;
use crate::rules::rollouts::plan::Plan;
use crate::rules::rollouts::settings::{SettingChange, SettingKey, SettingKind};

/// A client that enrolled and has not contacted yet, with seats of these serial numbers.
fn enrolled(serials: &[u8]) -> ContactClient {
    ContactClient {
        seats: serials.iter().map(|id| grant(*id)).collect(),
        lease_order: None,
        assignment_order: None,
        acknowledged_report: 0,
        last: None,
        lease: None,
        assignment: None,
        ..client()
    }
}

fn first_contact() -> Contact {
    Contact { highest: HighestOrders::new(), ..contact(None, 1) }
}

#[test]
fn a_first_contact_brings_a_lease_of_all_seats_and_an_assignment_each_with_an_order_of_its_own() {
    let facts = ContactFacts { approved: vec![approved()].into(), ..facts(Some(enrolled(&[1, 2]))) };
    let decision = decide(facts, first_contact(), None);
    assert_eq!(kinds(&decision), ["lease_issued", "assignment_changed"]);
    let outcome = decision.answer.as_ref().unwrap();
    let lease = outcome.lease.as_ref().unwrap();
    let seats: Vec<_> = lease.entitlements.iter().map(|seat| (seat.serial.clone(), seat.grant)).collect();
    assert_eq!(seats, [1, 2].map(|id| (serial(id), grant(id).digest)));
    assert_eq!((lease.order(), lease.not_after()), (order(1), Some(at(TODAY + 30))));
    assert_eq!(lease.ledger_head.size, LOGGED);
    let told = outcome.assignment.as_ref().unwrap();
    assert_eq!((told.order(), told.packages[0].manifest), (order(1), approved().manifest));
    assert_eq!(outcome.grants.len(), 2, "it holds none yet");
    assert_eq!(progress(&decision), Progress { last: receipt(0, 1), base: 0 });
}

#[test]
fn leases_and_assignments_count_apart_and_above_the_epoch_of_the_server() {
    let facts =
        ContactFacts { approved: vec![approved()].into(), epoch: Epoch::of(2, 0), ..facts(Some(client())) };
    let decision = decide(facts, contact(Some(2), 3), None);
    let outcome = decision.answer.as_ref().unwrap();
    let in_second = |sequence| Order { epoch: Epoch::of(2, 0), sequence };
    assert_eq!(outcome.lease.as_ref().map(Ordered::order), Some(in_second(6)));
    assert_eq!(outcome.assignment.as_ref().map(Ordered::order), Some(in_second(3)));
}

#[test]
fn who_holds_no_grant_of_the_servers_epoch_is_sent_one_also_of_another_serial_number() {
    let raised = HeldGrantText { grant: Grant { epoch: Epoch::of(2, 0), ..grant(9).grant }, ..grant(9) };
    let rows = [
        // (its seats, grants that it says it holds, grants that it is sent)
        (vec![grant(1)], vec![grant(1).digest], vec![&raised]),
        (vec![grant(1)], vec![grant(1).digest, raised.digest], vec![]),
        (vec![grant(1), raised.clone()], vec![grant(1).digest], vec![&raised]),
        (vec![raised.clone()], vec![], vec![&raised]),
    ];
    for (seats, held, expected) in rows {
        let facts = ContactFacts {
            epoch: Epoch::of(2, 0),
            raised: Some(RaisedGrant { document: raised.document.clone(), digest: raised.digest }),
            ..facts(Some(ContactClient { seats: seats.clone(), ..client() }))
        };
        let decision = decide(facts, Contact { grants: held.clone(), ..contact(Some(2), 3) }, None);
        let sent: Vec<_> = decision.answer.unwrap().grants.iter().map(|grant| grant.digest()).collect();
        let expected: Vec<_> = expected.into_iter().map(|grant| grant.digest).collect();
        assert_eq!(sent, expected, "{} seats, holds {held:?}", seats.len());
    }
}

#[test]
fn an_unconfirmed_ledger_gives_no_first_lease_and_says_why() {
    let facts = ContactFacts {
        approved: vec![approved()].into(),
        restore: restored(),
        ..facts(Some(enrolled(&[1])))
    };
    let decision = decide(facts, first_contact(), None);
    assert!(decision.changes.is_empty(), "{:?}", kinds(&decision));
    let outcome = decision.answer.as_ref().unwrap();
    assert!(outcome.lease.is_none() && outcome.assignment.is_none());
    assert!(outcome.notice.as_ref().unwrap().contains("the vendor has not confirmed"));
}

#[test]
fn an_unconfirmed_ledger_renews_whom_it_knows_and_not_whom_it_resumed() {
    let old = || {
        let mut client = client();
        client.lease.as_mut().unwrap().issued_at = at(TODAY - 3);
        client
    };
    let known = ContactFacts { restore: restored(), ..facts(Some(old())) };
    assert_eq!(leased(&decide(known, contact(Some(2), 3), None)), Some(order(6)));
    let resumed =
        ContactFacts { restore: restored(), ..facts(Some(ContactClient { resumed: true, ..old() })) };
    let decision = decide(resumed, contact(Some(2), 3), None);
    assert!(decision.answer.is_ok());
    assert_eq!(leased(&decision), None);
}

#[test]
fn a_client_whose_grant_the_ledger_lost_is_told_to_install_nothing() {
    let without = ContactClient { seats: Vec::new(), ..client() };
    let facts = ContactFacts { approved: vec![approved()].into(), ..facts(Some(without)) };
    let decision = decide(facts, contact(Some(2), 3), None);
    assert!(decision.answer.unwrap().assignment.is_none());
}

#[test]
fn without_the_vendors_trust_document_a_client_keeps_its_lease_and_its_assignment() {
    // No grant counts then, and nothing can be said of the epoch.
    let held = || ContactClient { seats: Vec::new(), ..client() };
    let lost_trust = |client| ContactFacts {
        approved: vec![approved()].into(),
        has_trust: false,
        epoch: Epoch::default(),
        ..facts(Some(client))
    };
    let new = ContactClient { seats: Vec::new(), ..enrolled(&[]) };
    for (client, contact) in [(held(), contact(Some(2), 3)), (new, first_contact())] {
        let decision = decide(lost_trust(client), contact, None);
        assert_eq!(kinds(&decision), [""; 0], "nothing is issued, so nothing is taken away");
        let outcome = decision.answer.as_ref().unwrap();
        assert!(outcome.lease.is_none() && outcome.assignment.is_none() && outcome.server_list.is_none());
        assert!(outcome.notice.as_ref().unwrap().contains("no trust document of the vendor"));
    }
    // With it the same client is told what to run.
    let mut back = lost_trust(client());
    (back.has_trust, back.epoch) = (true, Epoch::of(1, 0));
    let decision = decide(back, contact(Some(2), 3), None);
    assert!(kinds(&decision).contains(&"assignment_changed"), "{:?}", kinds(&decision));
}

#[test]
fn two_heads_that_do_not_fit_are_reported_once() {
    let head = |size| LogHead { size, root: Sha256Digest::of(b"head") };
    let sent = Contact { held_head: Some(head(10)), forked_head: Some(head(12)), ..contact(Some(2), 3) };
    let decision = decide(facts(Some(client())), sent.clone(), None);
    assert_eq!(kinds(&decision), ["log_fork_reported"]);
    let said = ContactClient { log_fork: Some(head(12)), ..client() };
    let again = decide(facts(Some(said)), sent.clone(), None);
    assert_eq!(kinds(&again), [""; 0]);
    let other = ContactClient { log_fork: Some(head(11)), ..client() };
    assert_eq!(kinds(&decide(facts(Some(other)), sent, None)), ["log_fork_reported"]);
}

#[test]
fn an_answer_without_news_is_one_note_and_carries_no_proof() {
    let mut quiet = client();
    let sent = Contact {
        held_head: Some(LogHead { size: 40, root: Sha256Digest::of(b"head") }),
        grants: vec![grant(1).digest],
        ..contact(Some(2), 3)
    };
    quiet.seen = Some(SeenClient::of(&sent, None, None));
    let decision = decide(facts(Some(quiet)), sent, None);
    assert!(decision.changes.is_empty());
    assert!(matches!(decision.notes.as_slice(), [Note::ContactAnswered { .. }]), "{:?}", decision.notes);
    let outcome = decision.answer.unwrap();
    assert!(outcome.lease.is_none() && outcome.assignment.is_none() && outcome.grants.is_empty());
    assert_eq!((outcome.held_head, outcome.receipt), (None, receipt(0, ANSWERED + 1)));
}

#[test]
fn how_a_contact_came_is_noted_once_and_stays_when_nobody_knows() {
    let came = |text: &str| Some(text.parse::<CameBy>().unwrap());
    let sent = contact(Some(2), 3);
    let seen = SeenClient::of(&sent, came("10.2.0.7"), None);
    assert_eq!(SeenClient::of(&sent, None, Some(&seen)), seen);
    assert_eq!(SeenClient::of(&sent, came("file"), Some(&seen)).came_by, came("file"));
    assert_eq!(SeenClient::of(&sent, came("10.2.0.7"), Some(&seen)), seen, "the same way is no news");
}

#[test]
fn a_retry_gets_the_answer_of_the_first_try_and_writes_nothing() {
    let mut client = client();
    let last = client.last.as_mut().unwrap();
    last.answer.lease = true;
    last.answer.held_head = Some(30);
    let decision = decide(facts(Some(client)), contact(Some(1), 2), None);
    assert!(decision.changes.is_empty() && decision.notes.is_empty());
    let outcome = decision.answer.unwrap();
    assert!(outcome.retry);
    assert_eq!(outcome.lease, Some(lease(5, 40, &[1])));
    assert_eq!((outcome.assignment, outcome.held_head), (None, Some(30)));
    assert_eq!(outcome.receipt, receipt(0, ANSWERED));
}

#[test]
fn the_words_of_a_retry_are_those_of_an_answer() {
    let mut plan = Plan::default();
    let key = SettingKey { kind: SettingKind::Block, name: "one".to_owned() };
    let block = serde_json::json!({ "of": { "computer": "pc-1" } });
    plan.settings.set(&SettingChange { key, value: Some(block) }).unwrap();
    let facts =
        ContactFacts { approved: vec![approved()].into(), plan: plan.into(), ..facts(Some(client())) };
    let said = decide(facts.clone(), contact(Some(2), 3), None).answer.unwrap().waits;
    assert_eq!(said.len(), 1, "{said:?}");
    let outcome = decide(facts, contact(Some(1), 2), None).answer.unwrap();
    assert!(outcome.retry);
    assert_eq!(outcome.waits, said);
}

#[test]
fn a_retry_does_not_get_an_assignment_of_what_was_stopped_since() {
    let mut client = client();
    let told = PackageAssignment::install(approved().release, approved().manifest, 1, 1);
    client.assignment = Some(Assignment { packages: vec![told], ..assignment(2) });
    client.last.as_mut().unwrap().answer.assignment = true;
    let retried = |approved: Vec<KnownRelease>| {
        let facts = ContactFacts { approved: approved.into(), ..facts(Some(client.clone())) };
        let outcome = decide(facts, contact(Some(1), 2), None).answer.unwrap();
        assert!(outcome.retry);
        outcome.assignment
    };
    assert_eq!(retried(vec![approved()]), client.assignment);
    assert_eq!(retried(Vec::new()), None, "halted, withdrawn or replaced after the answer that was lost");
}

#[test]
fn a_retry_does_not_lead_back_to_what_was_stopped_since() {
    let mut client = client();
    let told = PackageAssignment::install(approved().release, approved().manifest, 1, 1);
    let told = PackageAssignment { action: Action::Rollback, ..told };
    client.assignment = Some(Assignment { packages: vec![told], ..assignment(2) });
    client.last.as_mut().unwrap().answer.assignment = true;
    let retried = |kept: Vec<KnownRelease>| {
        let facts = ContactFacts { kept, ..facts(Some(client.clone())) };
        decide(facts, contact(Some(1), 2), None).answer.unwrap().assignment
    };
    for state in [ReleaseState::Approved, ReleaseState::Superseded] {
        assert_eq!(retried(vec![KnownRelease { state, ..approved() }]), client.assignment);
    }
    for state in [ReleaseState::Halted, ReleaseState::Withdrawn] {
        assert_eq!(retried(vec![KnownRelease { state, ..approved() }]), None, "{state}");
    }
    assert_eq!(retried(Vec::new()), None, "what it left is not left any more");
}

#[test]
fn a_computer_without_any_grant_is_not_led_back_either() {
    let bad = KnownRelease {
        manifest: Sha256Digest::of(b"bad"),
        state: ReleaseState::Halted,
        rollback: true,
        ..approved()
    };
    let runs = |release: &KnownRelease| InstalledPackage {
        release: release.release.clone(),
        kind: PackageKind::Program,
        counter: release.counter,
        manifest: release.manifest,
    };
    let told = |seats: Vec<HeldGrantText>| {
        let mut client = ContactClient { seats, ..client() };
        let sent = Contact { packages: vec![runs(&bad)], ..contact(Some(2), 3) };
        let before = Contact { packages: vec![runs(&approved())], ..sent.clone() };
        client.seen = Some(SeenClient::of(&before, None, None));
        let facts = ContactFacts { left: vec![bad.clone()], kept: vec![approved()], ..facts(Some(client)) };
        let packages = decide(facts, sent, None).answer.unwrap().assignment.map(|told| told.packages);
        packages.unwrap_or_default().into_iter().map(|told| told.action).collect::<Vec<_>>()
    };
    assert_eq!(told(vec![grant(1)]), [Action::Rollback]);
    assert_eq!(told(Vec::new()), []);
}

#[test]
fn a_client_that_lost_its_documents_gets_the_same_ones_again() {
    let facts = facts(Some(client()));
    let decision = decide(facts, Contact { highest: HighestOrders::new(), ..contact(Some(2), 3) }, None);
    let outcome = decision.answer.as_ref().unwrap();
    assert_eq!(outcome.lease, Some(lease(5, 40, &[1])));
    assert_eq!(outcome.assignment, Some(assignment(2)));
    assert!(decision.changes.is_empty());
}

#[test]
fn a_claim_without_what_was_signed_is_refused_and_changes_nothing() {
    for claimed in [highest(6, 2), highest(5, 3)] {
        let sent = Contact { highest: claimed, ..contact(Some(2), 3) };
        let decision = decide(facts(Some(client())), sent, None);
        assert_eq!(refused_without_a_trace(&decision), ProblemCode::LedgerBehind);
    }
}
