//! Making and opening the file: by one server, in this version, readable for nobody else.

use std::os::unix::fs::PermissionsExt;

use rusqlite::Connection;
use sealpost_ledger::sqlite::{OpenError, SqliteStore, create, verify_file};
use sealpost_test_support::world::World;

use crate::bench::{Bench, SqliteBench};
use crate::fixture::WorldExt;

#[tokio::test]
async fn a_second_server_on_the_same_ledger_is_refused() {
    let world = World::new();
    let bench = SqliteBench::new(&world);
    let ledger = bench.open();
    let error = SqliteStore::open(&bench.path()).unwrap_err();
    assert!(matches!(error, OpenError::InUse { .. }), "{error:?}");
    // The log can be checked all the same.
    assert_eq!(verify_file(&bench.path(), Vec::new()).unwrap().entries, 1);
    ledger.close().await.unwrap();
}

#[test]
fn a_file_that_is_no_ledger_or_another_version_is_refused_and_none_is_overwritten() {
    let world = World::new();
    let bench = SqliteBench::new(&world);
    let again = create(&bench.path(), world.server_id.clone(), world.site.public(), world.start);
    assert!(matches!(again.unwrap_err(), OpenError::Exists { .. }));
    let set_version = |version: u32| {
        Connection::open(bench.path()).unwrap().pragma_update(None, "user_version", version).unwrap();
        [SqliteStore::open(&bench.path()).unwrap_err(), verify_file(&bench.path(), Vec::new()).unwrap_err()]
    };
    for error in set_version(99) {
        assert!(matches!(error, OpenError::Newer { found: 99, known: 11 }), "{error:?}");
    }
    for version in [1, 2] {
        for error in set_version(version) {
            assert!(matches!(error, OpenError::Older { known: 11, .. }), "{error:?}");
        }
    }
    let other = bench.folder.path().join("other.db");
    Connection::open(&other).unwrap().execute_batch("CREATE TABLE t (x)").unwrap();
    assert!(matches!(SqliteStore::open(&other).unwrap_err(), OpenError::NotALedger));
    // A making that was killed right after the file appeared.
    let half = bench.folder.path().join("half.db");
    std::fs::File::create(&half).unwrap();
    assert!(matches!(SqliteStore::open(&half).unwrap_err(), OpenError::NotALedger));
    assert!(SqliteStore::open(&bench.folder.path().join("none.db")).is_err());
}

#[tokio::test]
async fn only_the_servers_user_can_read_the_files() {
    let world = World::new();
    let bench = SqliteBench::new(&world);
    let ledger = bench.open();
    world.unlock(&ledger, 1).await;
    let mut seen = 0;
    for file in std::fs::read_dir(bench.folder.path()).unwrap() {
        let file = file.unwrap();
        let mode = file.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{:?}", file.file_name());
        seen += 1;
    }
    assert!(seen >= 4, "database, write-ahead log, its index and the lock");
}
