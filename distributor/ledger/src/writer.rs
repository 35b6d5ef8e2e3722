//! The one writer: takes all commands that wait, carries out each in a savepoint of one transaction, commits, and only
//! then answers all of them (group commit).
//!
//! Invariant: an answered change is on disk; an unanswered one is there whole or not at all. A store may end the whole
//! transaction by itself (SQLite does so when the disk is full, also inside a savepoint); then the batch fails, and the
//! log's tree is read again. A refusal that was decided from an uncommitted change is answered after the commit too.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use sealpost_files::with_causes;
use sealpost_manifests::license_time::LicenseFloor;
use sealpost_manifests::log::{Frontier, LogHead};
use sealpost_site::changes::{Actor, Change, Note};
use sealpost_site::commands::Terms;
use sealpost_site::queries::Log;
use sealpost_site::rows::ServerIdentity;
use sealpost_site::rules::rollouts::outages::Outages;
use tokio::sync::{mpsc, oneshot, watch};

use crate::grants::TrustedGrants;
use crate::job::{Job, Transaction, WriteError};
use crate::refusals::{Counted, Refusals};
use crate::store::{Read, StoreError, WriteStore};
use crate::trusted_log::Told;

/// Commands that wait for the writer; more wait in their callers.
pub(crate) const QUEUE: usize = 1_024;
/// Upper bound on commands per transaction, so that the first caller of a batch does not wait too long.
const MAX_BATCH: usize = 256;
/// How often counted refusals are written.
const FLUSH_EVERY: Duration = Duration::from_secs(60);
/// The time floor is stored when it is this far above the stored one: each store is a write to disk.
const FLOOR_STEP: SignedDuration = SignedDuration::from_mins(5);

/// What the writer is sent.
pub(crate) enum Message {
    /// Carry this out.
    Command(Box<dyn Job>),
    /// Write the counted refusals.
    Flush,
    /// Carry out what waits, flush, stop, and say so.
    Close(oneshot::Sender<()>),
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

    fn run(&mut self, transaction: &mut Transaction<'_>) -> Result<(), WriteError> {
        let entries = self.counted.counts.iter().map(|((minute, code, source), tally)| {
            let change = Change::Refused {
                code: *code,
                source: source.clone(),
                minute: *minute,
                count: tally.count,
                computer: tally.computer().cloned(),
            };
            (Actor::Server, change)
        });
        transaction.write(entries.collect(), Vec::new())
    }

    fn fail(&mut self, error: StoreError) {
        tracing::error!(error = %with_causes(&error), "counted refusals could not be written; they are kept");
        self.failed = true;
    }

    fn answer(self: Box<Self>, committed: Result<(), &Arc<StoreError>>) {
        if committed.is_err() || self.failed {
            self.back.put_back(self.counted);
        }
    }
}

/// What a batch leads to: what stands beside the log in memory once the log has its entries.
pub(crate) struct Attempted {
    head: LogHead,
    told: Arc<Told>,
    clock: (LicenseFloor, Timestamp, Instant),
}

/// The writer's state.
pub(crate) struct Writer {
    pub(crate) store: Box<dyn WriteStore>,
    pub(crate) server: ServerIdentity,
    pub(crate) terms: Terms,
    pub(crate) log: Frontier,
    /// The log could not be read after a failed batch: it is read before the next one.
    pub(crate) log_lost: bool,
    /// What holds if the last batch, which failed, was committed all the same.
    pub(crate) attempted: Option<Attempted>,
    pub(crate) time: LicenseFloor,
    pub(crate) stored_floor: Timestamp,
    pub(crate) observed: Instant,
    /// The time before this start in which no server ran over the ledger, once it is known.
    pub(crate) outages: Arc<OnceLock<Outages>>,
    pub(crate) refusals: Arc<Refusals>,
    /// What the log tells, kept up with what is written.
    pub(crate) grants: Arc<TrustedGrants>,
    pub(crate) committed: watch::Sender<LogHead>,
    pub(crate) sequence: watch::Sender<u64>,
    /// Whether the last batch failed; for those who ask how the ledger is.
    pub(crate) unwritten: Arc<AtomicBool>,
    /// Whether the store failed a single command of the last batch.
    pub(crate) one_failed: bool,
}

