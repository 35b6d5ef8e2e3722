//! The embedded ledger: one SQLite file, one writer thread with group commit, a pool of readers.
//!
//! Invariant: an answered change is on disk (WAL, `synchronous = FULL`); every change of a chained table comes with its
//! entry in the hash chain, in the same transaction; one process writes (a lock file beside the database says so).
//! Left out on purpose: the marker outside the database that finds a restored backup (it is to be compared in [`open`],
//! before the first command), archived segments, and encryption.

mod chain;
mod commands;
mod explanations;
mod projections;
mod queries;
mod readers;
mod refusals;
mod schema;
mod step;
mod values;
mod writer;

#[cfg(test)]
mod tests;

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rusqlite::{Connection, OpenFlags, OptionalExtension};
use sealpost_keys::PublicKey;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::document::SignedDocument;
use sealpost_manifests::grant::Grant;
use sealpost_manifests::ids::{ChannelName, ClientId, ComputerName, SerialNumber, ServerId};
use sealpost_manifests::lease::LedgerHead;
use sealpost_manifests::release::ReleaseId;
use sealpost_manifests::wire::contact::Contact;
use sealpost_manifests::wire::enroll::Enrollment;
use sealpost_manifests::wire::problem::ProblemCode;
use tokio::sync::{mpsc, oneshot, watch};

use self::readers::Readers;
use self::refusals::Refusals;
use self::step::{CommandError, ServerIdentity, Step, StepResult};
use self::writer::{Command, Message, QUEUE, Writer};
use crate::domain::activity::{Actor, Change};
use crate::domain::enrollment::Standing;
use crate::domain::explain::Explanation;
use crate::domain::time_floor::TimeFloor;
use crate::ledger::LedgerSettings;
use crate::ports::ledger::{
    ActivityFilter, ClientRow, ContactOutcome, EnrollOutcome, Ledger, LedgerError, LedgerFuture, LicenseRow,
    LogCheck, LoggedEntry, PullRow, PulledVersions, ReleaseRow, StagedRelease,
};

/// How long a connection waits for another process that reads or checkpoints, for example `log verify`.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// The write-ahead log is cut back to this size after a checkpoint, in bytes.
const WAL_LIMIT_BYTES: i64 = 64 * 1024 * 1024;

/// Why a ledger could not be made or opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file is there already.
    #[error("cannot make a ledger at {path}: the file exists; use another home or keep this ledger")]
    Exists {
        /// Which.
        path: PathBuf,
    },
    /// The file or its lock cannot be opened.
    #[error("cannot open the ledger {path}; check that it exists and that this user may write it")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Another process writes it.
    #[error("the ledger {path} is in use by another process; is the server running already?")]
    InUse {
        /// Which.
        path: PathBuf,
    },
    /// It is something else.
    #[error("the file is not a ledger, or its making was interrupted; run `distributor init` in a new home")]
    NotALedger,
    /// A newer program wrote it.
    #[error("the ledger has format version {found}, this program knows up to {known}; update this program")]
    Newer {
        /// The file's version.
        found: u32,
        /// The highest that is known here.
        known: u32,
    },
    /// Its newest entry is not whole.
    #[error("the ledger is damaged: {what}; run `distributor log verify`, and restore a backup of the home")]
    Damaged {
        /// What was found.
        what: String,
    },
    /// The first entry could not be written.
    #[error("the ledger's first entry cannot be written")]
    FirstEntry(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// SQLite failed.
    #[error("the ledger's database cannot be read or written; check the disk")]
    Database(#[from] rusqlite::Error),
    /// No thread for the writer.
    #[error("the ledger's writer cannot be started")]
    Writer(#[source] io::Error),
}

/// Makes a new ledger, bound to its server by its first entry. A half-made file is refused by [`open`].
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
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(failed)?;
    let connection = open_writable(path)?;
    connection.execute_batch("BEGIN EXCLUSIVE")?;
    schema::create(&connection)?;
    let now = Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now);
    step::append(
        &connection,
        &step::empty_head(),
        now,
        Actor::Server,
        Change::ServerInitialized { server_id, site_key },
    )
    .map_err(|error| OpenError::FirstEntry(Box::new(error)))?;
    connection.execute("INSERT INTO clock (id, floor) VALUES (1, ?1)", [values::micros(now)])?;
    connection.execute_batch("COMMIT")?;
    connection.close().map_err(|(_, error)| error)?;
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(parent).and_then(|folder| folder.sync_all()).map_err(failed)
}

