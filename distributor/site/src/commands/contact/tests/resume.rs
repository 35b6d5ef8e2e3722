//! A restored ledger: who goes on, from where, and who does not.

use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::ClientId;
use sealpost_manifests::order::{Epoch, Ordered};
use sealpost_manifests::wire::contact::Contact;
use sealpost_manifests::wire::problem::ProblemCode;

use super::fixture::{
    ANSWERED, LOGGED, TODAY, assignment, at, client, client_id, contact, decide, era, facts, grant, kinds,
    lease, leased, lost, name, nonce, order, progress, receipt, refused_without_a_trace, restored, serial,
    shown, word,
};
use crate::changes::{Actor, Change, DisplacedComputer, Note, Recreated};
use crate::commands::Decision;
use crate::commands::contact::{ContactClient, ContactFacts, ContactOutcome, LostFacts, SeenClient, Shown};
use crate::rules::restore::{NameHolder, Progress, RestoreCause, RestoreState};

/// The right computer after the restore: it made ten contacts that the ledger lost.
fn right_receipt() -> crate::rules::restore::Receipt {
    receipt(0, ANSWERED + 10)
}

/// Facts about a client that the ledger knows, and what may be lost beside it.
fn known(client: ContactClient, restore: RestoreState) -> ContactFacts {
    ContactFacts { restore, lost: Some(lost()), ..facts(Some(client)) }
}

/// Facts about a client that the ledger lost.
fn unknown(lost: LostFacts, restore: RestoreState) -> ContactFacts {
    ContactFacts { restore, lost: Some(lost), ..facts(None) }
}

/// A contact that follows one which the ledger does not have.
fn lost_contact() -> Contact {
    contact(Some(31), 32)
}

/// The resumption among the changes.
fn resumption(decision: &Decision<ContactOutcome>) -> Change {
    let found = decision.changes.iter().find(|(_, change)| matches!(change, Change::ClientResumed { .. }));
    let (actor, change) = found.unwrap();
    assert_eq!(*actor, Actor::Client { client_id: client_id(), name: name() });
    change.clone()
}

fn recreated(decision: &Decision<ContactOutcome>) -> Option<Recreated> {
    match resumption(decision) {
        Change::ClientResumed { recreated, .. } => recreated,
        other => unreachable!("{other:?}"),
    }
}

fn displaced(decision: &Decision<ContactOutcome>) -> Option<DisplacedComputer> {
    match resumption(decision) {
        Change::ClientResumed { displaces, .. } => displaces,
        other => unreachable!("{other:?}"),
    }
}

#[test]
fn the_first_client_that_shows_more_tells_the_ledger_of_its_loss_and_goes_on_above_what_it_shows() {
    let mut sent = lost_contact();
    // Of types that this version does not issue it is taken at its word; of the others at its documents.
    sent.highest.insert(word("settings"), order(6));
    sent.highest.insert(word("lease"), order(900));
    let shows = Shown { lease: lease(8, LOGGED + 10, &[1]), ..shown(Some(right_receipt())) };
    let decision = decide(known(client(), RestoreState::default()), sent, Some(shows.clone()));
    assert_eq!(kinds(&decision), ["ledger_restored", "client_resumed", "lease_issued", "assignment_changed"]);
    assert_eq!(decision.changes[0].0, Actor::Server);
    let Change::LedgerRestored { era: new_era, cause, epoch, resumes_until, lost_era } =
        &decision.changes[0].1
    else {
        panic!("{:?}", decision.changes[0]);
    };
    assert_eq!(lost_era, &None, "the era goes on in which something was lost");
    let expected = RestoreCause::ClientKnowsMore {
        client_id: client_id(),
        lease: order(8),
        head: shows.lease.ledger_head,
        contacts: ANSWERED + 10,
    };
    assert_eq!((new_era, cause), (&era(9), &expected));
    assert_eq!((*epoch, *resumes_until), (Epoch::of(1, 0), at(TODAY + 30)));
    let Change::ClientResumed { era: of, contacts, shown, provisional_until, recreated, displaces, .. } =
        resumption(&decision)
    else {
        unreachable!()
    };
    assert_eq!((of, contacts, provisional_until), (era(9), ANSWERED + 10, at(TODAY + 30)));
    assert_eq!((recreated, displaces), (None, None));
    assert_eq!(
        shown.into_iter().collect::<Vec<_>>(),
        [(word("assignment"), order(4)), (word("lease"), order(8)), (word("settings"), order(6))]
    );
    // What it holds from now on is above all of that, and names the same seats for one term.
    assert_eq!(leased(&decision), Some(order(9)));
    let outcome = decision.answer.as_ref().unwrap();
    let issued = outcome.lease.as_ref().unwrap();
    assert_eq!(issued.entitlements[0].serial, serial(1));
    assert_eq!(issued.not_after(), Some(at(TODAY + 30)));
    assert_eq!(issued.ledger_head.size, LOGGED, "a head that this ledger has");
    assert_eq!(outcome.assignment.as_ref().map(Ordered::order), Some(order(5)));
    let expected = Progress { last: receipt(9, ANSWERED + 11), base: ANSWERED + 10 };
    assert_eq!((progress(&decision), &outcome.receipt), (expected, &receipt(9, ANSWERED + 11)));
    let answered = decision.notes.iter().any(|note| match note {
        Note::ContactAnswered { previous, next, .. } => (previous, next) == (&Some(nonce(31)), &nonce(32)),
        _ => false,
    });
    assert!(answered, "its nonces go on");
}

