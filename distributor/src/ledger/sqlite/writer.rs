//! The one writer: takes all commands that wait, carries out each in a savepoint of one transaction, commits, and only
//! then answers all of them (group commit).
//!
//! Invariant: an answered change is on disk; an unanswered one is there whole or not at all. SQLite may roll the whole
//! transaction back by itself (a full disk does that, also inside a savepoint), so after every error the writer looks at
//! `is_autocommit`; then the batch fails, and the head of the chain is read again. A refusal that was decided from an
//! uncommitted change is answered after the commit too.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, params};
use sealpost_manifests::lease::LedgerHead;
use tokio::sync::{mpsc, oneshot, watch};

use super::refusals::{Counted, Refusals};
use super::step::{CommandError, Ruling, ServerIdentity, Step, StepResult};
use super::values::micros;
use super::{chain, failed};
use crate::domain::activity::{Actor, Change};
use crate::domain::time_floor::TimeFloor;
use crate::ledger::LedgerSettings;
use crate::ports::ledger::LedgerError;

/// Commands that wait for the writer; more wait in their callers.
pub(super) const QUEUE: usize = 1_024;
/// Most commands of one transaction: more would make the first of them wait too long.
const MAX_BATCH: usize = 256;
/// How often counted refusals are written.
const FLUSH_EVERY: Duration = Duration::from_secs(60);
/// The time floor is stored when it is this far above the stored one: each store is a write to disk.
const FLOOR_STEP: SignedDuration = SignedDuration::from_mins(5);

/// What the writer is sent.
pub(super) enum Message {
    /// Carry this out.
    Command(Box<dyn Job>),
    /// Write the counted refusals.
    Flush,
    /// Carry out what waits, flush, stop, and say so.
    Close(oneshot::Sender<()>),
}

/// A command with its caller.
pub(super) trait Job: Send {
    /// The caller's time.
    fn now(&self) -> Timestamp;
    /// Carries it out. `Err` is a failure of the ledger, not a refusal.
    fn run(&mut self, step: &mut Step<'_>) -> Result<Fate, CommandError>;
    /// It failed, nothing of it stays.
    fn fail(&mut self, error: CommandError);
    /// Answers the caller: what it ruled if it was committed, else why not.
    fn answer(self: Box<Self>, committed: Result<(), &Arc<CommandError>>);
}

/// What becomes of a command's savepoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is kept.
    Keep,
    /// It is rolled back: refused.
    Discard,
}

/// A [`Job`] from a closure and the caller's channel.
pub(super) struct Command<T, F> {
    attempted: &'static str,
    now: Timestamp,
    work: Option<F>,
    ruling: Option<Result<T, LedgerError>>,
    reply: oneshot::Sender<Result<T, LedgerError>>,
}

