//! Commands of one batch: what fails one of them, or all, is told to exactly those.

use std::collections::BTreeSet;
use std::sync::mpsc;
use std::time::Duration;

use futures_util::FutureExt;
use sealpost_ledger::sqlite::verify_file;
use sealpost_ledger::{Ledger, LedgerError};
use sealpost_site::commands::clients::{ReserveMany, Seat, Wanted};
use sealpost_site::commands::{Command, Context, Decision, NoFacts};
use sealpost_site::rules::names::MixedScripts;
use sealpost_test_support::world::{World, admin, computer_name, reserve};

use super::store::{Call, Fault};
use super::{MOST_CALLS, faulty, goes_on, stored_head};
use crate::bench::SqliteBench;
use crate::fixture::{WorldExt, clients, licenses, sound};

/// Holds the writer until it is told to go on, so that what is sent meanwhile is one batch.
#[derive(Debug)]
struct Hold {
    begun: tokio::sync::oneshot::Sender<()>,
    go: mpsc::Receiver<()>,
}

impl Command for Hold {
    type Facts = NoFacts;
    type Answer = ();
    const ATTEMPTED: &'static str = "hold the writer";

    fn facts(&self) -> NoFacts {
        NoFacts
    }

    fn decide(self, (): (), _: &Context<'_>) -> Decision<()> {
        self.begun.send(()).unwrap();
        self.go.recv_timeout(Duration::from_secs(30)).unwrap();
        Decision::answer(())
    }
}

/// Three computers want two seats, in one batch; `arm` is called right before.
async fn three_want_two(world: &World, ledger: &Ledger, arm: impl FnOnce()) -> [Result<(), LedgerError>; 3] {
    let (begun, begins) = tokio::sync::oneshot::channel();
    let (go, wait) = mpsc::channel();
    let mut holder = Box::pin(ledger.execute(world.at(2), Hold { begun, go: wait }));
    assert!((&mut holder).now_or_never().is_none());
    begins.await.unwrap();
    arm();
    let mut sent = ["pc-1", "pc-2", "pc-3"].map(|name| Box::pin(ledger.execute(world.at(2), reserve(name))));
    for answer in &mut sent {
        assert!(answer.now_or_never().is_none());
    }
    go.send(()).unwrap();
    holder.await.unwrap();
    let [first, second, third] = sent;
    [first.await.map(drop), second.await.map(drop), third.await.map(drop)]
}

