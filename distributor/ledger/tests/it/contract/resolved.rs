//! Contracts of two computers with one identity: both are noted, and an admin says which one goes on.

use sealpost_keys::SigningKey;
use sealpost_ledger::{Ledger, LedgerError};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::{ClientId, Nonce, SetupId};
use sealpost_manifests::wire::contact::Contact;
use sealpost_manifests::wire::problem::ProblemCode;
use sealpost_site::changes::{Actor, Change};
use sealpost_site::commands::clients::{Enroll, EnrollOutcome, ProvenCopy, ResolveCopies};
use sealpost_site::commands::contact::{AnswerContact, ContactOutcome};
use sealpost_site::commands::restores::DeclareRestore;
use sealpost_site::queries::{CopiesOf, GivenUpCopy, SetupOf};
use sealpost_site::rows::CopiesRow;
use sealpost_site::rules::came_by::CameBy;
use sealpost_site::rules::contact::{ClientState, NoncePair};
use sealpost_site::rules::copies::{Kept, branch_of};
use sealpost_site::rules::enrollment::{Proof, SetupState};
use sealpost_site::rules::restore::RestoreCause;
use sealpost_test_support::seats::Happens;
use sealpost_test_support::world::{Computer, World, admin, era};

use crate::bench::Bench;
use crate::fixture::{WorldExt, client, kinds_after, licenses, refused, sound, unchanged};

/// A computer that was answered and a copy of its home, which both go on; the copy comes second and shows the fork.
async fn forked(world: &World, ledger: &Ledger) -> (Computer, Computer) {
    world.unlock(ledger, 1).await;
    let mut first = world.enrolled(ledger, "pc-1").await;
    world.contacts(ledger, &mut first, 10).await;
    let mut second = first.clone();
    second.contacts = 100;
    second.hostname = Some("COPY".to_owned());
    world.contacts(ledger, &mut first, 20).await;
    assert_eq!(refused(tries(world, ledger, &second, 30).await), ProblemCode::ContactForked);
    (first, second)
}

/// The next contact of a computer, from an address.
async fn tries(
    world: &World,
    ledger: &Ledger,
    computer: &Computer,
    seconds: i64,
) -> Result<ContactOutcome, LedgerError> {
    let came_by = "192.0.2.7".parse().ok().map(CameBy::Network);
    ledger.execute(world.at(seconds), AnswerContact { came_by, ..world.answer(computer) }).await
}

async fn copies(ledger: &Ledger, computer: &Computer) -> CopiesRow {
    ledger.query(CopiesOf { name: computer.name.clone() }).await.unwrap().unwrap()
}

/// The nonces of its next contact.
fn pair(world: &World, computer: &Computer) -> NoncePair {
    let Contact { previous, next, .. } = world.contact(computer);
    NoncePair { previous, next }
}

fn branches(world: &World, first: &Computer, second: &Computer) -> [Sha256Digest; 2] {
    [branch_of(first.nonce.as_ref().unwrap()), branch_of(&pair(world, second).next)]
}

fn keep(computer: &Computer, branch: &Sha256Digest) -> ResolveCopies {
    let (actor, name) = (admin(), computer.name.clone());
    ResolveCopies { actor, name, keep: branch.short(), comment: String::new() }
}

/// The same computer with a key of its own.
fn with_new_key(computer: &Computer) -> Computer {
    Computer { key: SigningKey::generate().unwrap().public(), ..computer.clone() }
}

async fn goes_on(
    world: &World,
    ledger: &Ledger,
    (computer, pair): (&Computer, Option<NoncePair>),
    client_id: &ClientId,
    id: u8,
) -> Result<EnrollOutcome, LedgerError> {
    let copy = ProvenCopy { client_id: client_id.clone(), pair, setup: SetupId::from_random([id; 16]) };
    let new_id = ClientId::from_random([id; 16]);
    let enroll = Enroll { proof: Proof::None, copy: Some(copy), new_id, ..world.enroll(computer) };
    ledger.execute(world.at(100), enroll).await
}

