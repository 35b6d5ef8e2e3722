//! The read pool: a few readers on blocking threads, so that a query never blocks the async threads.
//!
//! Invariant: at most so many queries run as there are readers; the rest waits. A caller that disconnects loses only its
//! answer, and so does a query that panics: the reader returns to the pool by itself.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Mutex, PoisonError};

use sealpost_site::queries::Query;
use tokio::sync::Semaphore;

use crate::error::LedgerError;
use crate::store::{ReadStore, StoreError};

/// As the module says.
#[derive(Clone)]
pub(crate) struct Readers {
    idle: Arc<Mutex<Vec<Box<dyn ReadStore>>>>,
    permits: Arc<Semaphore>,
}

impl Readers {
    pub(crate) fn new(readers: Vec<Box<dyn ReadStore>>) -> Self {
        let permits = Arc::new(Semaphore::new(readers.len()));
        Self { idle: Arc::new(Mutex::new(readers)), permits }
    }

    /// Runs a query on a reader of the pool.
    pub(crate) async fn query<Q, F>(&self, read: F) -> Result<Q::Answer, LedgerError>
    where
        Q: Query,
        F: FnOnce(&mut (dyn ReadStore + 'static)) -> Result<Q::Answer, StoreError> + Send + 'static,
    {
        self.run(Q::ATTEMPTED, read).await
    }

    /// Runs anything on a reader of the pool.
    pub(crate) async fn run<T, F>(&self, attempted: &'static str, read: F) -> Result<T, LedgerError>
    where
        T: Send + 'static,
        F: FnOnce(&mut (dyn ReadStore + 'static)) -> Result<T, StoreError> + Send + 'static,
    {
        let permit = Arc::clone(&self.permits).acquire_owned().await.map_err(|_| LedgerError::Closed)?;
        let idle = Arc::clone(&self.idle);
        let task = tokio::task::spawn_blocking(move || {
            let taken = idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let Some(mut reader) = taken else { return Err(LedgerError::Closed) };
            // A reader changes nothing, and what it opened ends by itself: nothing can be left half done in it.
            let answer = catch_unwind(AssertUnwindSafe(|| read(&mut *reader)));
            idle.lock().unwrap_or_else(PoisonError::into_inner).push(reader);
            drop(permit);
            answer
                .unwrap_or_else(|panic| resume_unwind(panic))
                .map_err(|error| LedgerError::failed(attempted, error))
        });
        match task.await {
            Ok(answer) => answer,
            Err(error) => Err(LedgerError::Failed { attempted, source: Box::new(error) }),
        }
    }

    /// Answers nothing any more, and closes the readers that are idle.
    pub(crate) fn close(&self) {
        self.permits.close();
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

#[cfg(test)]
mod tests {
    use sealpost_test_support::world::World;

    use super::*;
    use crate::sqlite::{SqliteStore, create};
    use crate::store::Store;

    #[tokio::test]
    async fn a_query_that_panics_loses_its_answer_and_no_reader() {
        let (folder, world) = (tempfile::tempdir().unwrap(), World::new());
        let path = folder.path().join("ledger.db");
        create(&path, world.server_id.clone(), world.site.public(), world.start).unwrap();
        let mut split = {
            let store = Box::new(SqliteStore::open(&path).unwrap());
            Store::split(store, 1, &Arc::default()).unwrap()
        };
        let readers = Readers::new(vec![split.readers.remove(0)]);
        for _ in 0..3 {
            let answer = readers.run::<(), _>("look", |_| panic!("a fault")).await;
            assert!(matches!(answer, Err(LedgerError::Failed { .. })));
        }
        readers.run("look", |_| Ok(())).await.unwrap();
    }
}