impl<T, F> Command<T, F>
where
    T: Send,
    F: FnOnce(&mut Step<'_>) -> StepResult<T> + Send,
{
    pub(super) fn new(
        attempted: &'static str,
        now: Timestamp,
        work: F,
        reply: oneshot::Sender<Result<T, LedgerError>>,
    ) -> Self {
        Self { attempted, now, work: Some(work), ruling: None, reply }
    }
}

impl<T, F> Job for Command<T, F>
where
    T: Send,
    F: FnOnce(&mut Step<'_>) -> StepResult<T> + Send,
{
    fn now(&self) -> Timestamp {
        self.now
    }

    fn run(&mut self, step: &mut Step<'_>) -> Result<Fate, CommandError> {
        let Some(work) = self.work.take() else { return Ok(Fate::Discard) };
        let (ruling, fate) = match work(step) {
            Ok(Ruling::Done(answer)) => (Ok(answer), Fate::Keep),
            Ok(Ruling::NotedRefusal(problem)) => (Err(LedgerError::Refused(problem)), Fate::Keep),
            Err(CommandError::Refused(problem)) => (Err(LedgerError::Refused(problem)), Fate::Discard),
            Err(error) => return Err(error),
        };
        self.ruling = Some(ruling);
        Ok(fate)
    }

    fn fail(&mut self, error: CommandError) {
        self.ruling = Some(Err(failed(self.attempted, error)));
    }

    fn answer(self: Box<Self>, committed: Result<(), &Arc<CommandError>>) {
        let answer = match (committed, self.ruling) {
            (Ok(()), Some(ruling)) => ruling,
            (Ok(()), None) => Err(LedgerError::Closed),
            (Err(error), _) => {
                Err(LedgerError::Failed { attempted: self.attempted, source: Box::new(Arc::clone(error)) })
            }
        };
        // A caller that went away does not want its answer.
        let _ = self.reply.send(answer);
    }
}

/// Counted refusals on their way to the log.
struct FlushRefusals {
    counted: Counted,
    failed: bool,
    back: Arc<Refusals>,
}

impl Job for FlushRefusals {
    fn now(&self) -> Timestamp {
        self.counted.latest.unwrap_or(Timestamp::UNIX_EPOCH)
    }

    fn run(&mut self, step: &mut Step<'_>) -> Result<Fate, CommandError> {
        for ((minute, code, source), count) in &self.counted.counts {
            let change =
                Change::Refused { code: *code, source: source.clone(), minute: *minute, count: *count };
            step.record(Actor::Server, change)?;
        }
        Ok(Fate::Keep)
    }

    fn fail(&mut self, error: CommandError) {
        tracing::error!(error = %chain_of(&error), "counted refusals could not be written; they are kept");
        self.failed = true;
    }

    fn answer(self: Box<Self>, committed: Result<(), &Arc<CommandError>>) {
        if committed.is_err() || self.failed {
            self.back.put_back(self.counted);
        }
    }
}

/// A failure as one line for the log: the error and what caused it.
fn chain_of(error: &CommandError) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

/// The writer's state.
pub(super) struct Writer {
    pub(super) connection: Connection,
    pub(super) server: ServerIdentity,
    pub(super) settings: LedgerSettings,
    pub(super) head: LedgerHead,
    /// The head could not be read after a failed batch: it is read before the next one.
    pub(super) head_lost: bool,
    pub(super) floor: TimeFloor,
    pub(super) stored_floor: Timestamp,
    pub(super) observed: Instant,
    pub(super) refusals: Arc<Refusals>,
    pub(super) committed: watch::Sender<LedgerHead>,
    pub(super) sequence: watch::Sender<u64>,
    /// Whether the last batch failed; for those who ask how the ledger is.
    pub(super) unwritten: Arc<AtomicBool>,
    /// Whether the database failed a single command of the last batch.
    pub(super) one_failed: bool,
    /// Held as long as the writer lives: one server per ledger.
    pub(super) lock: std::fs::File,
}

impl Writer {
    /// Works until told to close, or until nobody can send any more.
    pub(super) fn run(mut self, runtime: &tokio::runtime::Runtime, mut queue: mpsc::Receiver<Message>) {
        let mut flushed = Instant::now();
        let mut closers = Vec::new();
        loop {
            let wait = FLUSH_EVERY.saturating_sub(flushed.elapsed());
            let first = runtime.block_on(async { tokio::time::timeout(wait, queue.recv()).await });
            let mut flush = flushed.elapsed() >= FLUSH_EVERY;
            let mut batch = Vec::new();
            let mut next = match first {
                Ok(Some(message)) => Some(message),
                Ok(None) => break,
                Err(_) => None,
            };
            while let Some(message) = next.take() {
                match message {
                    Message::Command(job) => batch.push(job),
                    Message::Flush => flush = true,
                    Message::Close(done) => {
                        // What was sent before is still carried out; nothing more is let in.
                        queue.close();
                        closers.push(done);
                    }
                }
                if batch.len() < MAX_BATCH {
                    next = queue.try_recv().ok();
                }
            }
            self.commit(batch);
            if flush {
                self.flush();
                flushed = Instant::now();
            }
        }
        self.flush();
        let Self { connection, lock, .. } = self;
        if let Err((_, error)) = connection.close() {
            tracing::error!(%error, "the ledger's database could not be closed cleanly; nothing is lost");
        }
        drop(lock);
        for done in closers {
            let _ = done.send(());
        }
    }

    fn flush(&mut self) {
        if self.refusals.is_empty() {
            return;
        }
        let job =
            FlushRefusals { counted: self.refusals.take(), failed: false, back: Arc::clone(&self.refusals) };
        self.commit(vec![Box::new(job)]);
    }

    /// Carries out a batch in one transaction, and answers it.
    fn commit(&mut self, mut batch: Vec<Box<dyn Job>>) {
        if batch.is_empty() {
            return;
        }
        let written = self.transact(&mut batch);
        self.unwritten.store(written.is_err() || self.one_failed, Ordering::Relaxed);
        match written {
            Ok(()) => {
                if self.committed.borrow().sequence != self.head.sequence {
                    self.committed.send_replace(self.head.clone());
                    self.sequence.send_replace(self.head.sequence);
                }
                for job in batch {
                    job.answer(Ok(()));
                }
            }
            Err(error) => {
                let error = Arc::new(self.recover(error));
                tracing::error!(error = %chain_of(&error), commands = batch.len(), "a batch of changes was not written");
                for job in batch {
                    job.answer(Err(&error));
                }
            }
        }
    }

    fn transact(&mut self, batch: &mut [Box<dyn Job>]) -> Result<(), CommandError> {
        if self.head_lost {
            self.head = chain::head(&self.connection)?;
            self.head_lost = false;
        }
        self.one_failed = false;
        self.connection.execute_batch("BEGIN IMMEDIATE")?;
        for job in batch {
            let now = self.license_time(job.now());
            let before = self.head.clone();
            self.connection.execute_batch("SAVEPOINT command")?;
            let mut step = Step {
                connection: &self.connection,
                now,
                server: &self.server,
                settings: &self.settings,
                head: &mut self.head,
                floor: &mut self.floor,
            };
            let fate = match job.run(&mut step) {
                Ok(fate) => fate,
                // SQLite ended the transaction: every command of this batch is undone.
                Err(error) if self.connection.is_autocommit() => return Err(error),
                Err(error) => {
                    self.one_failed |= matches!(error, CommandError::Database(_));
                    job.fail(error);
                    Fate::Discard
                }
            };
            if fate == Fate::Discard {
                self.connection.execute_batch("ROLLBACK TO command")?;
                self.head = before;
            }
            self.connection.execute_batch("RELEASE command")?;
        }
        self.store_floor()?;
        self.connection.execute_batch("COMMIT")?;
        Ok(())
    }

    /// After a failed batch: nothing of it stays, and the head is what the database says.
    fn recover(&mut self, error: CommandError) -> CommandError {
        if !self.connection.is_autocommit()
            && let Err(rollback) = self.connection.execute_batch("ROLLBACK")
        {
            tracing::error!(error = %rollback, "a failed batch could not be rolled back");
        }
        match chain::head(&self.connection) {
            Ok(head) => self.head = head,
            Err(unreadable) => {
                tracing::error!(error = %unreadable, "the head of the log cannot be read; nothing is written until it can");
                self.head_lost = true;
            }
        }
        error
    }

    /// License time for a caller's time: whole milliseconds, never below the floor.
    fn license_time(&mut self, now: Timestamp) -> Timestamp {
        let now = Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now);
        let elapsed = SignedDuration::try_from(self.observed.elapsed()).unwrap_or(SignedDuration::ZERO);
        self.observed = Instant::now();
        self.floor.observe_local(now, elapsed);
        self.floor.license_time(now)
    }

    fn store_floor(&mut self) -> Result<(), CommandError> {
        let floor = self.floor.floor();
        if floor.duration_since(self.stored_floor) < FLOOR_STEP {
            return Ok(());
        }
        self.connection
            .prepare_cached("INSERT OR REPLACE INTO clock (id, floor) VALUES (1, ?1)")?
            .execute(params![micros(floor)])?;
        self.stored_floor = floor;
        Ok(())
    }
}