pub(super) async fn both_copies_of_a_computer_are_noted_once_and_a_third_one_or_an_old_message_changes_nothing(
    world: &World,
    bench: &dyn Bench,
) {
    let mut ledger = bench.open();
    let (first, second) = forked(world, &ledger).await;
    let mut third = second.clone();
    third.contacts = 150;
    let head = ledger.head().size;
    for restart in [false, true] {
        if restart {
            ledger.close().await.unwrap();
            drop(ledger);
            ledger = bench.open();
        }
        let row = copies(&ledger, &first).await;
        assert_eq!((row.forked, row.kept), (true, Kept::Undecided));
        assert_eq!(
            row.copies.iter().map(|copy| copy.branch).collect::<Vec<_>>(),
            branches(world, &first, &second)
        );
        let [one, other] = row.copies.as_slice() else { panic!("{row:?}") };
        assert_eq!((one.seen_at, one.hostname.as_deref()), (world.at(20), Some("PC-1")));
        assert_eq!((other.seen_at, other.hostname.as_deref()), (world.at(30), Some("COPY")));
        assert_eq!(other.came_by, "192.0.2.7".parse().ok().map(CameBy::Network));
        for computer in [&first, &second, &third] {
            for _ in 0..2 {
                let refusal = tries(world, &ledger, computer, 40).await;
                assert_eq!(refused(refusal), ProblemCode::ContactForked);
            }
        }
        // What the one sent before, and what nobody sent.
        for (previous, next) in [(None, 1), (Some(1), 2), (Some(7), 8)] {
            let contact = Contact {
                previous: previous.map(|number| Nonce::from_random([number; 16])),
                next: Nonce::from_random([next; 16]),
                ..world.contact(&first)
            };
            let old = AnswerContact { contact, ..world.answer(&first) };
            assert_eq!(refused(ledger.execute(world.at(50), old).await), ProblemCode::ContactForked);
        }
        unchanged(&ledger, head);
    }
    sound(&ledger).await;
}

pub(super) async fn the_copy_that_is_kept_goes_on_with_a_new_key_and_the_other_one_is_given_up(
    world: &World,
    bench: &dyn Bench,
) {
    let mut ledger = bench.open();
    let (first, second) = forked(world, &ledger).await;
    let [of_first, of_second] = branches(world, &first, &second);
    let old = first.client_id.clone().unwrap();
    // Nobody goes on before one is kept.
    let mut own = with_new_key(&second);
    let early = goes_on(world, &ledger, (&own, Some(pair(world, &second))), &old, 77).await;
    assert_eq!(refused(early), ProblemCode::ContactForked);
    // It is decided, and decided anew.
    let head = ledger.head().size;
    for branch in [of_first, of_second, of_second] {
        assert_eq!(ledger.execute(world.at(60), keep(&first, &branch)).await.unwrap(), branch);
    }
    assert_eq!(kinds_after(&ledger, head).await, ["copy_resolved", "copy_resolved"]);
    let head = ledger.head().size;
    ledger.close().await.unwrap();
    drop(ledger);
    ledger = bench.open();
    assert_eq!(refused(tries(world, &ledger, &second, 70).await), ProblemCode::CopyKept);
    assert_eq!(refused(tries(world, &ledger, &first, 70).await), ProblemCode::CopyGivenUp);
    let not_kept = goes_on(world, &ledger, (&own, Some(pair(world, &first))), &old, 77).await;
    assert_eq!(refused(not_kept), ProblemCode::CopyGivenUp);
    unchanged(&ledger, head);
    assert_eq!(ledger.query(GivenUpCopy { client_id: old.clone() }).await.unwrap(), None);

    let enrolled = goes_on(world, &ledger, (&own, Some(pair(world, &second))), &old, 77).await.unwrap();
    let head = ledger.head().size;
    // The answer was lost: the same key gets it again, and no other one does.
    let holder = enrolled.enrolled.client_id.clone();
    let again = goes_on(world, &ledger, (&own, None), &holder, 78).await.unwrap();
    assert_eq!(again.enrolled, enrolled.enrolled);
    let other = with_new_key(&second);
    for (proof, id) in [(Some(pair(world, &second)), &old), (None, &old), (None, &holder)] {
        let refusal = goes_on(world, &ledger, (&other, proof), id, 79).await;
        assert!(
            matches!(refused(refusal), ProblemCode::CopyGivenUp | ProblemCode::ContactForked),
            "the old key is dead"
        );
    }
    unchanged(&ledger, head);
    own.enrolled(&enrolled);
    own.contacts = 0;
    world.contacts(&ledger, &mut own, 200).await;
    assert!(own.lease.is_some());
    let row = client(&ledger, &first.name).await;
    assert_eq!((row.state, row.client_id), (ClientState::Active, Some(holder)));
    assert_eq!((licenses(&ledger).await[0].used, licenses(&ledger).await[0].active), (1, 1));
    assert!(copies(&ledger, &first).await.copies.is_empty());
    // The other one is known by its id; what it signed before changes nothing.
    assert_eq!(ledger.query(GivenUpCopy { client_id: old }).await.unwrap(), Some(first.name.clone()));
    let head = ledger.head().size;
    let shows = world.tries_to_go_on(&ledger, &first, 300, 1).await;
    assert_eq!(refused(shows), ProblemCode::CopyGivenUp);
    unchanged(&ledger, head);
    // The setup file that both have on their disks is not free again.
    assert_eq!(ledger.query(SetupOf { name: first.name.clone() }).await.unwrap(), SetupState::Reserved);
    sound(&ledger).await;
}

