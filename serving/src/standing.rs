//! What a connection has shown of itself. It is in each request's extensions, so that whoever checks a signature or a
//! token can say so to whoever counts connections.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::books::Books;

/// The books that all connections of some listeners share.
pub(crate) type SharedBooks = Arc<Mutex<Books>>;

pub(crate) fn lock(books: &SharedBooks) -> MutexGuard<'_, Books> {
    // Plain numbers: a panic cannot leave them half-changed in a way that matters.
    books.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A connection's standing; see [`ConnectionLimits`](crate::ConnectionLimits) for what it is good for.
#[derive(Debug, Clone)]
pub struct Standing {
    /// None for a connection that counts for no source.
    id: Option<u64>,
    books: SharedBooks,
}

/// Keeps a connection from making way for others until it is dropped.
#[derive(Debug)]
pub struct HeldConnection(Standing);

impl Standing {
    pub(crate) const fn new(id: Option<u64>, books: SharedBooks) -> Self {
        Self { id, books }
    }

    /// Says that a request on this connection proved to be this client's: to be called only for what cannot be repeated
    /// by somebody else. Whether the connection counts for its source no more.
    pub fn prove(&self, client: &str) -> bool {
        self.id.is_none_or(|id| lock(&self.books).prove(id, client))
    }

    /// Whether an earlier request proved whose it is, or the connection counts for no source anyway.
    #[must_use]
    pub fn is_proven(&self) -> bool {
        self.id.is_none_or(|id| lock(&self.books).is_proven(id))
    }

    /// Keeps the connection while a request is answered whose signature holds, or any where [`Stays`](crate::Stays) says so.
    #[must_use]
    pub fn hold(&self) -> HeldConnection {
        if let Some(id) = self.id {
            lock(&self.books).hold(id);
        }
        HeldConnection(self.clone())
    }
}

impl Drop for HeldConnection {
    fn drop(&mut self) {
        if let Some(id) = self.0.id {
            lock(&self.0.books).release(id);
        }
    }
}
