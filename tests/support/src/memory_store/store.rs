//! The store itself: who reads and who writes, and the transaction of the writer.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use sealpost_keys::PublicKey;
use sealpost_ledger::grants::{TrustedGrant, TrustedGrants};
use sealpost_ledger::store::{ReadStore, Split, Store, StoreError, Walk, WriteStore};
use sealpost_manifests::ids::{SerialNumber, ServerId};
use sealpost_manifests::log::Frontier;
use sealpost_site::changes::chain::{self, FoundBy, LinkedEntry, ReadEntry, StoredEntry, link};
use sealpost_site::changes::installs::Installs;
use sealpost_site::changes::tables::TablesCheck;
use sealpost_site::changes::{Actor, Change, Note};
use sealpost_site::rules::grants::GrantFlaw;

use super::state::{License, State};

/// Why the store did not do it.
#[derive(Debug, thiserror::Error)]
pub enum MemoryStoreError {
    /// Another ledger writes to it.
    #[error("the store is in use by another ledger")]
    InUse,
    /// A row with this key is there already.
    #[error("the {what} is taken")]
    Taken {
        /// What the key is.
        what: &'static str,
    },
    /// The order of calls is wrong.
    #[error("cannot {attempted}: {why}")]
    OutOfOrder {
        /// What the caller wanted to do.
        attempted: &'static str,
        /// What should have been called before, or should not.
        why: &'static str,
    },
}

impl MemoryStoreError {
    /// A database would not let a second row have this key either.
    pub(super) fn taken(what: &'static str) -> StoreError {
        Self::Taken { what }.into()
    }
}

impl From<MemoryStoreError> for StoreError {
    fn from(error: MemoryStoreError) -> Self {
        Self::Database(Box::new(error))
    }
}

/// What a disk is to a real store: clones share what was committed.
#[derive(Debug, Clone, Default)]
pub struct MemoryStore {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    committed: Mutex<Arc<State>>,
    in_use: AtomicBool,
}

impl Shared {
    fn committed(&self) -> Arc<State> {
        Arc::clone(&self.committed.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn publish(&self, state: Arc<State>) {
        *self.committed.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }
}

impl MemoryStore {
    /// A ledger that is bound to its server by its first entry; [`MemoryStore::default`] is one that is not.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn new(server_id: ServerId, site_key: PublicKey, now: Timestamp) -> Result<Self, StoreError> {
        let store = Self::default();
        let first = Change::ServerInitialized { server_id, site_key };
        let first = link(&mut Frontier::empty(), now, Actor::Server, first)?;
        let mut state = State::default();
        state.append(&first)?;
        state.keep(&Note::TimeFloor { floor: now });
        store.shared.publish(Arc::new(state));
        Ok(store)
    }

    /// A copy of what was committed; from then on the two have nothing in common.
    #[must_use]
    pub fn copy(&self) -> Self {
        let copy = Self::default();
        copy.shared.publish(self.shared.committed());
        copy
    }

    /// What comes of the log alone, read again from its bytes. What is only noted is lost, but for what reports of installs
    /// say.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn rebuilt(&self) -> Result<Self, StoreError> {
        let (rebuilt, mut log, mut state) = (Self::default(), Frontier::empty(), State::default());
        let mut installs = Installs::default();
        for (sequence, logged) in &self.shared.committed().log {
            let bytes = logged.linked.bytes.clone();
            let entry = match chain::read(&bytes) {
                Ok(ReadEntry::Known(entry)) => *entry,
                Ok(ReadEntry::Newer(newer)) => {
                    return Err(StoreError::NewerEntry { sequence: *sequence, kind: newer.kind });
                }
                Err(source) => return Err(StoreError::Entry { sequence: *sequence, source }),
            };
            let floor = entry.at;
            installs.take(&entry.change);
            state.append(&LinkedEntry::of_stored(&mut log, entry, bytes))?;
            state.keep(&Note::TimeFloor { floor });
        }
        let clients = state.clients.keys().cloned().collect();
        installs.notes(&clients).iter().for_each(|note| state.keep(note));
        rebuilt.shared.publish(Arc::new(state));
        Ok(rebuilt)
    }

    /// Whether a ledger writes to it. One that was dropped and not closed stops a little later.
    #[must_use]
    pub fn is_in_use(&self) -> bool {
        self.shared.in_use.load(Ordering::Acquire)
    }
}

impl Store for MemoryStore {
    fn split(self: Box<Self>, readers: usize, grants: &Arc<TrustedGrants>) -> Result<Split, StoreError> {
        if self.shared.in_use.swap(true, Ordering::AcqRel) {
            return Err(MemoryStoreError::InUse.into());
        }
        let reader = || -> Box<dyn ReadStore> {
            Box::new(Handle(Reader(Arc::clone(&self.shared)), Arc::clone(grants)))
        };
        let readers = (0..readers).map(|_| reader()).collect();
        let writer = Writer { shared: Arc::clone(&self.shared), transaction: None };
        Ok(Split { writer: Box::new(Handle(writer, Arc::clone(grants))), readers })
    }
}

/// What answers questions: a reader, or the writer, which also sees what it has not committed.
pub(super) struct Handle<H>(H, Arc<TrustedGrants>);

impl<H: Holds> Handle<H> {
    /// What is answered from: everything but the grants that do not count, and what they confirm.
    pub(super) fn state(&self) -> Arc<State> {
        let mut state = self.0.state();
        if state.licenses.iter().all(|(serial, license)| self.check(serial, license).is_ok()) {
            return state;
        }
        let counting = Arc::make_mut(&mut state);
        counting.licenses.retain(|serial, license| self.check(serial, license).is_ok());
        counting.restore = counting.restore.clone().believed(counting.epoch());
        state
    }

