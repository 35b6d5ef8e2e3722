//! What needs the inside of the store: a replay of the log into its tables, faults on the writer's own connection, and
//! what a contact costs there.

mod audit;
mod cost;
mod crashes;
mod delayed;
mod faults;
mod hooked;
mod long_log;
mod migrations;
mod notes;
mod replay;
mod silent;

use std::path::PathBuf;
use std::sync::Arc;

use sealpost_manifests::trust::TrustDocument;
use sealpost_test_support::world::World;
use tempfile::TempDir;

use super::create;

/// A new ledger file in a folder of its own.
struct LedgerFile {
    folder: TempDir,
    trust: Arc<TrustDocument>,
}

impl LedgerFile {
    fn new(world: &World) -> Self {
        let file = Self { folder: tempfile::tempdir().unwrap(), trust: Arc::new(world.trust()) };
        create(&file.path(), world.server_id.clone(), world.site.public(), world.start).unwrap();
        file
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("ledger.db")
    }
}
