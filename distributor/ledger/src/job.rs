//! A command on its way through the writer, and what it may do there.

use std::sync::Arc;

use jiff::Timestamp;
use sealpost_manifests::license_time::LicenseFloor;
use sealpost_manifests::log::Frontier;
use sealpost_manifests::wire::problem::Problem;
use sealpost_site::changes::{Actor, Change, Note, chain};
use sealpost_site::commands::{Command, Context, Terms};
use sealpost_site::rows::ServerIdentity;
use sealpost_site::rules::rollouts::outages::Outages;
use tokio::sync::oneshot;

use crate::error::LedgerError;
use crate::store::{Read, StoreError, WriteStore};
use crate::trusted_log::TrustedLog;

/// A command with its caller.
pub(crate) trait Job: Send {
    /// The caller's time.
    fn now(&self) -> Timestamp;
    /// Carries it out.
    fn run(&mut self, transaction: &mut Transaction<'_>) -> Result<(), WriteError>;
    /// It failed, and nothing of it stays.
    fn fail(&mut self, error: StoreError);
    /// Answers the caller: what was decided if it was committed, else why not.
    fn answer(self: Box<Self>, committed: Result<(), &Arc<StoreError>>);
}

/// Why a command could not be carried out.
#[derive(Debug)]
pub(crate) enum WriteError {
    /// Nothing of it stays; the commands beside it go on.
    Command(StoreError),
    /// Nothing of the whole transaction can be kept.
    Batch(StoreError),
}

/// What a command works with: the writer's open transaction.
pub(crate) struct Transaction<'a> {
    pub(crate) store: &'a mut (dyn WriteStore + 'static),
    /// License time.
    pub(crate) now: Timestamp,
    pub(crate) server: &'a ServerIdentity,
    pub(crate) terms: &'a Terms,
    pub(crate) log: &'a mut Frontier,
    pub(crate) told: &'a TrustedLog,
    pub(crate) time: &'a mut LicenseFloor,
    pub(crate) outages: &'a Outages,
}

impl Transaction<'_> {
    /// Facts, decision, changes and notes.
    fn carry_out<C>(&mut self, command: C) -> Result<Result<C::Answer, Problem>, WriteError>
    where
        C: Command,
        dyn WriteStore: Read<C::Facts>,
    {
        let facts =
            Read::<C::Facts>::read(self.store, &command.facts()).map_err(|error| self.judge(error))?;
        let context = Context {
            now: self.now,
            server: self.server,
            terms: self.terms,
            log: self.log,
            outages: self.outages,
        };
        let decision = command.decide(facts, &context);
        self.write(decision.changes, decision.notes)?;
        Ok(decision.answer)
    }

    /// Writes all of it or nothing.
    pub(crate) fn write(
        &mut self,
        changes: Vec<(Actor, Change)>,
        notes: Vec<Note>,
    ) -> Result<(), WriteError> {
        if changes.is_empty() && notes.is_empty() {
            return Ok(());
        }
        let before = (self.log.clone(), *self.time);
        let told = self.told.told();
        self.store.savepoint().map_err(WriteError::Batch)?;
        match self.write_all(changes, notes) {
            Ok(()) => self.store.keep().map_err(WriteError::Batch),
            Err(error) => {
                let error = self.judge(error);
                if matches!(error, WriteError::Command(_)) {
                    self.store.undo().map_err(WriteError::Batch)?;
                    (*self.log, *self.time) = before;
                    self.told.go_back_to(told);
                }
                Err(error)
            }
        }
    }

    fn write_all(&mut self, changes: Vec<(Actor, Change)>, notes: Vec<Note>) -> Result<(), StoreError> {
        for (actor, change) in changes {
            let entry = chain::link(self.log, self.now, actor, change)?;
            self.store.append(&entry)?;
            self.told.take(&entry.entry);
        }
        for note in notes {
            self.store.note(&note)?;
            if let Note::VendorStatement { statement } = note {
                self.time.observe_statement(statement);
                self.store.note(&Note::TimeFloor { floor: self.time.floor() })?;
            }
        }
        Ok(())
    }

    /// Whether an error undid only this command or, because the store ended the transaction, all of them.
    fn judge(&self, error: StoreError) -> WriteError {
        if self.store.in_transaction() { WriteError::Command(error) } else { WriteError::Batch(error) }
    }
}

/// A [`Job`] from a command and its caller's channel.
pub(crate) struct Commanded<C: Command> {
    now: Timestamp,
    command: Option<C>,
    outcome: Option<Result<C::Answer, LedgerError>>,
    reply: oneshot::Sender<Result<C::Answer, LedgerError>>,
}

impl<C: Command> Commanded<C> {
    pub(crate) const fn new(
        now: Timestamp,
        command: C,
        reply: oneshot::Sender<Result<C::Answer, LedgerError>>,
    ) -> Self {
        Self { now, command: Some(command), outcome: None, reply }
    }
}

impl<C> Job for Commanded<C>
where
    C: Command,
    dyn WriteStore: Read<C::Facts>,
{
    fn now(&self) -> Timestamp {
        self.now
    }

    fn run(&mut self, transaction: &mut Transaction<'_>) -> Result<(), WriteError> {
        let Some(command) = self.command.take() else { return Ok(()) };
        let answer = transaction.carry_out(command)?;
        self.outcome = Some(answer.map_err(LedgerError::Refused));
        Ok(())
    }

    fn fail(&mut self, error: StoreError) {
        self.outcome = Some(Err(LedgerError::failed(C::ATTEMPTED, error)));
    }

    fn answer(self: Box<Self>, committed: Result<(), &Arc<StoreError>>) {
        let answer = match (committed, self.outcome) {
            (Ok(()), Some(outcome)) => outcome,
            (Ok(()), None) => Err(LedgerError::Closed),
            (Err(error), _) => {
                Err(LedgerError::Failed { attempted: C::ATTEMPTED, source: Box::new(Arc::clone(error)) })
            }
        };
        // A caller that disconnected does not read its answer.
        let _ = self.reply.send(answer);
    }
}
