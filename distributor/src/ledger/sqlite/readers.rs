//! The read pool: a few read-only connections on blocking threads, so that a query never blocks the async threads.
//!
//! Invariant: at most so many queries run as there are connections; the rest waits. A caller that goes away loses only
//! its answer: the connection returns to the pool by itself.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::{Connection, OpenFlags};
use tokio::sync::Semaphore;

use super::step::CommandError;
use super::{BUSY_TIMEOUT, failed};
use crate::ports::ledger::LedgerError;

/// As the module says.
#[derive(Debug, Clone)]
pub(super) struct Readers {
    idle: Arc<Mutex<Vec<Connection>>>,
    permits: Arc<Semaphore>,
}

impl Readers {
    /// Opens `count` connections, at least one.
    pub(super) fn open(path: &Path, count: u8) -> rusqlite::Result<Self> {
        let connections: Vec<Connection> =
            (0..count.max(1)).map(|_| open_read_only(path)).collect::<rusqlite::Result<_>>()?;
        let permits = Arc::new(Semaphore::new(connections.len()));
        Ok(Self { idle: Arc::new(Mutex::new(connections)), permits })
    }

    /// Runs a query on a connection of the pool.
    pub(super) async fn query<T, E, F>(&self, attempted: &'static str, query: F) -> Result<T, LedgerError>
    where
        T: Send + 'static,
        E: Into<CommandError> + Send + 'static,
        F: FnOnce(&Connection) -> Result<T, E> + Send + 'static,
    {
        let permit = Arc::clone(&self.permits).acquire_owned().await.map_err(|_| LedgerError::Closed)?;
        let idle = Arc::clone(&self.idle);
        let task = tokio::task::spawn_blocking(move || {
            let taken = idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let Some(connection) = taken else { return Err(LedgerError::Closed) };
            let answer = query(&connection);
            idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
            drop(permit);
            answer.map_err(|error| failed(attempted, error.into()))
        });
        match task.await {
            Ok(answer) => answer,
            Err(error) => Err(LedgerError::Failed { attempted, source: Box::new(error) }),
        }
    }

    /// Answers nothing any more, and closes the connections that are idle.
    pub(super) fn close(&self) {
        self.permits.close();
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// A connection that cannot write.
pub(super) fn open_read_only(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "query_only", true)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}
