//! The file as a [`Store`]: making, opening, locking, and the transaction of its writer.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use rusqlite::Connection;
use sealpost_files::{FileLock, LockError, PRIVATE, sync_parent};
use sealpost_keys::PublicKey;
use sealpost_manifests::ids::{SerialNumber, ServerId};
use sealpost_manifests::log::{Frontier, LogHead};
use sealpost_site::changes::chain::{LinkedEntry, LogCheck, StoredEntry, link};
use sealpost_site::changes::tables::TablesCheck;
use sealpost_site::changes::{Actor, Change, Note};
use sealpost_site::commands::NoFacts;
use sealpost_site::queries::{Log, Server};
use sealpost_site::rows::ServerIdentity;
use sealpost_site::rules::release::KnownRelease;
use sealpost_site::rules::rollouts::plan::LiveRings;

use super::connection::{Connected, open_read_only, open_writable};
use super::lists::licenses::used;
use super::lists::releases::approved;
use super::open_error::OpenError;
use super::plan::live_rings;
use super::plan_cache::PlanCache;
use super::remembered::Remembered;
use super::{audit, entries, migrations, notes, schema};
use crate::audit::check_log;
use crate::grants::TrustedGrants;
use crate::store::{Read, ReadStore, Split, Store, StoreError, Walk, WriteStore};

/// An open ledger file, locked.
#[derive(Debug)]
pub struct SqliteStore {
    path: PathBuf,
    connection: Connection,
    lock: FileLock,
    /// The version that the file had when it was opened.
    found: u32,
}

/// Makes a new ledger, bound to its server by its first entry. A half-made file is refused by [`SqliteStore::open`].
///
/// # Errors
/// [`OpenError`].
pub fn create(
    path: &Path,
    server_id: ServerId,
    site_key: PublicKey,
    now: Timestamp,
) -> Result<(), OpenError> {
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::AlreadyExists => OpenError::Exists { path: path.to_owned() },
        _ => OpenError::File { path: path.to_owned(), source },
    };
    // Made before SQLite opens it, so that nobody else can read it at any moment; its companions get the same mode.
    OpenOptions::new().write(true).create_new(true).mode(PRIVATE).open(path).map_err(failed)?;
    let connection = open_writable(path)?;
    connection.execute_batch("BEGIN EXCLUSIVE")?;
    schema::create(&connection)?;
    let now = Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now);
    let change = Change::ServerInitialized { server_id, site_key };
    let first = link(&mut Frontier::empty(), now, Actor::Server, change).map_err(StoreError::Json)?;
    entries::append(&connection, &first)?;
    notes::keep(&connection, &Note::TimeFloor { floor: now })?;
    connection.execute_batch("COMMIT")?;
    connection.close().map_err(|(_, error)| error)?;
    sync_parent(path).map_err(failed)
}

/// Whose ledger a file is, and how far its log goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerIdentity {
    /// The server's id.
    pub server_id: ServerId,
    /// The head of its log.
    pub head: LogHead,
}

/// Reads whose ledger a file is.
///
/// # Errors
/// [`OpenError`].
pub fn identify(path: &Path) -> Result<LedgerIdentity, OpenError> {
    let connection = open_read_only(path)?;
    schema::check(&connection)?;
    let mut reader = SqliteReader::without_trust(connection);
    let server = Read::<Server>::read(&mut reader, &Server {})?;
    let server = server.ok_or(StoreError::Missing { what: "server's row" })?;
    let log = Read::<Log>::read(&mut reader, &Log {})?;
    Ok(LedgerIdentity { server_id: server.server_id, head: log.head() })
}

/// Folds the write-ahead log of a ledger that no process has open into its file.
///
/// # Errors
/// [`OpenError`].
pub fn fold(path: &Path) -> Result<(), OpenError> {
    let connection = open_writable(path)?;
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    Ok(connection.close().map_err(|(_, error)| error)?)
}

/// Checks the log of a ledger file and its tables, also while no server runs. `witnessed` are heads that others hold;
/// `progress` hears how many entries were read. Writes nothing to the file.
///
/// # Errors
/// [`OpenError`] when the file cannot be read at all; damage of the log is in the answer.
pub fn verify_file_watched(
    path: &Path,
    witnessed: Vec<LogHead>,
    progress: &mut dyn FnMut(u64),
) -> Result<LogCheck, OpenError> {
    let connection = open_read_only(path)?;
    schema::check(&connection)?;
    Ok(check_log(&mut SqliteReader::without_trust(connection), witnessed, progress)?)
}

