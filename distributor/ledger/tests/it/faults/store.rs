//! A store whose writer fails at one call: before it does anything, after it did it, or with the end of the whole
//! transaction, as SQLite does when the disk is full.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard};

use sealpost_ledger::grants::TrustedGrants;
use sealpost_ledger::store::{Read, ReadStore, Split, Store, StoreError, Walk, WriteStore};
use sealpost_site::changes::Note;
use sealpost_site::changes::chain::{LinkedEntry, StoredEntry};
use sealpost_site::changes::tables::TablesCheck;
use sealpost_site::queries::Query;

/// How a call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    /// It did nothing.
    Before,
    /// It did nothing, and what would undo the command fails too.
    BeforeAndNoUndo,
    /// It did nothing, and what would undo the transaction fails too, once.
    BeforeAndNoRollBack,
    /// The store ended the transaction.
    Ended,
    /// It did what it should, and says that it failed.
    After,
}

impl Fault {
    /// The one that can carry out a command comes last.
    pub(crate) const ALL: [Self; 5] =
        [Self::Before, Self::BeforeAndNoUndo, Self::BeforeAndNoRollBack, Self::Ended, Self::After];

    /// The call that fails too when it comes next.
    const fn follower(self) -> Option<Call> {
        match self {
            Self::BeforeAndNoUndo => Some(Call::Undo),
            Self::BeforeAndNoRollBack => Some(Call::RollBack),
            Self::Before | Self::Ended | Self::After => None,
        }
    }
}

/// A call of the port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Call {
    Read,
    Begin,
    Savepoint,
    Append,
    Note,
    Keep,
    Undo,
    Commit,
    RollBack,
}

#[derive(Debug, Default)]
struct Plan {
    /// Calls until it fails, and how.
    armed: Option<(u32, Fault)>,
    /// Nothing is counted before the next transaction begins.
    waits: bool,
    /// What failed.
    hit: Option<Call>,
    /// What fails too when it comes.
    follower: Option<Call>,
    /// A commit does not lose its answer.
    answers_commits: bool,
    /// Every call that failed, and how.
    tried: BTreeSet<(Call, Fault)>,
}

/// Chooses the call that fails; shared with the store.
#[derive(Debug, Clone, Default)]
pub(crate) struct Faults {
    plan: Arc<Mutex<Plan>>,
}

impl Faults {
    /// The `nth` call of the next transaction fails, counted from 1.
    pub(crate) fn arm(&self, nth: u32, fault: Fault) {
        let mut plan = self.plan();
        (plan.armed, plan.waits, plan.hit) = (Some((nth, fault)), true, None);
    }

    /// For each second command a commit that was carried out also says that it was not. For the others it does not, so
    /// that commands are also carried out when they were not before.
    pub(crate) fn take_turns(&self) {
        let mut plan = self.plan();
        plan.answers_commits = !plan.answers_commits;
    }

    /// Nothing fails any more. Answers which call failed, if that many were made.
    pub(crate) fn disarm(&self) -> Option<Call> {
        let mut plan = self.plan();
        (plan.armed, plan.follower) = (None, None);
        plan.hit.take()
    }

    /// Every call that failed, and how.
    pub(crate) fn tried(&self) -> BTreeSet<(Call, Fault)> {
        self.plan().tried.clone()
    }

    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap()
    }

    /// Counts a call, and says how it has to fail.
    fn meets(&self, call: Call) -> Option<Fault> {
        let mut plan = self.plan();
        if plan.follower == Some(call) {
            plan.follower = None;
            plan.tried.insert((call, Fault::Before));
            return Some(Fault::Before);
        }
        let (left, fault) = plan.armed?;
        if plan.waits && call != Call::Begin {
            return None;
        }
        plan.waits = false;
        if left > 1 {
            plan.armed = Some((left - 1, fault));
            return None;
        }
        plan.armed = None;
        if plan.answers_commits && (call, fault) == (Call::Commit, Fault::After) {
            return None;
        }
        (plan.hit, plan.follower) = (Some(call), fault.follower());
        plan.tried.insert((call, fault));
        Some(fault)
    }
}

/// A store with faults.
pub(crate) struct FaultyStore {
    pub(crate) store: Box<dyn Store>,
    pub(crate) faults: Faults,
}

impl Store for FaultyStore {
    fn split(self: Box<Self>, readers: usize, grants: &Arc<TrustedGrants>) -> Result<Split, StoreError> {
        let Split { writer, readers } = self.store.split(readers, grants)?;
        Ok(Split { writer: Box::new(FaultyWriter { writer, faults: self.faults }), readers })
    }
}

struct FaultyWriter {
    writer: Box<dyn WriteStore>,
    faults: Faults,
}

impl FaultyWriter {
    fn call<T>(
        &mut self,
        call: Call,
        run: impl FnOnce(&mut (dyn WriteStore + 'static)) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        match self.faults.meets(call) {
            None => return run(&mut *self.writer),
            Some(Fault::Before | Fault::BeforeAndNoUndo | Fault::BeforeAndNoRollBack) => {}
            Some(Fault::After) => drop(run(&mut *self.writer)?),
            Some(Fault::Ended) => self.writer.roll_back()?,
        }
        Err(StoreError::Database(format!("{call:?} was told to fail").into()))
    }
}

impl<Q: Query> Read<Q> for FaultyWriter
where
    dyn WriteStore: Read<Q>,
{
    fn read(&mut self, query: &Q) -> Result<Q::Answer, StoreError> {
        self.call(Call::Read, |writer| Read::<Q>::read(writer, query))
    }
}

impl ReadStore for FaultyWriter {
    fn entries(&mut self, each: &mut dyn FnMut(StoredEntry) -> Walk) -> Result<(), StoreError> {
        self.call(Call::Read, |writer| writer.entries(each))
    }

    fn audit(&mut self, each: &mut dyn FnMut(&StoredEntry) -> Walk) -> Result<TablesCheck, StoreError> {
        self.call(Call::Read, |writer| writer.audit(each))
    }
}

impl WriteStore for FaultyWriter {
    fn begin(&mut self) -> Result<(), StoreError> {
        self.call(Call::Begin, |writer| writer.begin())
    }

    fn savepoint(&mut self) -> Result<(), StoreError> {
        self.call(Call::Savepoint, |writer| writer.savepoint())
    }

    fn append(&mut self, entry: &LinkedEntry) -> Result<(), StoreError> {
        self.call(Call::Append, |writer| writer.append(entry))
    }

    fn note(&mut self, note: &Note) -> Result<(), StoreError> {
        self.call(Call::Note, |writer| writer.note(note))
    }

    fn keep(&mut self) -> Result<(), StoreError> {
        self.call(Call::Keep, |writer| writer.keep())
    }

    fn undo(&mut self) -> Result<(), StoreError> {
        self.call(Call::Undo, |writer| writer.undo())
    }

    fn commit(&mut self) -> Result<(), StoreError> {
        self.call(Call::Commit, |writer| writer.commit())
    }

    fn roll_back(&mut self) -> Result<(), StoreError> {
        self.call(Call::RollBack, |writer| writer.roll_back())
    }

    fn in_transaction(&self) -> bool {
        self.writer.in_transaction()
    }
}
