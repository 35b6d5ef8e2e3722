//! The transport as the verification core sees it: refuses as soon as the store has failed.
//!
//! Also hands over, once, what came before the core asks for it: of a mirror walk, or with an answer that brought several files.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use sigstore_tuf::transport::FetchFuture;
use sigstore_tuf::{Error, Repository};

use crate::reading::store::{Latch, refused};
use crate::target::{length_of, percent_encoded};
use crate::transport::Transport;

/// Metadata that came before the core asks for it, by file name; `None` for a file that the source says it does not have.
#[derive(Debug, Clone, Default)]
pub(crate) struct Prefetched(Arc<Mutex<HashMap<String, Option<Vec<u8>>>>>);

impl Prefetched {
    pub(crate) fn put(&self, name: String, bytes: Vec<u8>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(name, Some(bytes));
    }

    pub(crate) fn put_absent(&self, name: String) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(name, None);
    }

    pub(crate) fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn take(&self, name: &str) -> Option<Option<Vec<u8>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(name)
    }
}

/// The metadata file that came last from outside, and where from: a refusal that follows is about it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Received(Arc<Mutex<Option<(String, String)>>>);

impl Received {
    pub(crate) fn clear(&self) {
        self.set(None);
    }

    /// Where the file came from that the core refuses so. `None` if what it refuses did not come now.
    pub(crate) fn refused_as(&self, error: &Error) -> Option<String> {
        let received = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let (name, location) = received?;
        match error {
            // Says it itself, or is about what was kept.
            Error::Transport { .. } | Error::Io { .. } => None,
            Error::Expired { role, .. } => {
                let role = format!("{}.json", percent_encoded(role));
                (name == role || name.ends_with(&format!(".{role}"))).then_some(location)
            }
            _ => Some(location),
        }
    }

    fn set(&self, received: Option<(String, String)>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = received;
    }
}

/// A transport behind a latch.
pub(crate) struct Guarded {
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) latch: Latch,
    pub(crate) prefetched: Prefetched,
    pub(crate) received: Received,
}

impl Repository for Guarded {
    fn fetch_metadata<'a>(&'a self, name: &'a str, max_length: u64) -> FetchFuture<'a> {
        Box::pin(async move {
            self.latch.check().map_err(refused)?;
            // One that is longer than such a file may be is asked for by itself, and refused there.
            let fits = |bytes: &Vec<u8>| length_of(bytes) <= max_length;
            let kept = self.prefetched.take(name).filter(|kept| kept.as_ref().is_none_or(fits));
            let bytes =
                match kept {
                    Some(kept) => kept,
                    None => self.transport.metadata(name, max_length).await.map_err(|error| {
                        Error::transport_with_source(format!("cannot fetch {name}"), error)
                    })?,
                };
            if bytes.is_some() {
                self.received.set(Some((name.to_owned(), self.transport.metadata_location(name))));
            }
            Ok(bytes)
        })
    }

    fn fetch_target<'a>(&'a self, path: &'a str, _max_length: u64) -> FetchFuture<'a> {
        Box::pin(async move {
            Err(Error::transport(format!("{path} is a target; targets are fetched by our own download only")))
        })
    }
}