/// The same for who does not watch.
///
/// # Errors
/// As [`verify_file_watched`].
pub fn verify_file(path: &Path, witnessed: Vec<LogHead>) -> Result<LogCheck, OpenError> {
    verify_file_watched(path, witnessed, &mut |_| ())
}

/// Hands over the log of a ledger file as it is at this moment: whose it is and its head, and then the bytes of each entry
/// from the first. Writes nothing.
///
/// # Errors
/// [`OpenError`]; among others [`OpenError::File`] with what the caller's own work failed with.
pub fn read_log(
    path: &Path,
    begin: impl FnOnce(&ServerIdentity, LogHead) -> io::Result<()>,
    mut each: impl FnMut(&[u8]) -> io::Result<()>,
) -> Result<(), OpenError> {
    let failed = |source: io::Error| OpenError::File { path: path.to_owned(), source };
    let connection = open_read_only(path)?;
    schema::check(&connection)?;
    // One view of the file, whoever writes meanwhile.
    connection.execute_batch("BEGIN")?;
    let mut reader = SqliteReader::without_trust(connection);
    let server = Read::<Server>::read(&mut reader, &Server {})?;
    let server = server.ok_or(StoreError::Missing { what: "server's row" })?;
    let log = Read::<Log>::read(&mut reader, &Log {})?;
    begin(&server, log.head()).map_err(failed)?;
    let mut done = Ok(());
    reader.entries(&mut |entry| {
        done = each(&entry.bytes);
        if done.is_ok() { Walk::Continue } else { Walk::Stop }
    })?;
    done.map_err(failed)
}

/// Copies a ledger file as it is at this moment, also while a server writes it.
///
/// # Errors
/// [`OpenError`]; then a part of the copy may stand at `to`.
pub fn copy_file(from: &Path, to: &Path) -> Result<(), OpenError> {
    let failed = |source: io::Error| OpenError::File { path: to.to_owned(), source };
    let source = open_read_only(from)?;
    schema::check(&source)?;
    OpenOptions::new().write(true).create_new(true).mode(PRIVATE).open(to).map_err(failed)?;
    let mut target = Connection::open(to)?;
    let backup = rusqlite::backup::Backup::new(&source, &mut target)?;
    // In one step: the source is in WAL mode, where a reader holds up no writer.
    backup.run_to_completion(i32::MAX, std::time::Duration::ZERO, None)?;
    drop(backup);
    target.close().map_err(|(_, error)| error)?;
    std::fs::File::open(to).and_then(|file| file.sync_all()).map_err(failed)
}

impl SqliteStore {
    /// Opens a ledger file and locks it: one server per ledger.
    ///
    /// # Errors
    /// [`OpenError`]; among others when another process has it open, or its newest entry is not whole.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        let lock = lock(path)?;
        let connection = open_writable(path)?;
        schema::check(&connection)?;
        entries::check_newest(&connection)?;
        let found = migrations::bring_up(&connection)?;
        Ok(Self { path: path.to_owned(), connection, lock, found })
    }

    /// Whether opening it brought it up from a version whose programs wrote no entries about admin tokens. Then, and only
    /// then, there may be tokens that the log does not tell of.
    #[must_use]
    pub const fn had_tokens_without_entries(&self) -> bool {
        self.found <= migrations::LAST_WITHOUT_TOKENS
    }
}

impl SqliteStore {
    /// Its writer, and so many readers.
    pub(super) fn into_parts(
        self,
        readers: usize,
        grants: &Arc<TrustedGrants>,
    ) -> Result<(SqliteWriter, Readers), StoreError> {
        let Self { path, connection, lock, .. } = self;
        let mut opened: Readers = Vec::with_capacity(readers);
        for _ in 0..readers {
            let connection = open_read_only(&path)?;
            opened.push(Box::new(SqliteReader::new(connection, Arc::clone(grants))));
        }
        let grants = Arc::clone(grants);
        Ok((
            SqliteWriter {
                connection,
                grants,
                plans: PlanCache::default(),
                remembered: Remembered::default(),
                _lock: lock,
            },
            opened,
        ))
    }
}

type Readers = Vec<Box<dyn ReadStore>>;

impl Store for SqliteStore {
    fn split(self: Box<Self>, readers: usize, grants: &Arc<TrustedGrants>) -> Result<Split, StoreError> {
        let (writer, readers) = self.into_parts(readers, grants)?;
        Ok(Split { writer: Box::new(writer), readers })
    }
}

/// A file of its own: closing another handle of the database would drop SQLite's locks.
fn lock(path: &Path) -> Result<FileLock, OpenError> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".lock");
    let beside = PathBuf::from(beside);
    FileLock::try_take(&beside).map_err(|error| match error {
        LockError::Held => OpenError::InUse { path: path.to_owned() },
        LockError::Io(source) => OpenError::File { path: beside, source },
    })
}