#[test]
fn a_higher_epoch_that_is_shown_is_the_one_that_the_vendor_has_to_raise() {
    let mut shows = shown(Some(right_receipt()));
    shows.lease.epoch = Epoch::of(3, 0);
    let decision = decide(known(client(), RestoreState::default()), lost_contact(), Some(shows));
    let Change::LedgerRestored { epoch, .. } = &decision.changes[0].1 else { panic!() };
    assert_eq!(*epoch, Epoch::of(3, 0));
    let order = leased(&decision).unwrap();
    assert_eq!((order.epoch, order.sequence), (Epoch::of(3, 0), 9));
}

#[test]
fn a_lost_era_is_a_loss_once_and_not_again_with_each_client_that_comes_from_it() {
    let shows = || Some(shown(Some(receipt(5, ANSWERED + 10))));
    let first = decide(known(client(), restored()), lost_contact(), shows());
    let Change::LedgerRestored { era: present, lost_era, .. } = &first.changes[0].1 else { panic!() };
    assert_eq!((present, lost_era), (&era(9), &Some(era(5))));
    let mut state = restored();
    state.era = era(9);
    state.past = vec![era(0), era(1), era(5)];
    let next = decide(known(client(), state), lost_contact(), shows());
    assert_eq!(kinds(&next)[0], "client_resumed");
}

#[test]
fn in_a_ledger_that_knows_of_its_restore_a_client_goes_on_without_a_second_one() {
    let decision = decide(known(client(), restored()), lost_contact(), Some(shown(Some(right_receipt()))));
    assert_eq!(kinds(&decision), ["client_resumed", "lease_issued", "assignment_changed"]);
    assert_eq!(progress(&decision).last, receipt(1, ANSWERED + 11));
}

#[test]
fn a_client_whose_documents_alone_are_ahead_is_resumed_too() {
    // The nonces of the backup fit, and the lease that it holds is none of the ledger's.
    let sent = Contact { highest: super::fixture::highest(8, 4), ..contact(Some(2), 33) };
    let decision =
        decide(known(client(), RestoreState::default()), sent.clone(), Some(shown(Some(right_receipt()))));
    assert_eq!(kinds(&decision)[..2], ["ledger_restored", "client_resumed"]);
    let unshown = decide(known(client(), RestoreState::default()), sent, None);
    assert_eq!(refused_without_a_trace(&unshown), ProblemCode::LedgerBehind);
}

#[test]
fn a_lost_client_comes_back_with_its_seats_and_its_name() {
    let older = NameHolder { client_id: ClientId::from_random([7; 16]), era: era(0), resumed_head: None };
    let lost = LostFacts {
        reserved: [serial(1)].into(),
        holder: Some(older.clone()),
        seats: vec![grant(1), grant(2)],
        ..lost()
    };
    let shows = Shown { lease: lease(8, LOGGED + 10, &[1, 2]), ..shown(Some(receipt(0, 10))) };
    let decision = decide(unknown(lost, restored()), lost_contact(), Some(shows));
    assert_eq!(kinds(&decision)[0], "client_resumed");
    let made = recreated(&decision).unwrap();
    assert_eq!((made.serials, made.head), (vec![serial(2)], LOGGED + 10), "what the ledger has is not made");
    assert_eq!((made.replaces, made.agent_version.as_str()), (Some(older.client_id), "1.0"));
    let lease = decision.answer.as_ref().unwrap().lease.clone().unwrap();
    let serials: Vec<_> = lease.entitlements.iter().map(|seat| seat.serial.clone()).collect();
    assert_eq!(serials, [serial(1), serial(2)]);
    assert_eq!(progress(&decision), Progress { last: receipt(1, 11), base: 10 });
}