pub(super) async fn a_kept_copy_that_goes_on_uses_up_no_setup_file_and_no_admission_of_its_name(
    world: &World,
    bench: &dyn Bench,
) {
    let ledger = bench.open();
    let (first, second) = forked(world, &ledger).await;
    let [_, of_second] = branches(world, &first, &second);
    ledger.execute(world.at(60), keep(&first, &of_second)).await.unwrap();
    let admits = bench.copy();
    ledger.close().await.unwrap();
    drop(ledger);
    for (by_code, bench) in [(true, bench), (false, &*admits)] {
        let ledger = bench.open();
        // Somebody means to set the computer up anew, and the copy goes on before.
        let mut anew = world.computer("pc-1").with_setup(5);
        if by_code {
            ledger.execute(world.at(61), anew.issue_setup()).await.unwrap();
        } else {
            let waits = ledger.execute(world.at(60), world.knock(&anew)).await;
            assert_eq!(refused(waits), ProblemCode::WaitsForAdmission);
            ledger.execute(world.at(61), anew.admit(5)).await.unwrap();
        }
        let old = first.client_id.clone().unwrap();
        let own = with_new_key(&second);
        goes_on(world, &ledger, (&own, Some(pair(world, &second))), &old, 77).await.unwrap();
        let SetupState::Issued(issued) = ledger.query(SetupOf { name: first.name.clone() }).await.unwrap()
        else {
            panic!("what was issued is gone")
        };
        assert_eq!((issued.used_by, issued.admitted.is_none()), (None, by_code));
        let enroll = if by_code { world.enroll(&anew) } else { world.knock(&anew) };
        let outcome = ledger.execute(world.at(110), enroll).await.unwrap();
        anew.enrolled(&outcome);
        world.contacts(&ledger, &mut anew, 120).await;
        assert_eq!(client(&ledger, &first.name).await.client_key, Some(anew.key));
        assert_eq!((licenses(&ledger).await[0].used, licenses(&ledger).await[0].active), (1, 1));
        sound(&ledger).await;
    }
}

pub(super) async fn a_copy_that_was_found_before_copies_were_noted_is_noted_when_it_comes(
    world: &World,
    bench: &dyn Bench,
) {
    let ledger = bench.open();
    world.unlock(&ledger, 1).await;
    let mut first = world.enrolled(&ledger, "pc-1").await;
    world.contacts(&ledger, &mut first, 10).await;
    let mut second = first.clone();
    second.contacts = 100;
    world.contacts(&ledger, &mut first, 20).await;
    let client_id = first.client_id.clone().unwrap();
    let actor = Actor::Client { client_id: client_id.clone(), name: first.name.clone() };
    // As an earlier version wrote it.
    let before = Happens(vec![(actor, Change::ForkDetected { client_id })]);
    ledger.execute(world.at(25), before).await.unwrap();
    assert!(copies(&ledger, &first).await.copies.is_empty());
    let nobody = keep(&first, &Sha256Digest::of(b"none"));
    assert_eq!(refused(ledger.execute(world.at(26), nobody).await), ProblemCode::NotFound);
    let head = ledger.head().size;
    for _ in 0..2 {
        assert_eq!(refused(tries(world, &ledger, &first, 30).await), ProblemCode::ContactForked);
    }
    assert_eq!(kinds_after(&ledger, head).await, ["copy_seen"]);
    for _ in 0..2 {
        assert_eq!(refused(tries(world, &ledger, &second, 40).await), ProblemCode::ContactForked);
    }
    assert_eq!(kinds_after(&ledger, head).await, ["copy_seen", "copy_seen"]);
    let found: Vec<_> = copies(&ledger, &first).await.copies.iter().map(|copy| copy.branch).collect();
    assert_eq!(found, branches(world, &first, &second));
    sound(&ledger).await;
}