/// A connection that reads.
pub(super) struct SqliteReader {
    pub(super) connection: Connection,
    pub(super) grants: Arc<TrustedGrants>,
    plans: PlanCache,
}

impl SqliteReader {
    pub(super) fn new(connection: Connection, grants: Arc<TrustedGrants>) -> Self {
        Self { connection, grants, plans: PlanCache::default() }
    }

    /// One for which no grant counts: for who does not ask for grants.
    fn without_trust(connection: Connection) -> Self {
        Self::new(connection, Arc::default())
    }
}

/// The connection that writes. Fields are dropped in this order: the file is closed before its lock is free.
pub(super) struct SqliteWriter {
    pub(super) connection: Connection,
    grants: Arc<TrustedGrants>,
    plans: PlanCache,
    remembered: Remembered,
    _lock: FileLock,
}

impl Connected for SqliteReader {
    fn connection(&self) -> &Connection {
        &self.connection
    }

    fn grants(&self) -> &TrustedGrants {
        &self.grants
    }

    fn plans(&self) -> &PlanCache {
        &self.plans
    }

    fn approved(&self) -> Result<Arc<Vec<KnownRelease>>, StoreError> {
        approved(&self.connection).map(Arc::new)
    }

    fn live(&self) -> Result<Arc<LiveRings>, StoreError> {
        live_rings(&self.connection).map(Arc::new)
    }

    fn used(&self, serial: &SerialNumber) -> rusqlite::Result<u32> {
        used(&self.connection, serial)
    }
}

impl Connected for SqliteWriter {
    fn connection(&self) -> &Connection {
        &self.connection
    }

    fn grants(&self) -> &TrustedGrants {
        &self.grants
    }

    fn plans(&self) -> &PlanCache {
        &self.plans
    }

    fn approved(&self) -> Result<Arc<Vec<KnownRelease>>, StoreError> {
        self.remembered.approved(|| approved(&self.connection))
    }

    fn live(&self) -> Result<Arc<LiveRings>, StoreError> {
        self.remembered.live(|| live_rings(&self.connection))
    }

    fn used(&self, serial: &SerialNumber) -> rusqlite::Result<u32> {
        self.remembered.used(serial, || used(&self.connection, serial))
    }
}

impl<C: Connected> Read<NoFacts> for C {
    fn read(&mut self, _: &NoFacts) -> Result<(), StoreError> {
        Ok(())
    }
}

impl<C: Connected> ReadStore for C {
    fn entries(&mut self, each: &mut dyn FnMut(StoredEntry) -> Walk) -> Result<(), StoreError> {
        entries::walk(self.connection(), each)
    }

    fn audit(&mut self, each: &mut dyn FnMut(&StoredEntry) -> Walk) -> Result<TablesCheck, StoreError> {
        audit::audit(self.connection(), each)
    }
}

impl SqliteWriter {
    /// Forgets what was read: what is undone may come again under the same version.
    fn forget(&self) {
        self.plans.clear();
        self.remembered.clear();
    }

    fn run(&self, sql: &str) -> Result<(), StoreError> {
        self.connection.prepare_cached(sql)?.execute([])?;
        Ok(())
    }
}

impl WriteStore for SqliteWriter {
    fn begin(&mut self) -> Result<(), StoreError> {
        self.run("BEGIN IMMEDIATE")
    }

    fn savepoint(&mut self) -> Result<(), StoreError> {
        self.run("SAVEPOINT command")
    }

    fn append(&mut self, entry: &LinkedEntry) -> Result<(), StoreError> {
        self.remembered.before_change(&entry.entry.change);
        entries::append(&self.connection, entry)
    }

    fn note(&mut self, note: &Note) -> Result<(), StoreError> {
        self.remembered.before_note(note);
        notes::keep(&self.connection, note)
    }

    fn keep(&mut self) -> Result<(), StoreError> {
        self.run("RELEASE command")
    }

    fn undo(&mut self) -> Result<(), StoreError> {
        self.forget();
        self.run("ROLLBACK TO command")?;
        self.run("RELEASE command")
    }

    fn commit(&mut self) -> Result<(), StoreError> {
        self.run("COMMIT")
    }

    fn roll_back(&mut self) -> Result<(), StoreError> {
        self.forget();
        if self.in_transaction() { self.run("ROLLBACK") } else { Ok(()) }
    }

    fn in_transaction(&self) -> bool {
        !self.connection.is_autocommit()
    }
}