/// Opens a ledger and starts its writer.
///
/// # Errors
/// [`OpenError`]; among others when another process has it open, or its newest entry is not whole.
pub fn open(path: &Path, settings: LedgerSettings) -> Result<SqliteLedger, OpenError> {
    let lock = lock(path)?;
    let connection = open_writable(path)?;
    schema::migrate(&connection)?;
    let server = server(&connection)?;
    let head = whole_head(&connection)?;
    let readers = Readers::open(path, settings.readers)?;
    let auditor = Readers::open(path, 1)?;
    let stored_floor = queries::time_floor(&connection)?.unwrap_or(Timestamp::UNIX_EPOCH);
    let refusals = Arc::new(Refusals::default());
    let (committed, heads) = watch::channel(head.clone());
    let (sequence, sequences) = watch::channel(head.sequence);
    let (queue, messages) = mpsc::channel(QUEUE);
    let unwritten = Arc::new(AtomicBool::new(false));
    let writer = Writer {
        connection,
        server: server.clone(),
        settings,
        head,
        head_lost: false,
        floor: TimeFloor::new(stored_floor),
        stored_floor,
        observed: Instant::now(),
        refusals: Arc::clone(&refusals),
        committed,
        sequence,
        unwritten: Arc::clone(&unwritten),
        one_failed: false,
        lock,
    };
    // Time is all the writer needs of a runtime: it waits for a command or for the next flush.
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().build().map_err(OpenError::Writer)?;
    std::thread::Builder::new()
        .name("ledger-writer".to_owned())
        .spawn(move || writer.run(&runtime, messages))
        .map_err(OpenError::Writer)?;
    Ok(SqliteLedger { server, queue, readers, auditor, refusals, heads, sequences, unwritten })
}

/// Checks the log of a ledger file, also while no server runs. Writes nothing.
///
/// # Errors
/// [`OpenError`] when the file cannot be read at all; damage of the log is in the answer.
pub fn verify_file(path: &Path) -> Result<LogCheck, OpenError> {
    let connection = readers::open_read_only(path)?;
    schema::check(&connection)?;
    Ok(chain::check(&connection, None)?)
}

fn open_writable(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.query_row(&format!("PRAGMA journal_size_limit = {WAL_LIMIT_BYTES}"), [], |_| Ok(()))?;
    connection.set_prepared_statement_cache_capacity(128);
    Ok(connection)
}

/// One server per ledger. A file of its own: closing another handle of the database would drop SQLite's locks.
fn lock(path: &Path) -> Result<File, OpenError> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".lock");
    let beside = PathBuf::from(beside);
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&beside)
        .map_err(|source| OpenError::File { path: beside.clone(), source })?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse { path: path.to_owned() }),
        Err(TryLockError::Error(source)) => Err(OpenError::File { path: beside, source }),
    }
}

fn server(connection: &Connection) -> Result<ServerIdentity, OpenError> {
    let found = connection
        .query_row("SELECT server_id, site_key FROM server", [], |row| {
            Ok(ServerIdentity { server_id: values::text(row, 0)?, site_key: values::text(row, 1)? })
        })
        .optional()?;
    found.ok_or(OpenError::NotALedger)
}

/// The head, if its entry is whole: what is appended after it has to follow something.
fn whole_head(connection: &Connection) -> Result<LedgerHead, OpenError> {
    let head = chain::head(connection)?;
    let bytes: Option<Vec<u8>> = connection
        .query_row("SELECT entry FROM activity ORDER BY sequence DESC LIMIT 1", [], |row| row.get(0))
        .optional()?;
    match bytes {
        Some(bytes) if Sha256Digest::of(&bytes) == head.hash => Ok(head),
        Some(_) => {
            let what =
                format!("the hash of the newest entry, {}, is not the hash of its bytes", head.sequence);
            Err(OpenError::Damaged { what })
        }
        None => Err(OpenError::Damaged { what: "the log is empty".to_owned() }),
    }
}

fn failed(attempted: &'static str, error: CommandError) -> LedgerError {
    match error {
        CommandError::Refused(problem) => LedgerError::Refused(problem),
        error => LedgerError::Failed { attempted, source: Box::new(error) },
    }
}

/// The SQLite ledger. Dropping it lets the writer finish what it was sent; [`Ledger::close`] also waits for that.
#[derive(Debug)]
pub struct SqliteLedger {
    server: ServerIdentity,
    queue: mpsc::Sender<Message>,
    readers: Readers,
    /// Reads the whole log, one at a time: apart, because that takes long, and clients do not wait for it.
    auditor: Readers,
    refusals: Arc<Refusals>,
    heads: watch::Receiver<LedgerHead>,
    sequences: watch::Receiver<u64>,
    /// Whether the last batch of changes failed.
    unwritten: Arc<AtomicBool>,
}