    /// Everything, also grants that do not count.
    pub(super) fn stored(&self) -> Arc<State> {
        self.0.state()
    }

    pub(super) fn has_trust(&self) -> bool {
        self.1.has_trust()
    }

    pub(super) fn check(&self, serial: &SerialNumber, license: &License) -> Result<TrustedGrant, GrantFlaw> {
        self.1.check(serial.as_str(), license.document.clone())
    }
}

/// Knows which state to answer from.
pub(super) trait Holds: Send {
    fn state(&self) -> Arc<State>;
}

pub(super) struct Reader(Arc<Shared>);

impl Holds for Reader {
    fn state(&self) -> Arc<State> {
        self.0.committed()
    }
}

pub(super) struct Writer {
    shared: Arc<Shared>,
    transaction: Option<Transaction>,
}

impl Holds for Writer {
    fn state(&self) -> Arc<State> {
        match &self.transaction {
            Some(transaction) => Arc::clone(&transaction.state),
            None => self.shared.committed(),
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.shared.in_use.store(false, Ordering::Release);
    }
}

/// A transaction: what was there before, what was written, and what comes of both.
struct Transaction {
    before: Arc<State>,
    state: Arc<State>,
    written: Vec<Written>,
    /// How much was written before the open savepoint.
    savepoint: Option<usize>,
}

enum Written {
    Entry(Box<LinkedEntry>),
    Note(Box<Note>),
}

impl Transaction {
    fn write(&mut self, written: Written) -> Result<(), StoreError> {
        // Copied at the first write only: a batch that writes nothing costs nothing.
        written.apply(Arc::make_mut(&mut self.state))?;
        self.written.push(written);
        Ok(())
    }

    /// Undoes what was written since `mark`, by writing again what was written before it.
    fn back_to(&mut self, mark: usize) -> Result<(), StoreError> {
        self.written.truncate(mark);
        self.state = Arc::clone(&self.before);
        let state = Arc::make_mut(&mut self.state);
        self.written.iter().try_for_each(|written| written.apply(state))
    }
}

impl Written {
    fn apply(&self, state: &mut State) -> Result<(), StoreError> {
        match self {
            Self::Entry(entry) => state.append(entry),
            Self::Note(note) => {
                state.keep(note);
                Ok(())
            }
        }
    }
}

impl State {
    fn keep(&mut self, note: &Note) {
        self.notes.insert(note.key(), note.clone());
    }
}

impl<H: Holds> ReadStore for Handle<H> {
    fn entries(&mut self, each: &mut dyn FnMut(StoredEntry) -> Walk) -> Result<(), StoreError> {
        for (sequence, logged) in &self.state().log {
            let linked = &logged.linked;
            let entry = StoredEntry {
                sequence: *sequence,
                bytes: linked.bytes.clone(),
                leaf: Some(linked.leaf),
                nodes: Some(linked.nodes.clone()),
                found_by: FoundBy::of(&linked.entry),
            };
            if each(entry) == Walk::Stop {
                break;
            }
        }
        Ok(())
    }

    /// Its tables cannot be edited beside the log.
    fn audit(&mut self, each: &mut dyn FnMut(&StoredEntry) -> Walk) -> Result<TablesCheck, StoreError> {
        self.entries(&mut |entry| each(&entry))?;
        Ok(TablesCheck::default())
    }
}

impl Handle<Writer> {
    fn transaction(&mut self, attempted: &'static str) -> Result<&mut Transaction, StoreError> {
        let why = "no transaction was begun";
        let open = self.0.transaction.as_mut();
        open.ok_or_else(|| MemoryStoreError::OutOfOrder { attempted, why }.into())
    }

    fn take_savepoint(&mut self, attempted: &'static str) -> Result<usize, StoreError> {
        let why = "there is no savepoint";
        let savepoint = self.transaction(attempted)?.savepoint.take();
        savepoint.ok_or_else(|| MemoryStoreError::OutOfOrder { attempted, why }.into())
    }
}

impl WriteStore for Handle<Writer> {
    fn begin(&mut self) -> Result<(), StoreError> {
        if self.0.transaction.is_some() {
            let why = "a transaction is open";
            return Err(MemoryStoreError::OutOfOrder { attempted: "begin", why }.into());
        }
        let before = self.0.shared.committed();
        let state = Arc::clone(&before);
        self.0.transaction = Some(Transaction { before, state, written: Vec::new(), savepoint: None });
        Ok(())
    }

    fn savepoint(&mut self) -> Result<(), StoreError> {
        let transaction = self.transaction("set a savepoint")?;
        transaction.savepoint = Some(transaction.written.len());
        Ok(())
    }

    fn append(&mut self, entry: &LinkedEntry) -> Result<(), StoreError> {
        self.transaction("append an entry")?.write(Written::Entry(Box::new(entry.clone())))
    }

    fn note(&mut self, note: &Note) -> Result<(), StoreError> {
        self.transaction("keep a note")?.write(Written::Note(Box::new(note.clone())))
    }

    fn keep(&mut self) -> Result<(), StoreError> {
        self.take_savepoint("keep what was written").map(drop)
    }

    fn undo(&mut self) -> Result<(), StoreError> {
        let mark = self.take_savepoint("undo what was written")?;
        self.transaction("undo what was written")?.back_to(mark)
    }

    fn commit(&mut self) -> Result<(), StoreError> {
        let state = Arc::clone(&self.transaction("commit")?.state);
        self.0.transaction = None;
        self.0.shared.publish(state);
        Ok(())
    }

    fn roll_back(&mut self) -> Result<(), StoreError> {
        self.0.transaction = None;
        Ok(())
    }

    fn in_transaction(&self) -> bool {
        self.0.transaction.is_some()
    }
}
