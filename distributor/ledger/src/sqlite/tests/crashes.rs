//! What a killed server leaves behind: the files as they are at some moment, without a last word.

use std::sync::Arc;

use sealpost_site::queries::Clients;
use sealpost_test_support::world::{World, reserve};
use tempfile::TempDir;

use super::LedgerFile;
use super::hooked::Hooked;
use crate::sqlite::SqliteStore;
use crate::{Ledger, LedgerSettings};

/// What `kill -9` leaves behind. The writer must not fold the write-ahead log into the file meanwhile: a copy takes its
/// time, a kill does not.
fn crash_image(file: &LedgerFile) -> TempDir {
    let image = tempfile::tempdir().unwrap();
    for name in ["ledger.db", "ledger.db-wal"] {
        std::fs::copy(file.folder.path().join(name), image.path().join(name)).unwrap();
    }
    image
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_under_load_loses_nothing_that_was_answered() {
    let world = World::new();
    let file = LedgerFile::new(&world);
    let hooked = Arc::new(Hooked::open(&file));
    hooked.on_the_writer(|_| "PRAGMA wal_autocheckpoint = 0".to_owned()).await;
    hooked.ledger.execute(world.at(1), world.accept_grant(world.grant(1, 1_000))).await.unwrap();
    let now = world.at(2);
    for round in 0..5 {
        let tasks: Vec<_> = (0..40)
            .map(|number| {
                let (hooked, command) =
                    (Arc::clone(&hooked), reserve(&format!("pc-{}", round * 40 + number)));
                tokio::spawn(async move { hooked.ledger.execute(now, command).await })
            })
            .collect();
        let mut answered = 0;
        let mut image = None;
        for task in tasks {
            task.await.unwrap().unwrap();
            answered += 1;
            // In the middle of it, while others still write.
            if answered == 20 {
                image = Some(crash_image(&file));
            }
        }
        let image = image.unwrap();
        let store = SqliteStore::open(&image.path().join("ledger.db")).unwrap();
        let reopened = Ledger::start(Box::new(store), LedgerSettings::default()).unwrap();
        let held = reopened.query(Clients::all(None, 1_000)).await.unwrap().len();
        assert!(held >= round * 40 + 20, "{held} of what was answered are there");
        let check = reopened.verify_log(Vec::new()).await.unwrap();
        assert_eq!(check.damage, None);
        assert_eq!(check.entries, u64::try_from(held).unwrap() + 2, "each is there whole or not at all");
        reopened.close().await.unwrap();
    }
}
