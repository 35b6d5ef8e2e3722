//! Two ledgers that get the same commands and questions, and must answer the same.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::sync::Mutex;

use jiff::Timestamp;
use sealpost_ledger::store::{Read, ReadStore, WriteStore};
use sealpost_ledger::{Ledger, LedgerError};
use sealpost_site::commands::Command;
use sealpost_site::queries::{LogEntry, Query};

use crate::bench::Bench;
use crate::faults::{Call, Fault, Faults, fails_everywhere, faulty, stored_head};
use crate::fixture::sound;

/// Two ledgers with one history.
pub(crate) struct Pair {
    pub(crate) sqlite: Ledger,
    pub(crate) memory: Ledger,
    /// What fails in the first one's store, if anything does.
    faults: Option<Faults>,
    attempted: Mutex<BTreeSet<&'static str>>,
}

impl Pair {
    /// Two ledgers whose stores never fail.
    pub(crate) fn of(sqlite: Ledger, memory: Ledger) -> Self {
        Self { sqlite, memory, faults: None, attempted: Mutex::default() }
    }

    /// The first one meets every fault with every command.
    pub(crate) fn with_faults(bench: &dyn Bench, memory: Ledger) -> Self {
        let (sqlite, faults) = faulty(bench);
        Self { faults: Some(faults), ..Self::of(sqlite, memory) }
    }

    /// What was attempted so far.
    pub(crate) fn attempted(&self) -> BTreeSet<&'static str> {
        self.attempted.lock().unwrap().clone()
    }

    /// Which calls failed so far, and how.
    pub(crate) fn tried(&self) -> BTreeSet<(Call, Fault)> {
        self.faults.as_ref().map(Faults::tried).unwrap_or_default()
    }

    pub(crate) async fn execute<C>(&self, now: Timestamp, command: C) -> Result<C::Answer, LedgerError>
    where
        C: Command + Clone + Debug,
        C::Answer: Debug,
        dyn WriteStore: Read<C::Facts>,
    {
        let sent = format!("{command:?}");
        let sqlite = match &self.faults {
            Some(faults) => {
                self.attempted.lock().unwrap().insert(C::ATTEMPTED);
                faults.take_turns();
                fails_everywhere((&self.sqlite, faults), &self.memory, now, &command).await
            }
            None => self.sqlite.execute(now, command.clone()).await,
        };
        let memory = self.memory.execute(now, command).await;
        assert_eq!(format!("{sqlite:?}"), format!("{memory:?}"), "{sent}");
        // The head's root covers the bytes of all entries.
        let (one, other) = (stored_head(&self.sqlite).await, stored_head(&self.memory).await);
        if one != other {
            let newest = async |ledger: &Ledger, sequence| {
                let bytes = ledger.query(LogEntry { sequence }).await.unwrap();
                String::from_utf8_lossy(&bytes.unwrap_or_default()).into_owned()
            };
            let newest = (newest(&self.sqlite, one.size).await, newest(&self.memory, other.size).await);
            panic!("{sent}: {one:?} is not {other:?}; the newest entries: {newest:#?}");
        }
        sqlite
    }

    pub(crate) async fn query<Q>(&self, query: Q) -> Q::Answer
    where
        Q: Query + Clone + Debug,
        Q::Answer: Debug,
        dyn ReadStore: Read<Q>,
    {
        let sqlite = self.sqlite.query(query.clone()).await.unwrap();
        let memory = self.memory.query(query.clone()).await.unwrap();
        assert_eq!(format!("{sqlite:?}"), format!("{memory:?}"), "{query:?}");
        sqlite
    }

    /// Checks both logs, and stops.
    pub(crate) async fn close(self) {
        for ledger in [self.sqlite, self.memory] {
            sound(&ledger).await;
            ledger.close().await.unwrap();
        }
    }
}
