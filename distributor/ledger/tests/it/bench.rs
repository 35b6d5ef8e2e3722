//! The stores under test. A bench is the disk of one server: it is opened, closed or killed, and opened again.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use sealpost_keys::PublicKey;
use sealpost_ledger::sqlite::{OpenError, SqliteStore, copy_file, create, rebuild};
use sealpost_ledger::store::Store;
use sealpost_ledger::{Ledger, LedgerSettings};
use sealpost_manifests::ids::ServerId;
use sealpost_manifests::trust::TrustDocument;
use sealpost_test_support::memory_store::MemoryStore;
use sealpost_test_support::world::World;
use tempfile::TempDir;

/// How long a ledger that was dropped and not closed may take to stop.
const STOPS_WITHIN: Duration = Duration::from_secs(30);

/// Makes the ledger under test.
pub(crate) trait Bench: Send + Sync {
    /// Opens the store; the ledger that had it before was closed or dropped by then.
    fn store(&self) -> Box<dyn Store>;

    /// The vendor's trust document, as of the last pull.
    fn trust(&self) -> Option<Arc<TrustDocument>>;

    /// Starts a ledger on it.
    fn open(&self) -> Ledger {
        let ledger = Ledger::start(self.store(), settings()).unwrap();
        if let Some(trust) = self.trust() {
            ledger.adopt_trust(trust);
        }
        ledger
    }

    /// Whether another ledger would start now; it is dropped at once.
    fn starts(&self) -> bool;

    /// A copy of everything that is on disk now, as of a server's home.
    fn copy(&self) -> Box<dyn Bench>;

    /// What comes of its log alone, without any note.
    fn rebuilt(&self) -> Box<dyn Bench>;
}

pub(crate) fn settings() -> LedgerSettings {
    LedgerSettings { readers: 2, ..LedgerSettings::default() }
}

/// A ledger file in a folder of its own.
pub(crate) struct SqliteBench {
    pub(crate) folder: TempDir,
    trust: Option<Arc<TrustDocument>>,
}

impl SqliteBench {
    pub(crate) fn new(world: &World) -> Self {
        let made = Self::made(&world.server_id, &world.site.public(), world.start);
        Self { trust: Some(Arc::new(world.trust())), ..made }
    }

    /// A ledger of any server.
    pub(crate) fn made(server_id: &ServerId, site_key: &PublicKey, now: Timestamp) -> Self {
        let bench = Self::empty();
        create(&bench.path(), server_id.clone(), site_key.clone(), now).unwrap();
        bench
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("ledger.db")
    }

    /// A bench without a ledger.
    fn empty() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), trust: None }
    }
}

impl Bench for SqliteBench {
    fn store(&self) -> Box<dyn Store> {
        Box::new(open_when_free(&self.path()))
    }

    fn trust(&self) -> Option<Arc<TrustDocument>> {
        self.trust.clone()
    }

    fn starts(&self) -> bool {
        match SqliteStore::open(&self.path()) {
            Ok(store) => Ledger::start(Box::new(store), settings()).is_ok(),
            Err(OpenError::InUse { .. }) => false,
            Err(error) => panic!("{error:?}"),
        }
    }

    fn copy(&self) -> Box<dyn Bench> {
        let copy = Self { trust: self.trust.clone(), ..Self::empty() };
        copy_file(&self.path(), &copy.path()).unwrap();
        Box::new(copy)
    }

    fn rebuilt(&self) -> Box<dyn Bench> {
        let rebuilt = Self { trust: self.trust.clone(), ..Self::empty() };
        rebuild(&self.path(), &rebuilt.path(), &mut |_| ()).unwrap();
        Box::new(rebuilt)
    }
}

fn open_when_free(path: &Path) -> SqliteStore {
    let deadline = Instant::now() + STOPS_WITHIN;
    loop {
        match SqliteStore::open(path) {
            Ok(store) => return store,
            Err(OpenError::InUse { .. }) if Instant::now() < deadline => std::thread::yield_now(),
            Err(error) => panic!("{error:?}"),
        }
    }
}

/// A ledger in memory.
pub(crate) struct MemoryBench {
    store: MemoryStore,
    trust: Option<Arc<TrustDocument>>,
}

impl MemoryBench {
    pub(crate) fn new(world: &World) -> Self {
        let server_id = world.server_id.clone();
        let bench = Self::of(MemoryStore::new(server_id, world.site.public(), world.start).unwrap());
        Self { trust: Some(Arc::new(world.trust())), ..bench }
    }

    /// Any store in memory.
    pub(crate) const fn of(store: MemoryStore) -> Self {
        Self { store, trust: None }
    }
}

impl Bench for MemoryBench {
    fn store(&self) -> Box<dyn Store> {
        let deadline = Instant::now() + STOPS_WITHIN;
        while self.store.is_in_use() {
            assert!(Instant::now() < deadline, "the ledger that was dropped does not stop");
            std::thread::yield_now();
        }
        Box::new(self.store.clone())
    }

    fn trust(&self) -> Option<Arc<TrustDocument>> {
        self.trust.clone()
    }

    fn starts(&self) -> bool {
        Ledger::start(Box::new(self.store.clone()), settings()).is_ok()
    }

    fn copy(&self) -> Box<dyn Bench> {
        Box::new(Self { store: self.store.copy(), trust: self.trust.clone() })
    }

    fn rebuilt(&self) -> Box<dyn Bench> {
        Box::new(Self { store: self.store.rebuilt().unwrap(), trust: self.trust.clone() })
    }
}
