//! The transport as the verification core sees it: refuses as soon as the store has failed.
//!
//! Also hands over, once, bytes that a mirror walk has just fetched and verified, so that they are not fetched twice.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use sigstore_tuf::transport::FetchFuture;
use sigstore_tuf::{Error, Repository};

use crate::reading::store::{Latch, refused};
use crate::transport::Transport;

/// Metadata bytes that were fetched and verified before the core asks for them, by versioned file name.
#[derive(Debug, Clone, Default)]
pub(crate) struct Prefetched(Arc<Mutex<HashMap<String, Vec<u8>>>>);

impl Prefetched {
    pub(crate) fn put(&self, name: String, bytes: Vec<u8>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(name, bytes);
    }

    pub(crate) fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn take(&self, name: &str) -> Option<Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(name)
    }
}

/// A transport behind a latch.
pub(crate) struct Guarded {
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) latch: Latch,
    pub(crate) prefetched: Prefetched,
}

impl Repository for Guarded {
    fn fetch_metadata<'a>(&'a self, name: &'a str, max_length: u64) -> FetchFuture<'a> {
        Box::pin(async move {
            self.latch.check().map_err(refused)?;
            if let Some(bytes) = self.prefetched.take(name) {
                return Ok(Some(bytes));
            }
            self.transport
                .metadata(name, max_length)
                .await
                .map_err(|error| Error::transport_with_source(format!("cannot fetch {name}"), error))
        })
    }

    fn fetch_target<'a>(&'a self, path: &'a str, _max_length: u64) -> FetchFuture<'a> {
        Box::pin(async move {
            Err(Error::transport(format!("{path} is a target; targets are fetched by our own download only")))
        })
    }
}