/// Answers which call failed, if that many were made.
async fn fails_once(nth: u32, fault: Fault) -> Option<Call> {
    let world = World::new();
    let bench = SqliteBench::new(&world);
    let (ledger, faults) = faulty(&bench);
    world.unlock(&ledger, 2).await;
    let before = stored_head(&ledger).await;
    let answers = three_want_two(&world, &ledger, || faults.arm(nth, fault)).await;
    let call = faults.disarm();
    let place = format!("{fault:?} at {call:?}, the {nth}th: {answers:?}");
    if fault == Fault::BeforeAndNoRollBack {
        goes_on(&ledger, world.at(2)).await;
    }
    let held: Vec<String> = clients(&ledger).await.iter().map(|row| row.name.to_string()).collect();
    let lost = (call, fault) == (Some(Call::Commit), Fault::After);
    for (name, answer) in ["pc-1", "pc-2", "pc-3"].into_iter().zip(&answers) {
        let is_there = held.iter().any(|row| row == name);
        match answer {
            Ok(()) => assert!(is_there, "{name} was answered and is not there: {place}"),
            Err(LedgerError::Failed { .. }) if lost => {}
            Err(LedgerError::Failed { .. }) => assert!(!is_there, "{name} failed and is there: {place}"),
            Err(LedgerError::Refused(_)) => {
                assert!(!is_there && held.len() == 2, "{name} was refused for nothing: {place}");
            }
            Err(error) => panic!("{error:?}: {place}"),
        }
    }
    assert_eq!(licenses(&ledger).await[0].used, u32::try_from(held.len()).unwrap(), "{place}");
    assert_eq!(stored_head(&ledger).await.size, before.size + held.len() as u64, "{place}");
    for name in ["pc-1", "pc-2", "pc-3"] {
        match ledger.execute(world.at(3), reserve(name)).await {
            Ok(_) | Err(LedgerError::Refused(_)) => {}
            Err(error) => panic!("{error:?} without a fault: {place}"),
        }
    }
    assert_eq!(licenses(&ledger).await[0].used, 2, "{place}");
    sound(&ledger).await;
    let head = ledger.head();
    ledger.close().await.unwrap();
    let check = verify_file(&bench.path(), vec![head]).unwrap();
    assert_eq!(check.damage, None, "{place}");
    call
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_of_a_batch_is_told_what_became_of_it_whatever_fails() {
    for fault in Fault::ALL {
        let mut nth = 1;
        while fails_once(nth, fault).await.is_some() {
            nth += 1;
            assert!(nth < MOST_CALLS, "a batch of three never ends");
        }
        assert!(nth > 8, "a batch of three makes more calls");
    }
}

/// Six names want a seat, of which the first holds one and the last finds none: the seats that they take, hold and do not get.
async fn six_want_four(world: &World, ledger: &Ledger, seconds: i64) -> Result<[usize; 3], LedgerError> {
    let wanted =
        |number| Wanted { name: computer_name(&format!("pc-{number}")), channel: None, serial: None };
    let wanted = (1..=6).map(wanted).collect();
    let many = ReserveMany { actor: admin(), wanted, mixed: MixedScripts::AskBack };
    let seats = ledger.execute(world.at(seconds), many).await?;
    let of = |is: &dyn Fn(&Seat) -> bool| seats.iter().filter(|seat| is(seat)).count();
    Ok([
        of(&|seat| matches!(seat, Seat::Taken { .. })),
        of(&|seat| matches!(seat, Seat::Held { .. })),
        of(&|seat| matches!(seat, Seat::Refused { .. })),
    ])
}

/// Answers which call failed, if that many were made.
async fn many_fail_once(world: &World, nth: u32, fault: Fault) -> Option<Call> {
    let bench = SqliteBench::new(world);
    let (ledger, faults) = faulty(&bench);
    world.unlock(&ledger, 5).await;
    ledger.execute(world.at(2), reserve("pc-1")).await.unwrap();
    let before = stored_head(&ledger).await.size;
    faults.arm(nth, fault);
    let answer = six_want_four(world, &ledger, 3).await;
    let call = faults.disarm();
    let place = format!("{fault:?} at {call:?}, the {nth}th: {answer:?}");
    if fault == Fault::BeforeAndNoRollBack {
        goes_on(&ledger, world.at(3)).await;
    }
    let (is_there, again) = match (call, &answer) {
        (None, Ok(seats)) => {
            assert_eq!(*seats, [4, 1, 1], "{place}");
            (true, [0, 5, 1])
        }
        // Only the answer of the commit was lost.
        (Some(Call::Commit), Err(LedgerError::Failed { .. })) if fault == Fault::After => (true, [0, 5, 1]),
        (Some(_), Err(LedgerError::Failed { .. })) => (false, [4, 1, 1]),
        _ => panic!("{place}"),
    };
    let (entries, names, used) = if is_there { (4, 5, 5) } else { (0, 1, 1) };
    assert_eq!(stored_head(&ledger).await.size, before + entries, "all of it or nothing: {place}");
    assert_eq!((clients(&ledger).await.len(), licenses(&ledger).await[0].used), (names, used), "{place}");
    // The same file once more completes it.
    assert_eq!(six_want_four(world, &ledger, 4).await.unwrap(), again, "{place}");
    assert_eq!(stored_head(&ledger).await.size, before + 4, "{place}");
    assert_eq!((clients(&ledger).await.len(), licenses(&ledger).await[0].used), (5, 5), "{place}");
    sound(&ledger).await;
    let head = ledger.head();
    ledger.close().await.unwrap();
    let check = verify_file(&bench.path(), vec![head]).unwrap();
    assert_eq!(check.damage, None, "{place}");
    call
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_reservations_that_fail_in_their_middle_nothing_is_left_and_the_same_again_completes_them() {
    let world = World::new();
    let mut met = BTreeSet::new();
    for fault in Fault::ALL {
        let mut nth = 1;
        while let Some(call) = many_fail_once(&world, nth, fault).await {
            met.insert(call);
            nth += 1;
            assert!(nth < MOST_CALLS, "a batch never ends");
        }
        assert!(nth > 4, "four seats are four entries");
    }
    for call in [Call::Read, Call::Begin, Call::Savepoint, Call::Append, Call::Commit] {
        assert!(met.contains(&call), "{call:?} never failed");
    }
}