#[test]
fn a_lost_client_takes_its_name_back_also_when_it_is_the_first_to_show_the_loss() {
    let older = NameHolder { client_id: ClientId::from_random([7; 16]), era: era(0), resumed_head: None };
    let lost = LostFacts { holder: Some(older.clone()), ..lost() };
    let decision =
        decide(unknown(lost, RestoreState::default()), lost_contact(), Some(shown(Some(receipt(0, 10)))));
    assert_eq!(kinds(&decision)[..2], ["ledger_restored", "client_resumed"]);
    assert_eq!(recreated(&decision).unwrap().replaces, Some(older.client_id));
}

#[test]
fn a_known_client_gets_back_the_further_seat_that_the_ledger_lost() {
    let shows = Shown { lease: lease(8, LOGGED + 10, &[1, 2]), ..shown(Some(right_receipt())) };
    let decision = decide(known(client(), restored()), lost_contact(), Some(shows));
    let made = recreated(&decision).unwrap();
    assert_eq!((made.serials, made.replaces), (vec![serial(2)], None));
}

#[test]
fn a_client_that_the_ledger_itself_replaced_or_never_had_does_not_come_back() {
    let shows = || Some(shown(Some(receipt(0, 10))));
    let newer = NameHolder { client_id: ClientId::from_random([7; 16]), era: era(1), resumed_head: None };
    let cases = [
        LostFacts { was_replaced: true, ..lost() },
        LostFacts { head_is_known: true, ..lost() },
        LostFacts { holder: Some(newer), ..lost() },
    ];
    for lost in cases {
        let decision = decide(unknown(lost, restored()), lost_contact(), shows());
        assert_eq!(refused_without_a_trace(&decision), ProblemCode::UnknownComputer);
    }
    let unshown = decide(facts(None), lost_contact(), None);
    assert_eq!(refused_without_a_trace(&unshown), ProblemCode::UnknownComputer);
}

/// The client after a thief with a copy of its disk went on first, from contact `base` of before the restore.
fn resumed_before(base: u64) -> ContactClient {
    let mut client = client();
    client.resumed = true;
    client.last.as_mut().unwrap().progress = Progress { last: receipt(1, 500), base };
    client.seen = Some(SeenClient {
        platform: sealpost_manifests::ids::Platform::any(),
        agent_version: "1.0".to_owned(),
        instance: Some(Sha256Digest::of(b"the thief's computer")),
        hostname: None,
        installed: Vec::new(),
        before: Vec::new(),
        tags: Vec::new(),
        postponed: Vec::new(),
        came_by: None,
    });
    client
}

#[test]
fn who_came_further_displaces_who_went_on_first_and_both_are_named() {
    let thief = resumed_before(ANSWERED + 2);
    let decision =
        decide(known(thief.clone(), restored()), lost_contact(), Some(shown(Some(right_receipt()))));
    let expected = DisplacedComputer {
        contacts: ANSWERED + 2,
        instance: Some(Sha256Digest::of(b"the thief's computer")),
    };
    assert_eq!(displaced(&decision), Some(expected));
    // The nonces are the right computer's from now on; the thief's follow nothing, and its receipts are of this era.
    let mut after = thief;
    after.last.as_mut().unwrap().progress = progress(&decision);
    for receipt in [receipt(1, 500), receipt(0, ANSWERED + 2)] {
        let late =
            decide(known(after.clone(), restored()), contact(Some(77), 78), Some(shown(Some(receipt))));
        assert_eq!(refused_without_a_trace(&late), ProblemCode::Displaced);
    }
}

#[test]
fn an_old_copy_of_a_disk_does_not_go_on_where_the_ledger_came_further() {
    let shows = Some(shown(Some(receipt(0, ANSWERED - 1))));
    let decision = decide(known(client(), restored()), lost_contact(), shows);
    assert_eq!(refused_without_a_trace(&decision), ProblemCode::Displaced);
}