impl SqliteLedger {
    /// The site key that the ledger was made for.
    #[must_use]
    pub fn site_key(&self) -> &PublicKey {
        &self.server.site_key
    }

    /// Sends a command to the writer, and waits until it is on disk.
    fn command<T, F>(&self, attempted: &'static str, now: Timestamp, work: F) -> LedgerFuture<'_, T>
    where
        T: Send + 'static,
        F: FnOnce(&mut Step<'_>) -> StepResult<T> + Send + 'static,
    {
        Box::pin(async move {
            let (reply, answer) = oneshot::channel();
            let job = Command::new(attempted, now, work, reply);
            self.queue.send(Message::Command(Box::new(job))).await.map_err(|_| LedgerError::Closed)?;
            answer.await.map_err(|_| LedgerError::Closed)?
        })
    }

    /// Runs a query on a reader.
    fn query<T, E, F>(&self, attempted: &'static str, query: F) -> LedgerFuture<'_, T>
    where
        T: Send + 'static,
        E: Into<CommandError> + Send + 'static,
        F: FnOnce(&Connection) -> Result<T, E> + Send + 'static,
    {
        Box::pin(self.readers.query(attempted, query))
    }
}

impl Ledger for SqliteLedger {
    fn server_id(&self) -> ServerId {
        self.server.server_id.clone()
    }

    fn register_serial(&self, actor: Actor, now: Timestamp, serial: SerialNumber) -> LedgerFuture<'_, ()> {
        self.command("note a registration", now, move |step| {
            commands::licensing::register(step, actor, serial)
        })
    }

    fn accept_grant(
        &self,
        actor: Actor,
        now: Timestamp,
        grant: Grant,
        document: SignedDocument,
    ) -> LedgerFuture<'_, LicenseRow> {
        self.command("accept a grant", now, move |step| {
            commands::licensing::accept_grant(step, actor, grant, document)
        })
    }

    fn reserve(
        &self,
        actor: Actor,
        now: Timestamp,
        name: ComputerName,
        channel: ChannelName,
    ) -> LedgerFuture<'_, ClientRow> {
        self.command("reserve a seat", now, move |step| {
            commands::licensing::reserve(step, actor, name, channel)
        })
    }

