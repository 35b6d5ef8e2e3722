//! Two ledgers that get the same commands and questions, and must answer the same.

use std::fmt::Debug;

use jiff::Timestamp;
use sealpost_ledger::store::{Read, ReadStore, WriteStore};
use sealpost_ledger::{Ledger, LedgerError};
use sealpost_site::commands::Command;
use sealpost_site::queries::Query;

use crate::fixture::sound;

/// Two ledgers with one history.
pub(crate) struct Pair {
    pub(crate) sqlite: Ledger,
    pub(crate) memory: Ledger,
}

impl Pair {
    pub(crate) async fn execute<C>(&self, now: Timestamp, command: C) -> Result<C::Answer, LedgerError>
    where
        C: Command + Clone + Debug,
        C::Answer: Debug,
        dyn WriteStore: Read<C::Facts>,
    {
        let sent = format!("{command:?}");
        let sqlite = self.sqlite.execute(now, command.clone()).await;
        let memory = self.memory.execute(now, command).await;
        assert_eq!(format!("{sqlite:?}"), format!("{memory:?}"), "{sent}");
        // The head's root covers the bytes of all entries.
        assert_eq!(self.sqlite.head(), self.memory.head(), "{sent}");
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
