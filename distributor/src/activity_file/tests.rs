//! The text file against a real ledger: no entry missing or written twice, whatever was cut or rotated.

use super::{ActivityFile, FILE_NAME, RotationLimits, follow, rotated};
use crate::domain::activity::Actor;
use crate::ledger::LedgerSettings;
use crate::ledger::contract::World;
use crate::ledger::contract::fixture::{admin, channel};
use crate::ledger::sqlite;
use sealpost_ledger::Ledger;
use sealpost_manifests::ids::{ComputerName, SerialNumber};
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

async fn ledger(world: &World, folder: &Path) -> Arc<Ledger> {
    let path = folder.join("ledger.db");
    sqlite::create(&path, world.server_id.clone(), world.site.public(), world.start).unwrap();
    let ledger: Arc<Ledger> = Arc::new(sqlite::open(&path, LedgerSettings::default()).unwrap());
    world.unlock(&*ledger, 100).await;
    ledger
}

async fn reserve(world: &World, ledger: &Ledger, numbers: std::ops::Range<u32>) {
    for number in numbers {
        let name = ComputerName::new(format!("pc-{number}")).unwrap();
        ledger.reserve(admin(), world.at(2), name, channel("stable")).await.unwrap();
    }
}

/// Every line of all files, oldest first.
fn lines(folder: &Path) -> Vec<String> {
    let mut text = String::new();
    for number in (1..20).rev() {
        text.push_str(&std::fs::read_to_string(rotated(folder, number)).unwrap_or_default());
    }
    text.push_str(&std::fs::read_to_string(folder.join(FILE_NAME)).unwrap_or_default());
    // A line that is just being written is none yet.
    let whole = text.rfind('\n').map_or(0, |end| end + 1);
    text[..whole].lines().map(str::to_owned).collect()
}

fn sequences(folder: &Path) -> Vec<u64> {
    lines(folder).iter().map(|line| line.split(' ').next().unwrap().parse().unwrap()).collect()
}

/// Waits until the files hold exactly these at their end, while the follower runs.
async fn until_last<T>(task: &tokio::task::JoinHandle<T>, folder: &Path, expected: &[u64]) {
    let reached = async {
        while !sequences(folder).ends_with(expected) {
            assert!(!task.is_finished(), "the follower ended by itself");
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), reached).await.unwrap();
}

/// Follows until the file holds the ledger's newest entry, then stops in the middle of things.
async fn catch_up(ledger: &Arc<Ledger>, folder: &Path, limits: RotationLimits) {
    let head = ledger.head().await.unwrap().sequence;
    let task = tokio::spawn(follow(Arc::clone(ledger), folder.to_owned(), limits));
    until_last(&task, folder, &[head]).await;
    task.abort();
    let _ = task.await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_entry_is_written_once_across_restarts_rotations_and_a_cut_line() {
    let world = World::new();
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("log");
    let ledger = ledger(&world, home.path()).await;
    let limits = RotationLimits { file_bytes: 1_000, files: 20 };
    catch_up(&ledger, &folder, limits).await;
    reserve(&world, &*ledger, 0..30).await;
    catch_up(&ledger, &folder, limits).await;
    // Killed in the middle of a line.
    let newest = folder.join(FILE_NAME);
    let mut file = std::fs::OpenOptions::new().append(true).open(&newest).unwrap();
    file.write_all(b"33 2027-01-15T08:00:02Z seat_res").unwrap();
    drop(file);
    reserve(&world, &*ledger, 30..40).await;
    catch_up(&ledger, &folder, limits).await;
    assert_eq!(sequences(&folder), (1..=42).collect::<Vec<_>>());
    assert!(lines(&folder)[10].contains("seat_reserved alice: reserved a seat"), "{}", lines(&folder)[10]);
    let widths: Vec<usize> =
        lines(&folder).iter().filter_map(|line| line.split(' ').nth(1)).map(str::len).collect();
    assert!(widths.iter().all(|width| *width == "2026-01-31T08:00:00.000Z".len()), "{widths:?}");
    assert!(std::fs::metadata(newest).unwrap().len() <= 1_000);
    assert!(rotated(&folder, 2).exists());
    // Killed right after a rotation: the newest file is empty.
    std::fs::rename(folder.join(FILE_NAME), home.path().join("moved")).unwrap();
    for number in (1..19).rev() {
        let _ = std::fs::rename(rotated(&folder, number), rotated(&folder, number + 1));
    }
    std::fs::rename(home.path().join("moved"), rotated(&folder, 1)).unwrap();
    reserve(&world, &*ledger, 40..41).await;
    catch_up(&ledger, &folder, limits).await;
    assert_eq!(sequences(&folder), (1..=43).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_files_on_disk_are_bounded_and_the_follower_ends_with_the_ledger() {
    let world = World::new();
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("log");
    let ledger = ledger(&world, home.path()).await;
    let limits = RotationLimits { file_bytes: 500, files: 3 };
    reserve(&world, &*ledger, 0..50).await;
    catch_up(&ledger, &folder, limits).await;
    let files = std::fs::read_dir(&folder).unwrap().count();
    assert_eq!(files, 3);
    let follower = tokio::spawn(follow(Arc::clone(&ledger), folder.clone(), limits));
    ledger.close().await.unwrap();
    follower.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hostile_name_cannot_forge_a_line() {
    let world = World::new();
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("log");
    let ledger = ledger(&world, home.path()).await;
    let actor = Actor::Admin { name: "eve\n99 2027-01-15T08:00:00Z forged \u{1b}[2J".into() };
    ledger.register_serial(actor, world.at(3), SerialNumber::from_random([1; 19])).await.unwrap();
    catch_up(&ledger, &folder, RotationLimits::default()).await;
    assert_eq!(sequences(&folder), [1, 2, 3]);
    assert!(!lines(&folder).concat().contains('\u{1b}'));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writing_goes_on_after_a_fault() {
    let world = World::new();
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("log");
    let ledger = ledger(&world, home.path()).await;
    let limits = RotationLimits { file_bytes: 1, files: 2 };
    let task = tokio::spawn(follow(Arc::clone(&ledger), folder.clone(), limits));
    until_last(&task, &folder, &[1, 2]).await;
    // Each line is rotated away, and the place where it has to go is taken by a folder with something in it.
    std::fs::remove_file(rotated(&folder, 1)).unwrap();
    std::fs::create_dir_all(rotated(&folder, 1).join("taken")).unwrap();
    let serial = SerialNumber::from_random([1; 19]);
    ledger.register_serial(admin(), world.at(3), serial.clone()).await.unwrap();
    ledger.register_serial(admin(), world.at(3), serial.clone()).await.unwrap();
    std::fs::remove_dir_all(rotated(&folder, 1)).unwrap();
    ledger.register_serial(admin(), world.at(4), serial).await.unwrap();
    until_last(&task, &folder, &[4, 5]).await;
    task.abort();
}

#[test]
fn a_foreign_file_is_not_taken_for_a_log() {
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join(FILE_NAME), "no number here\n").unwrap();
    let file = ActivityFile::open(home.path(), RotationLimits::default()).unwrap();
    assert_eq!(file.written, 0);
}
