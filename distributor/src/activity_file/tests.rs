//! The text file against a real ledger: no entry missing or written twice, whatever was cut or rotated.

use super::{ActivityFile, FILE_NAME, RotationLimits, follow, rotated};
use jiff::{SignedDuration, Timestamp};
use sealpost_keys::SigningKey;
use sealpost_ledger::sqlite::{self, SqliteStore};
use sealpost_ledger::{Ledger, LedgerSettings};
use sealpost_manifests::document::SignedDocument;
use sealpost_manifests::grant::{Grant, LicenseModel, RegistrationReason};
use sealpost_manifests::ids::{ComputerName, RequestId, SerialNumber, ServerId};
use sealpost_manifests::order::Epoch;
use sealpost_manifests::trust::{KeyStatus, KeyUse, TrustDocument, TrustedKey};
use sealpost_site::changes::Actor;
use sealpost_site::commands::clients::Reserve;
use sealpost_site::commands::licenses::{AcceptGrant, RegisterSerial};
use sealpost_site::rules::names::MixedScripts;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

fn admin() -> Actor {
    Actor::socket("alice")
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

/// A ledger with two entries: it is bound to its server, and holds a grant of a hundred seats.
async fn ledger(folder: &Path) -> Arc<Ledger> {
    let path = folder.join("ledger.db");
    let (server_id, site) = (ServerId::from_random([7; 16]), SigningKey::generate().unwrap());
    sqlite::create(&path, server_id.clone(), site.public(), at(0)).unwrap();
    let store = SqliteStore::open(&path).unwrap();
    let ledger = Arc::new(Ledger::start(Box::new(store), LedgerSettings::default()).unwrap());
    let grant = Grant {
        vendor: "Acme".into(),
        serial: SerialNumber::from_random([1; 19]),
        server_id,
        site_key: site.public(),
        key_epoch: 1,
        epoch: Epoch::of(1, 0),
        packages: Vec::new(),
        model: LicenseModel::Named,
        seats: 100,
        generation: 1,
        not_after: at(0).checked_add(SignedDuration::from_hours(24 * 366)).unwrap(),
        vendor_time: at(0),
        ends_at: None,
        request_id: None,
    };
    let license = TrustedKey {
        key_use: KeyUse::License,
        package: None,
        key: site.public().to_base64(),
        status: KeyStatus::Active,
        digests: Default::default(),
    };
    ledger.adopt_trust(Arc::new(TrustDocument {
        vendor: "Acme".into(),
        keys: vec![license],
        counter_resets: Vec::new(),
        licensing_contact: None,
        signed_at: at(0),
    }));
    let document = SignedDocument::sign(&grant, &site).unwrap();
    ledger.execute(at(1), AcceptGrant { actor: admin(), grant, document, asked_for: None }).await.unwrap();
    ledger
}

async fn reserve(ledger: &Ledger, numbers: std::ops::Range<u32>) {
    for number in numbers {
        let name = ComputerName::new(format!("pc-{number}")).unwrap();
        let (channel, mixed) = (None, MixedScripts::AskBack);
        let reserve = Reserve { actor: admin(), name, channel, mixed, serial: None };
        ledger.execute(at(2), reserve).await.unwrap();
    }
}

async fn register(ledger: &Ledger, actor: Actor) {
    let serial = SerialNumber::from_random([1; 19]);
    let request_id = RequestId::from_random([1; 16]);
    let register = RegisterSerial { actor, serial, reason: RegistrationReason::First, request_id };
    ledger.execute(at(3), register).await.unwrap();
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
    let head = ledger.head().size;
    let (_limits, limits) = watch::channel(limits);
    let task = tokio::spawn(follow(Arc::clone(ledger), folder.to_owned(), limits));
    until_last(&task, folder, &[head]).await;
    task.abort();
    let _ = task.await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_entry_is_written_once_across_restarts_rotations_and_a_cut_line() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("log");
    let ledger = ledger(home.path()).await;
    let limits = RotationLimits { file_bytes: 1_000, files: 20 };
    catch_up(&ledger, &folder, limits).await;
    reserve(&ledger, 0..30).await;
    catch_up(&ledger, &folder, limits).await;
    // Killed in the middle of a line.
    let newest = folder.join(FILE_NAME);
    let mut file = std::fs::OpenOptions::new().append(true).open(&newest).unwrap();
    file.write_all(b"33 2027-01-15T08:00:02Z seat_res").unwrap();
    drop(file);
    reserve(&ledger, 30..40).await;
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
    reserve(&ledger, 40..41).await;
    catch_up(&ledger, &folder, limits).await;
    assert_eq!(sequences(&folder), (1..=43).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_files_on_disk_are_bounded_and_the_follower_ends_with_the_ledger() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("log");
    let ledger = ledger(home.path()).await;
    let limits = RotationLimits { file_bytes: 500, files: 3 };
    reserve(&ledger, 0..50).await;
    catch_up(&ledger, &folder, limits).await;
    let files = std::fs::read_dir(&folder).unwrap().count();
    assert_eq!(files, 4, "three, and the note how far they are");
    let (_limits, limits) = watch::channel(limits);
    let follower = tokio::spawn(follow(Arc::clone(&ledger), folder.clone(), limits));
    ledger.close().await.unwrap();
    follower.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hostile_name_cannot_forge_a_line() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("log");
    let ledger = ledger(home.path()).await;
    register(&ledger, Actor::token("eve\n99 2027-01-15T08:00:00Z forged \u{1b}[2J")).await;
    catch_up(&ledger, &folder, LARGE).await;
    assert_eq!(sequences(&folder), [1, 2, 3]);
    assert!(!lines(&folder).concat().contains('\u{1b}'));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writing_goes_on_after_a_fault() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("log");
    let ledger = ledger(home.path()).await;
    let limits = RotationLimits { file_bytes: 1, files: 2 };
    let (_limits, limits) = watch::channel(limits);
    let task = tokio::spawn(follow(Arc::clone(&ledger), folder.clone(), limits));
    until_last(&task, &folder, &[1, 2]).await;
    // Each line is rotated away, and the place where it has to go is taken by a folder with something in it.
    std::fs::remove_file(rotated(&folder, 1)).unwrap();
    std::fs::create_dir_all(rotated(&folder, 1).join("taken")).unwrap();
    register(&ledger, admin()).await;
    register(&ledger, admin()).await;
    std::fs::remove_dir_all(rotated(&folder, 1)).unwrap();
    register(&ledger, admin()).await;
    until_last(&task, &folder, &[4, 5]).await;
    task.abort();
}

#[test]
fn a_foreign_file_is_not_taken_for_a_log() {
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join(FILE_NAME), "no number here\n").unwrap();
    let file = ActivityFile::open(home.path(), LARGE).unwrap();
    assert_eq!(file.written, 0);
}

/// Large enough that the server itself never rotates.
const LARGE: RotationLimits = RotationLimits { file_bytes: u64::MAX, files: 20 };

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_copied_and_emptied_has_no_hole_and_no_line_twice_also_after_a_restart() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("log");
    let ledger = ledger(home.path()).await;
    let (_limits, limits) = watch::channel(LARGE);
    let task = tokio::spawn(follow(Arc::clone(&ledger), folder.clone(), limits));
    reserve(&ledger, 0..10).await;
    until_last(&task, &folder, &[12]).await;
    // As logrotate does with copytruncate.
    let newest = folder.join(FILE_NAME);
    std::fs::copy(&newest, rotated(&folder, 1)).unwrap();
    std::fs::OpenOptions::new().write(true).truncate(true).open(&newest).unwrap();
    reserve(&ledger, 10..20).await;
    until_last(&task, &folder, &[22]).await;
    let text = std::fs::read(&newest).unwrap();
    assert!(!text.contains(&0), "the emptied file has a hole");
    assert_eq!(sequences(&folder), (1..=22).collect::<Vec<_>>());
    // Copied, emptied and compressed, and then restarted with an empty file.
    std::fs::rename(rotated(&folder, 1), home.path().join("older")).unwrap();
    std::fs::copy(&newest, home.path().join("newer")).unwrap();
    std::fs::OpenOptions::new().write(true).truncate(true).open(&newest).unwrap();
    task.abort();
    let _ = task.await;
    reserve(&ledger, 20..22).await;
    catch_up(&ledger, &folder, LARGE).await;
    assert_eq!(sequences(&folder), [23, 24]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_renamed_is_left_and_a_new_one_is_begun_with_and_without_a_signal() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("log");
    let ledger = ledger(home.path()).await;
    let (reopen, limits) = watch::channel(LARGE);
    let task = tokio::spawn(follow(Arc::clone(&ledger), folder.clone(), limits));
    reserve(&ledger, 0..10).await;
    until_last(&task, &folder, &[12]).await;
    // As logrotate does with create: renamed, made anew with another mode, and then signaled.
    let newest = folder.join(FILE_NAME);
    std::fs::rename(&newest, rotated(&folder, 2)).unwrap();
    std::fs::write(&newest, "").unwrap();
    reopen.send(LARGE).unwrap();
    reserve(&ledger, 10..20).await;
    until_last(&task, &folder, &[22]).await;
    // Without create, and without a signal.
    std::fs::rename(&newest, rotated(&folder, 1)).unwrap();
    reserve(&ledger, 20..30).await;
    until_last(&task, &folder, &[32]).await;
    assert!(newest.exists());
    assert_eq!(sequences(&folder), (1..=32).collect::<Vec<_>>());
    // Killed between the lines and the note, and rotated before the next start.
    task.abort();
    let _ = task.await;
    std::fs::write(folder.join("activity.position"), "22 32\n").unwrap();
    std::fs::rename(&newest, folder.join("activity.log-20270115")).unwrap();
    reserve(&ledger, 30..31).await;
    catch_up(&ledger, &folder, LARGE).await;
    assert_eq!(std::fs::read_to_string(&newest).unwrap().lines().count(), 1);
}
