//! Failures of the database under a running ledger: what was answered is there, nothing else is, and it goes on.

use std::time::Duration;

use futures_util::FutureExt;
use jiff::Timestamp;
use sealpost_site::commands::Command;
use sealpost_site::commands::clients::Reserve;
use sealpost_site::commands::pulls::PullFailed;
use sealpost_site::queries::{Activity, ClientByName, Licenses};
use sealpost_test_support::world::{World, reserve};

use super::LedgerFile;
use super::hooked::{BREAKS_ITS_BATCH, BREAKS_ITS_COMMAND, Hooked, Nothing};
use crate::sqlite::verify_file;
use crate::store::{Read, WriteStore};
use crate::{Ledger, LedgerError};

/// A ledger with so many seats.
async fn with_seats(file: &LedgerFile, world: &World, seats: u32) -> Hooked {
    let hooked = Hooked::open(file);
    hooked.ledger.execute(world.at(1), world.accept_grant(world.grant(1, seats))).await.unwrap();
    hooked
}

async fn kinds(ledger: &Ledger) -> Vec<String> {
    let entries = ledger.query(Activity::default()).await.unwrap();
    entries.iter().map(|logged| logged.entry.kind().to_owned()).collect()
}

async fn used(ledger: &Ledger) -> u32 {
    ledger.query(Licenses {}).await.unwrap()[0].used
}

async fn sound(ledger: &Ledger) {
    let check = ledger.verify_log(Vec::new()).await.unwrap();
    assert_eq!(check.damage, None);
    assert_eq!(check.entries, ledger.head().size);
}