    fn issue_setup(
        &self,
        actor: Actor,
        now: Timestamp,
        name: ComputerName,
        code_sha256: Sha256Digest,
    ) -> LedgerFuture<'_, ()> {
        self.command("note a setup file", now, move |step| {
            commands::clients::issue_setup(step, actor, name, code_sha256)
        })
    }

    fn enroll(
        &self,
        source: String,
        now: Timestamp,
        enrollment: Enrollment,
        candidate: ClientId,
    ) -> LedgerFuture<'_, EnrollOutcome> {
        self.command("enroll a computer", now, move |step| {
            commands::clients::enroll(step, source, enrollment, candidate)
        })
    }

    fn contact(&self, now: Timestamp, contact: Contact) -> LedgerFuture<'_, ContactOutcome> {
        self.command("commit a contact", now, move |step| commands::contact::contact(step, contact))
    }

    fn count_refusal(&self, now: Timestamp, code: ProblemCode, source: String) {
        if self.refusals.count(now, code, &source) {
            // A full queue only delays it: the writer flushes each minute by itself.
            let _ = self.queue.try_send(Message::Flush);
        }
    }

    fn pull_succeeded(&self, now: Timestamp, versions: PulledVersions) -> LedgerFuture<'_, ()> {
        self.command("note a pull", now, move |step| commands::updates::pull_succeeded(step, versions))
    }

    fn pull_failed(&self, now: Timestamp, reason: String) -> LedgerFuture<'_, ()> {
        self.command("note a failed pull", now, move |step| commands::updates::pull_failed(step, reason))
    }

    fn stage(&self, now: Timestamp, release: StagedRelease) -> LedgerFuture<'_, ReleaseRow> {
        self.command("stage a release", now, move |step| commands::updates::stage(step, release))
    }

    fn refuse_release(
        &self,
        now: Timestamp,
        release: ReleaseId,
        manifest: Sha256Digest,
        problems: Vec<String>,
    ) -> LedgerFuture<'_, ()> {
        self.command("note a refused release", now, move |step| {
            commands::updates::refuse(step, release, manifest, problems)
        })
    }

    fn withdraw(&self, now: Timestamp, manifest: Sha256Digest, reason: String) -> LedgerFuture<'_, ()> {
        self.command("withdraw a release", now, move |step| {
            commands::updates::withdraw(step, manifest, reason)
        })
    }

    fn delta_made(
        &self,
        now: Timestamp,
        base: Sha256Digest,
        target: Sha256Digest,
        bytes: u64,
    ) -> LedgerFuture<'_, ()> {
        self.command("note a delta", now, move |step| {
            commands::updates::delta_made(step, base, target, bytes)
        })
    }

    fn approve(&self, actor: Actor, now: Timestamp, manifest: Sha256Digest) -> LedgerFuture<'_, ReleaseRow> {
        self.command("approve a release", now, move |step| commands::updates::approve(step, actor, manifest))
    }

    fn reject(
        &self,
        actor: Actor,
        now: Timestamp,
        manifest: Sha256Digest,
        reason: String,
    ) -> LedgerFuture<'_, ReleaseRow> {
        self.command("reject a release", now, move |step| {
            commands::updates::reject(step, actor, manifest, reason)
        })
    }

    fn licenses(&self) -> LedgerFuture<'_, Vec<LicenseRow>> {
        self.query("list licenses", queries::licenses)
    }

    fn time_floor(&self) -> LedgerFuture<'_, Timestamp> {
        self.query("read the time floor", |connection| {
            queries::time_floor(connection).map(|floor| floor.unwrap_or(Timestamp::UNIX_EPOCH))
        })
    }

    fn clients(&self, after: Option<ComputerName>, limit: u32) -> LedgerFuture<'_, Vec<ClientRow>> {
        self.query("list clients", move |connection| queries::clients(connection, after.as_ref(), limit))
    }

    fn client(&self, name: ComputerName) -> LedgerFuture<'_, Option<ClientRow>> {
        self.query("read a client", move |connection| queries::client(connection, &name))
    }

    fn client_by_id(&self, client_id: ClientId) -> LedgerFuture<'_, Option<ClientRow>> {
        self.query("read a client", move |connection| queries::client_by_id(connection, &client_id))
    }

    fn explain(&self, now: Timestamp, name: ComputerName) -> LedgerFuture<'_, Vec<Explanation>> {
        self.query("explain a client", move |connection| explanations::explain_client(connection, now, &name))
    }

    fn enrollment_code_known(&self, name: ComputerName, code_sha256: Sha256Digest) -> LedgerFuture<'_, bool> {
        self.query("look for an enrollment code", move |connection| {
            queries::standing(connection, &name).map(
                |standing| matches!(standing, Standing::SetupIssued(setup) if setup.code_sha256 == code_sha256),
            )
        })
    }

    fn releases(&self) -> LedgerFuture<'_, Vec<ReleaseRow>> {
        self.query("list releases", queries::releases)
    }

    fn release(&self, manifest: Sha256Digest) -> LedgerFuture<'_, Option<ReleaseRow>> {
        self.query("read a release", move |connection| queries::release(connection, &manifest))
    }

    fn last_pull(&self) -> LedgerFuture<'_, PullRow> {
        self.query("read the last pull", queries::last_pull)
    }

    fn activity(&self, filter: ActivityFilter) -> LedgerFuture<'_, Vec<LoggedEntry>> {
        self.query("read the activity log", move |connection| chain::read(connection, &filter))
    }

    fn head(&self) -> LedgerFuture<'_, LedgerHead> {
        let head = self.heads.borrow().clone();
        Box::pin(async move { Ok(head) })
    }

    fn check_health(&self) -> LedgerFuture<'_, ()> {
        if self.queue.is_closed() {
            return Box::pin(async { Err(LedgerError::Closed) });
        }
        if self.unwritten.load(Ordering::Relaxed) {
            // Only a write tells whether the next one would come through; a failed disk is not to be waited out.
            return self.command("write to its disk", Timestamp::UNIX_EPOCH, |step| step.write_anything());
        }
        self.query("read a table", |connection| queries::last_pull(connection).map(drop))
    }

    fn verify_log(&self) -> LedgerFuture<'_, LogCheck> {
        let written = self.heads.borrow().clone();
        Box::pin(
            self.auditor
                .query("verify the activity log", move |connection| chain::check(connection, Some(&written))),
        )
    }

    fn subscribe(&self) -> watch::Receiver<u64> {
        self.sequences.clone()
    }

    fn close(&self) -> LedgerFuture<'_, ()> {
        Box::pin(async move {
            let (done, closed) = oneshot::channel();
            // The readers go first: the last connection to close folds the write-ahead log into the file.
            self.readers.close();
            self.auditor.close();
            if self.queue.send(Message::Close(done)).await.is_ok() {
                closed.await.map_err(|_| LedgerError::Closed)?;
            }
            Ok(())
        })
    }
}