#[test]
fn a_clone_that_shows_the_very_same_contacts_is_a_fork_and_an_admin_decides() {
    let first = resumed_before(ANSWERED + 10);
    let decision = decide(known(first, restored()), lost_contact(), Some(shown(Some(right_receipt()))));
    assert_eq!(decision.answer.as_ref().unwrap_err().code, ProblemCode::ContactForked);
    assert_eq!(kinds(&decision), ["fork_detected", "copy_seen", "copy_seen"]);
    assert!(decision.notes.is_empty());
    let forked = ContactClient { forked: true, ..client() };
    let later = decide(known(forked, restored()), lost_contact(), Some(shown(Some(right_receipt()))));
    assert_eq!(refused_without_a_trace(&later), ProblemCode::ContactForked);
}

#[test]
fn without_the_vendors_trust_document_a_resumed_client_gets_its_term_and_keeps_its_assignment() {
    let client = ContactClient { seats: Vec::new(), ..client() };
    let facts = ContactFacts { has_trust: false, epoch: Epoch::default(), ..known(client, restored()) };
    let decision = decide(facts, lost_contact(), Some(shown(Some(right_receipt()))));
    assert_eq!(kinds(&decision), ["client_resumed", "lease_issued"]);
    let outcome = decision.answer.as_ref().unwrap();
    assert!(outcome.assignment.is_none(), "an empty one would take away what it shows");
    assert!(outcome.notice.as_ref().unwrap().contains("no trust document of the vendor"));
}

#[test]
fn without_a_receipt_of_this_server_nobody_goes_on() {
    let decision = decide(known(client(), restored()), lost_contact(), Some(shown(None)));
    assert_eq!(refused_without_a_trace(&decision), ProblemCode::NonceUnknown);
    // Its signed lease alone shows that something was lost, if nothing is known of a loss yet.
    let found = decide(known(client(), RestoreState::default()), lost_contact(), Some(shown(None)));
    assert_eq!(found.answer.as_ref().unwrap_err().code, ProblemCode::NonceUnknown);
    assert_eq!(kinds(&found), ["ledger_restored"]);
}

#[test]
fn a_ledger_that_lost_nothing_believes_no_old_disk_and_writes_nothing() {
    let lost = LostFacts { head_is_known: true, ..lost() };
    for (contacts, lease_number) in [(12, 3), (ANSWERED, 5)] {
        let shows = Shown {
            lease: lease(lease_number, LOGGED - 10, &[1]),
            assignment: Some(assignment(2)),
            ..shown(Some(receipt(0, contacts)))
        };
        let facts = ContactFacts { lost: Some(lost.clone()), ..facts(Some(client())) };
        let decision = decide(facts, lost_contact(), Some(shows));
        assert_eq!(refused_without_a_trace(&decision), ProblemCode::NonceUnknown);
    }
}

#[test]
fn a_lease_that_is_over_and_a_window_that_is_closed_resume_nobody() {
    let mut over = shown(Some(right_receipt()));
    over.lease.entitlements[0].not_after = at(TODAY - 1);
    let decision = decide(known(client(), restored()), lost_contact(), Some(over.clone()));
    assert_eq!(refused_without_a_trace(&decision), ProblemCode::NoLease);
    over.lease.entitlements.clear();
    let decision = decide(known(client(), restored()), lost_contact(), Some(over));
    assert_eq!(refused_without_a_trace(&decision), ProblemCode::NoLease, "a lease without a seat");
    let mut closed = restored();
    closed.restored.as_mut().unwrap().resumes_until = at(TODAY - 1);
    let decision = decide(known(client(), closed), lost_contact(), Some(shown(Some(right_receipt()))));
    assert_eq!(refused_without_a_trace(&decision), ProblemCode::NonceUnknown);
}

#[test]
fn a_contact_in_order_is_answered_as_such_whatever_it_shows_beside_it() {
    let decision = decide(known(client(), restored()), contact(Some(2), 3), Some(shown(None)));
    assert!(decision.answer.is_ok());
    assert!(!kinds(&decision).contains(&"client_resumed"), "{:?}", kinds(&decision));
    assert_eq!(progress(&decision), Progress { last: receipt(1, ANSWERED + 1), base: ANSWERED });
}
