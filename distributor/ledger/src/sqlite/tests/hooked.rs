//! The SQLite store with a hook into its writer: a test runs statements on the writer's connection at the next `begin`,
//! and chooses what fails.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use rusqlite::Connection;
use sealpost_manifests::ids::SerialNumber;
use sealpost_site::changes::chain::LinkedEntry;
use sealpost_site::changes::{Change, Note};
use sealpost_site::commands::{Command, Context, Decision, NoFacts};
use sealpost_site::rules::release::KnownRelease;
use sealpost_site::rules::rollouts::plan::LiveRings;

use super::LedgerFile;
use crate::grants::TrustedGrants;
use crate::sqlite::SqliteStore;
use crate::sqlite::connection::Connected;
use crate::sqlite::plan_cache::PlanCache;
use crate::sqlite::store::SqliteWriter;
use crate::store::{Split, Store, StoreError, WriteStore};
use crate::{Ledger, LedgerSettings};

/// What is done before the next transaction begins.
type Hook = Box<dyn FnOnce(&Connection) + Send>;

/// The reason of a failed pull whose entry cannot be written; the command beside it can.
pub(super) const BREAKS_ITS_COMMAND: &str = "breaks its command";
/// The reason of a failed pull at which SQLite ends the transaction, as it does when the disk is full.
pub(super) const BREAKS_ITS_BATCH: &str = "breaks its batch";

/// A ledger whose writer can be hooked.
pub(super) struct Hooked {
    pub(super) ledger: Ledger,
    hooks: Arc<Mutex<Vec<Hook>>>,
    fail_commit: Arc<AtomicBool>,
}

impl Hooked {
    pub(super) fn open(file: &LedgerFile) -> Self {
        let hooks = Arc::new(Mutex::new(Vec::new()));
        let fail_commit = Arc::new(AtomicBool::new(false));
        let store = HookedStore {
            store: SqliteStore::open(&file.path()).unwrap(),
            hooks: Arc::clone(&hooks),
            fail_commit: Arc::clone(&fail_commit),
        };
        let settings = LedgerSettings { readers: 2, ..LedgerSettings::default() };
        let ledger = Ledger::start(Box::new(store), settings).unwrap();
        ledger.adopt_trust(Arc::clone(&file.trust));
        Self { ledger, hooks, fail_commit }
    }

    /// The next commit of an entry fails.
    pub(super) fn fail_the_next_commit(&self) {
        self.fail_commit.store(true, Ordering::Relaxed);
    }

    /// Before the next transaction: runs this on the writer's connection.
    pub(super) fn before_the_next(&self, hook: impl FnOnce(&Connection) + Send + 'static) {
        self.hooks.lock().unwrap().push(Box::new(hook));
    }

    /// Runs statements on the writer's connection now.
    pub(super) async fn on_the_writer(&self, sql: impl FnOnce(u32) -> String + Send + 'static) {
        self.before_the_next(move |connection| {
            let used: u32 = connection.query_row("PRAGMA page_count", [], |row| row.get(0)).unwrap();
            connection.execute_batch(&sql(used)).unwrap();
        });
        self.ledger.execute(jiff::Timestamp::UNIX_EPOCH, Nothing).await.unwrap();
    }
}

/// A command that changes nothing: a transaction begins and ends.
#[derive(Debug, Clone, Copy)]
pub(super) struct Nothing;

impl Command for Nothing {
    type Facts = NoFacts;
    type Answer = ();
    const ATTEMPTED: &'static str = "do nothing";

    fn facts(&self) -> NoFacts {
        NoFacts
    }

    fn decide(self, (): (), _: &Context<'_>) -> Decision<()> {
        Decision::answer(())
    }
}

struct HookedStore {
    store: SqliteStore,
    hooks: Arc<Mutex<Vec<Hook>>>,
    fail_commit: Arc<AtomicBool>,
}

impl Store for HookedStore {
    fn split(self: Box<Self>, readers: usize, grants: &Arc<TrustedGrants>) -> Result<Split, StoreError> {
        let Self { store, hooks, fail_commit } = *self;
        let (writer, readers) = store.into_parts(readers, grants)?;
        let writer = HookedWriter { writer, hooks, fail_commit, written: false };
        Ok(Split { writer: Box::new(writer), readers })
    }
}

struct HookedWriter {
    writer: SqliteWriter,
    hooks: Arc<Mutex<Vec<Hook>>>,
    /// The next commit of an entry fails, and the transaction stays open.
    fail_commit: Arc<AtomicBool>,
    /// Whether the open transaction holds an entry.
    written: bool,
}

/// It answers questions as the writer does.
impl Connected for HookedWriter {
    fn connection(&self) -> &Connection {
        self.writer.connection()
    }

    fn grants(&self) -> &TrustedGrants {
        self.writer.grants()
    }

    fn plans(&self) -> &PlanCache {
        self.writer.plans()
    }

    fn approved(&self) -> Result<Arc<Vec<KnownRelease>>, StoreError> {
        self.writer.approved()
    }

    fn live(&self) -> Result<Arc<LiveRings>, StoreError> {
        self.writer.live()
    }

    fn used(&self, serial: &SerialNumber) -> rusqlite::Result<u32> {
        self.writer.used(serial)
    }
}

impl WriteStore for HookedWriter {
    fn begin(&mut self) -> Result<(), StoreError> {
        let hooks = std::mem::take(&mut *self.hooks.lock().unwrap());
        for hook in hooks {
            hook(&self.writer.connection);
        }
        self.written = false;
        self.writer.begin()
    }

    fn savepoint(&mut self) -> Result<(), StoreError> {
        self.writer.savepoint()
    }

    fn append(&mut self, entry: &LinkedEntry) -> Result<(), StoreError> {
        self.writer.append(entry)?;
        self.written = true;
        let Change::PullFailed { reason } = &entry.entry.change else { return Ok(()) };
        if reason == BREAKS_ITS_BATCH {
            self.writer.connection.execute_batch("ROLLBACK")?;
        }
        if [BREAKS_ITS_COMMAND, BREAKS_ITS_BATCH].contains(&reason.as_str()) {
            self.writer.connection.execute("INSERT INTO no_such_table VALUES (1)", [])?;
        }
        Ok(())
    }

    fn note(&mut self, note: &Note) -> Result<(), StoreError> {
        self.writer.note(note)
    }

    fn keep(&mut self) -> Result<(), StoreError> {
        self.writer.keep()
    }

    fn undo(&mut self) -> Result<(), StoreError> {
        self.writer.undo()
    }

    fn commit(&mut self) -> Result<(), StoreError> {
        if self.written && self.fail_commit.swap(false, Ordering::Relaxed) {
            return Err(StoreError::Missing { what: "place on the disk" });
        }
        self.writer.commit()
    }

    fn roll_back(&mut self) -> Result<(), StoreError> {
        self.writer.roll_back()
    }

    fn in_transaction(&self) -> bool {
        self.writer.in_transaction()
    }
}