impl Writer {
    /// Works until told to close, or until nobody can send any more.
    pub(crate) fn run(mut self, runtime: &tokio::runtime::Runtime, mut queue: mpsc::Receiver<Message>) {
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
                        // What was sent before is still carried out; nothing more is accepted.
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
        // Closed before its lock is free for another server, which the store holds as long as it lives.
        drop(self.store);
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
        // A batch that failed before it may have been committed all the same: that is known before this one.
        let readable = self.find_log();
        let before = (self.time, self.stored_floor, self.observed);
        let (told, head) = (self.grants.log().told(), self.log.head());
        let written = readable.and_then(|()| self.transact(&mut batch));
        self.unwritten.store(written.is_err() || self.one_failed, Ordering::Relaxed);
        match written {
            Ok(()) => {
                self.announce();
                for job in batch {
                    job.answer(Ok(()));
                }
            }
            Err(error) => {
                if self.log.head() != head {
                    let (head, told) = (self.log.head(), self.grants.log().told());
                    let clock = (self.time, self.stored_floor, self.observed);
                    self.attempted = Some(Attempted { head, told, clock });
                }
                // What a statement of the vendor said that is not on disk, the next start would not know either.
                (self.time, self.stored_floor, self.observed) = before;
                self.grants.log().go_back_to(told);
                self.recover();
                let error = Arc::new(error);
                tracing::error!(error = %with_causes(&*error), commands = batch.len(), "a batch of changes was not written");
                for job in batch {
                    job.answer(Err(&error));
                }
            }
        }
    }

    fn transact(&mut self, batch: &mut [Box<dyn Job>]) -> Result<(), StoreError> {
        self.one_failed = false;
        self.store.begin()?;
        for job in batch {
            let now = self.license_time(job.now());
            let mut transaction = Transaction {
                store: &mut *self.store,
                now,
                server: &self.server,
                terms: &self.terms,
                log: &mut self.log,
                told: self.grants.log(),
                time: &mut self.time,
                outages: self.outages.get().unwrap_or(Outages::none()),
            };
            match job.run(&mut transaction) {
                Ok(()) => {}
                Err(WriteError::Batch(error)) => return Err(error),
                Err(WriteError::Command(error)) => {
                    self.one_failed |= matches!(error, StoreError::Database(_));
                    job.fail(error);
                }
            }
        }
        self.store_floor()?;
        self.store.commit()
    }

    /// After a failed batch: nothing of it stays, and the head is what the store says.
    fn recover(&mut self) {
        if let Err(error) = self.store.roll_back() {
            tracing::error!(error = %with_causes(&error), "a failed batch could not be rolled back");
        }
        self.log_lost = true;
        if let Err(error) = self.find_log() {
            tracing::error!(error = %with_causes(&error), "the head of the log cannot be read; nothing is written until it can");
        }
    }

    /// Reads the head of the log, if it is not known. A store may say that a commit failed and have made it: then what the
    /// batch told holds, as the next start would find it, and so does its time.
    fn find_log(&mut self) -> Result<(), StoreError> {
        if !self.log_lost {
            return Ok(());
        }
        self.log = Read::<Log>::read(&mut *self.store, &Log {})?;
        self.log_lost = false;
        if let Some(Attempted { head, told, clock }) = self.attempted.take()
            && head == self.log.head()
        {
            tracing::warn!("the store said that a batch of changes was not written, and it was");
            self.grants.log().go_back_to(told);
            (self.time, self.stored_floor, self.observed) = clock;
            self.announce();
        }
        Ok(())
    }

    /// Tells whoever waits for it how far the log goes.
    fn announce(&self) {
        if self.committed.borrow().size != self.log.size() {
            self.committed.send_replace(self.log.head());
            self.sequence.send_replace(self.log.size());
        }
    }

    /// License time for a caller's time: whole milliseconds, never below the floor.
    fn license_time(&mut self, now: Timestamp) -> Timestamp {
        let now = Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now);
        let elapsed = SignedDuration::try_from(self.observed.elapsed()).unwrap_or(SignedDuration::ZERO);
        self.observed = Instant::now();
        self.time.observe(now, elapsed);
        self.time.license_time(now)
    }

    fn store_floor(&mut self) -> Result<(), StoreError> {
        let floor = self.time.floor();
        // A statement of the vendor can lower it; then it was stored with the statement.
        if floor.duration_since(self.stored_floor).abs() < FLOOR_STEP {
            return Ok(());
        }
        self.store.note(&Note::TimeFloor { floor })?;
        self.stored_floor = floor;
        Ok(())
    }
}