pub(super) async fn what_was_decided_about_copies_outlives_a_rebuild_from_the_log(
    world: &World,
    bench: &dyn Bench,
) {
    let ledger = bench.open();
    let (first, second) = forked(world, &ledger).await;
    let [_, of_second] = branches(world, &first, &second);
    ledger.execute(world.at(60), keep(&first, &of_second)).await.unwrap();
    let before = copies(&ledger, &first).await;
    ledger.close().await.unwrap();
    drop(ledger);
    let rebuilt = bench.rebuilt();
    let ledger = rebuilt.open();
    assert_eq!(copies(&ledger, &first).await, before);
    // Notes are gone, and with them the last pair: the branches are told apart all the same.
    assert_eq!(refused(tries(world, &ledger, &second, 70).await), ProblemCode::CopyKept);
    assert_eq!(refused(tries(world, &ledger, &first, 70).await), ProblemCode::CopyGivenUp);
}

/// A backup that knows that the first copy was kept; the ledger then lost that the second one was, and that it went on.
pub(super) async fn what_was_decided_before_a_restore_lets_no_copy_go_on_before_it_is_decided_again(
    world: &World,
    bench: &dyn Bench,
) {
    const RESTORED: i64 = 1_000;
    let ledger = bench.open();
    let (first, second) = forked(world, &ledger).await;
    let [of_first, of_second] = branches(world, &first, &second);
    let old = first.client_id.clone().unwrap();
    ledger.execute(world.at(60), keep(&first, &of_first)).await.unwrap();
    let backup = bench.copy();
    ledger.execute(world.at(61), keep(&first, &of_second)).await.unwrap();
    let mut own = with_new_key(&second);
    let enrolled = goes_on(world, &ledger, (&own, Some(pair(world, &second))), &old, 77).await.unwrap();
    own.enrolled(&enrolled);
    own.contacts = 0;
    world.contacts(&ledger, &mut own, 200).await;
    let head = ledger.head();
    ledger.close().await.unwrap();
    drop(ledger);

    // In one of two the one that went on comes; in the other one the first is kept once more before it does.
    let again = backup.copy();
    for (restored, decided_again) in [(backup, false), (again, true)] {
        let mut ledger = restored.open();
        let cause = RestoreCause::BackupRestored { head };
        let declared = DeclareRestore { actor: admin(), cause, new_era: era(1) };
        ledger.execute(world.at(RESTORED), declared).await.unwrap();
        ledger.execute(world.at(RESTORED), world.asks_to_confirm(2)).await.unwrap();
        world.accept(&ledger, world.confirming(2, 2, 1)).await.unwrap();
        let dead = with_new_key(&first);
        for restart in [false, true] {
            if restart {
                ledger.close().await.unwrap();
                drop(ledger);
                ledger = restored.open();
            }
            let head = ledger.head().size;
            assert_eq!(copies(&ledger, &first).await.kept, Kept::BeforeRestore(of_first));
            for copy in [&first, &second] {
                let contact = tries(world, &ledger, copy, RESTORED).await;
                assert_eq!(refused(contact), ProblemCode::ContactForked);
                let tries = goes_on(world, &ledger, (&dead, Some(pair(world, copy))), &old, 78).await;
                assert_eq!(refused(tries), ProblemCode::ContactForked, "nobody decided since");
            }
            unchanged(&ledger, head);
        }
        if decided_again {
            let head = ledger.head().size;
            for _ in 0..2 {
                ledger.execute(world.at(RESTORED), keep(&first, &of_first)).await.unwrap();
            }
            assert_eq!(
                kinds_after(&ledger, head).await,
                ["copy_resolved"],
                "also at the very time of the restore"
            );
            assert_eq!(copies(&ledger, &first).await.kept, Kept::Branch(of_first));
            assert_eq!(refused(tries(world, &ledger, &first, RESTORED).await), ProblemCode::CopyKept);
            assert_eq!(refused(tries(world, &ledger, &second, RESTORED).await), ProblemCode::CopyGivenUp);
            goes_on(world, &ledger, (&dead, Some(pair(world, &first))), &old, 78).await.unwrap();
            assert_eq!(client(&ledger, &first.name).await.client_key, Some(dead.key));
        } else {
            world.goes_on(&ledger, &mut own, RESTORED, 2).await;
            assert_eq!(client(&ledger, &first.name).await.client_key, Some(own.key.clone()));
            let late = goes_on(world, &ledger, (&dead, Some(pair(world, &first))), &old, 78).await;
            assert_eq!(refused(late), ProblemCode::CopyGivenUp);
            assert!(client(&ledger, &first.name).await.client_id == own.client_id);
        }
        sound(&ledger).await;
    }
}