fn pull_failed(reason: &str) -> PullFailed {
    PullFailed { reason: reason.to_owned() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_fails_whole_batches_and_the_chain_goes_on_when_there_is_room() {
    let world = World::new();
    let file = LedgerFile::new(&world);
    // Not one more than are reserved: what was undone holds none.
    let hooked = with_seats(&file, &world, 400).await;
    let ledger = &hooked.ledger;
    hooked.on_the_writer(|used| format!("PRAGMA max_page_count = {}", used + 2)).await;
    let long = "x".repeat(60);
    let commands: Vec<Reserve> = (0..400).map(|number| reserve(&format!("{long}-{number}"))).collect();
    let sent = commands.iter().map(|command| ledger.execute(world.at(2), command.clone()));
    let (mut done, mut failed): (Vec<&Reserve>, Vec<&Reserve>) = (Vec::new(), Vec::new());
    for (command, answer) in commands.iter().zip(futures_util::future::join_all(sent).await) {
        match answer {
            Ok(_) => done.push(command),
            Err(LedgerError::Failed { attempted, .. }) => {
                assert_eq!(attempted, "reserve a seat");
                failed.push(command);
            }
            Err(error) => panic!("{error:?}"),
        }
    }
    assert!(!failed.is_empty(), "the disk was not full");
    for command in &failed {
        let row = ledger.query(ClientByName { name: command.name.clone() }).await.unwrap();
        assert!(row.is_none(), "half a change of {} is there", command.name);
    }
    sound(ledger).await;
    assert_eq!(used(ledger).await, u32::try_from(done.len()).unwrap());

    hooked.on_the_writer(|_| "PRAGMA max_page_count = 1000000000".to_owned()).await;
    for command in failed {
        ledger.execute(world.at(3), command.clone()).await.unwrap();
    }
    assert_eq!(used(ledger).await, 400);
    let more = ledger.execute(world.at(3), reserve("one-more")).await;
    assert!(matches!(more, Err(LedgerError::Refused(_))), "{more:?}");
    sound(ledger).await;
    ledger.close().await.unwrap();
    assert_eq!(verify_file(&file.path(), Vec::new()).unwrap().damage, None);
}

#[tokio::test]
async fn a_ledger_that_nobody_has_written_lately_is_found_to_be_full_by_a_write_of_its_own() {
    let world = World::new();
    let file = LedgerFile::new(&world);
    let hooked = with_seats(&file, &world, 10).await;
    let full =
        "CREATE TEMP TRIGGER full_clock BEFORE UPDATE ON clock BEGIN SELECT RAISE(ABORT, 'full'); END;";
    hooked.on_the_writer(|_| full.to_owned()).await;
    assert!(matches!(hooked.ledger.check_health().await, Err(LedgerError::Failed { .. })));
    hooked.ledger.check_alive().await.unwrap();
    hooked.ledger.close().await.unwrap();
}

#[tokio::test]
async fn who_asks_for_health_again_and_again_causes_one_write() {
    let world = World::new();
    let file = LedgerFile::new(&world);
    let hooked = with_seats(&file, &world, 10).await;
    let ledger = &hooked.ledger;
    let writes = || std::fs::metadata(file.path().with_extension("db-wal")).unwrap().len();
    ledger.check_health().await.unwrap();
    let before = writes();
    futures_util::future::join_all((0..100).map(|_| ledger.check_health())).await;
    assert_eq!(writes(), before);
    ledger.close().await.unwrap();
}

#[tokio::test]
async fn the_end_of_the_writer_by_a_panic_is_noticed_by_who_waits_for_it_and_by_every_caller() {
    let world = World::new();
    let file = LedgerFile::new(&world);
    let hooked = with_seats(&file, &world, 10).await;
    let ledger = &hooked.ledger;
    assert!(ledger.writer_ended().now_or_never().is_none());
    hooked.before_the_next(|_| panic!("a fault that a test injects"));
    let reserved = ledger.execute(world.at(3), reserve("pc-1")).await;
    assert!(matches!(reserved, Err(LedgerError::Closed)), "{reserved:?}");
    tokio::time::timeout(Duration::from_secs(30), ledger.writer_ended()).await.unwrap();
    assert!(matches!(ledger.check_health().await, Err(LedgerError::Closed)));
    assert!(matches!(ledger.check_alive().await, Err(LedgerError::Closed)));
}

#[tokio::test]
async fn a_ledger_that_cannot_write_is_not_well_until_it_can_again() {
    let world = World::new();
    let file = LedgerFile::new(&world);
    let hooked = with_seats(&file, &world, 10).await;
    let ledger = &hooked.ledger;
    ledger.check_health().await.unwrap();
    let full =
        "CREATE TEMP TRIGGER full_log BEFORE INSERT ON activity BEGIN SELECT RAISE(ABORT, 'full'); END;
        CREATE TEMP TRIGGER full_clock BEFORE UPDATE ON clock BEGIN SELECT RAISE(ABORT, 'full'); END;";
    hooked.on_the_writer(|_| full.to_owned()).await;
    let try_it = async || ledger.execute(world.at(3), reserve("pc-1")).await;
    assert!(matches!(try_it().await, Err(LedgerError::Failed { .. })));
    for _ in 0..2 {
        assert!(matches!(ledger.check_health().await, Err(LedgerError::Failed { .. })));
    }
    hooked.before_the_next(|connection| {
        connection.execute_batch("DROP TRIGGER full_log; DROP TRIGGER full_clock").unwrap();
    });
    // The check itself finds that it can write again, by a write of its own, which it makes only from time to time.
    let well = async {
        while ledger.check_health().await.is_err() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), well).await.unwrap();
    try_it().await.unwrap();
    ledger.close().await.unwrap();
    assert!(matches!(ledger.check_health().await, Err(LedgerError::Closed)));
}

#[tokio::test]
async fn a_failed_command_leaves_the_others_of_its_batch_alone() {
    let world = World::new();
    let file = LedgerFile::new(&world);
    let hooked = with_seats(&file, &world, 10).await;
    let ledger = &hooked.ledger;
    let (first, broken, second) = tokio::join!(
        ledger.execute(world.at(2), reserve("pc-1")),
        ledger.execute(world.at(2), pull_failed(BREAKS_ITS_COMMAND)),
        ledger.execute(world.at(2), reserve("pc-2")),
    );
    assert!(first.is_ok() && second.is_ok());
    let error = broken.unwrap_err();
    assert_eq!(error.to_string(), "the ledger could not note a failed pull");
    let expected = ["server_initialized", "grant_accepted", "seat_reserved", "seat_reserved"];
    assert_eq!(kinds(ledger).await, expected);
    sound(ledger).await;
}

/// Commands that are one batch: the writer is held until all of them wait.
async fn one_batch<A, B, C>(
    hooked: &Hooked,
    now: Timestamp,
    commands: (A, B, C),
) -> [Result<(), LedgerError>; 3]
where
    A: Command,
    B: Command,
    C: Command,
    dyn WriteStore: Read<A::Facts> + Read<B::Facts> + Read<C::Facts>,
{
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let (begun, begins) = tokio::sync::oneshot::channel::<()>();
    hooked.before_the_next(move |_| {
        begun.send(()).unwrap();
        wait.recv_timeout(Duration::from_secs(30)).unwrap();
    });
    let ledger = &hooked.ledger;
    let mut holder = Box::pin(ledger.execute(now, Nothing));
    assert!((&mut holder).now_or_never().is_none());
    begins.await.unwrap();
    let mut first = Box::pin(ledger.execute(now, commands.0));
    let mut second = Box::pin(ledger.execute(now, commands.1));
    let mut third = Box::pin(ledger.execute(now, commands.2));
    assert!((&mut first).now_or_never().is_none());
    assert!((&mut second).now_or_never().is_none());
    assert!((&mut third).now_or_never().is_none());
    go.send(()).unwrap();
    holder.await.unwrap();
    [first.await.map(drop), second.await.map(drop), third.await.map(drop)]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_sqlite_ends_the_transaction_nothing_of_the_batch_stays() {
    let world = World::new();
    let file = LedgerFile::new(&world);
    let hooked = with_seats(&file, &world, 10).await;
    let commands = (reserve("pc-1"), pull_failed(BREAKS_ITS_BATCH), reserve("pc-2"));
    for answer in one_batch(&hooked, world.at(2), commands).await {
        assert!(matches!(answer, Err(LedgerError::Failed { .. })), "{answer:?}");
    }
    let ledger = &hooked.ledger;
    assert_eq!(kinds(ledger).await, ["server_initialized", "grant_accepted"]);
    for name in ["pc-1", "pc-2"] {
        ledger.execute(world.at(3), reserve(name)).await.unwrap();
    }
    sound(ledger).await;
    assert_eq!(ledger.head().size, 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_the_commit_fails_nothing_of_the_batch_stays() {
    let world = World::new();
    let file = LedgerFile::new(&world);
    let hooked = with_seats(&file, &world, 2).await;
    let ledger = &hooked.ledger;
    let head = ledger.head();
    let mut news = ledger.subscribe();
    news.mark_unchanged();
    hooked.fail_the_next_commit();
    for answer in one_batch(&hooked, world.at(2), (reserve("pc-1"), reserve("pc-2"), reserve("pc-3"))).await {
        assert!(
            matches!(answer, Err(LedgerError::Failed { .. })),
            "also the refusal: it was decided from the others"
        );
    }
    assert_eq!(ledger.head(), head);
    assert!(!news.has_changed().unwrap(), "nobody was told of what is not there");
    assert_eq!(used(ledger).await, 0);
    // The seats are free, and the log goes on where it was.
    for name in ["pc-3", "pc-2"] {
        ledger.execute(world.at(3), reserve(name)).await.unwrap();
    }
    assert_eq!(ledger.head().size, head.size + 2);
    sound(ledger).await;
}
