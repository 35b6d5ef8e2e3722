//! Counting what travels over the network, by part, for reports.
//!
//! Invariant: what was counted is told once. It is told about the release that needed it first: the metadata that several
//! releases share stands with one of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt, stream};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::TargetName;
use sealpost_manifests::wire::refresh::{
    DELTA_CONTAINER, DeltaWay, HeldMetadata, MAX_ROUTES, NewMetadata, RefreshRequest,
};
use sealpost_manifests::wire::report::TransferredBytes;
use sealpost_repository::{
    HeldVersions, Newer, PacedTransport, TargetBody, TargetPath, Transport, TransportError,
};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use super::ahead::{Ahead, Asks, Expected};
use super::patch;

/// Bytes that were received and not told yet.
#[derive(Debug, Default)]
pub(super) struct Meter {
    metadata: AtomicU64,
    manifest: AtomicU64,
    payload: AtomicU64,
}

impl Meter {
    /// What was counted since it was told last.
    pub(super) fn take(&self) -> TransferredBytes {
        let take = |count: &AtomicU64| count.swap(0, Ordering::Relaxed);
        TransferredBytes {
            metadata: take(&self.metadata),
            manifest: take(&self.manifest),
            payload: take(&self.payload),
        }
    }

    /// Another release begins: what came of one before that was refused is not its.
    pub(super) fn begin_release(&self) {
        self.manifest.store(0, Ordering::Relaxed);
        self.payload.store(0, Ordering::Relaxed);
    }

    pub(super) fn add_payload(&self, bytes: usize) {
        add(&self.payload, bytes);
    }

    /// The count for a target, by the end of its name.
    fn of_target(&self, name: &str) -> &AtomicU64 {
        if name.ends_with(".manifest") || name.ends_with(".manifest.minisig") {
            &self.manifest
        } else if name.contains(".tar.") {
            &self.payload
        } else {
            &self.metadata
        }
    }
}

fn add(count: &AtomicU64, bytes: usize) {
    let _ = count.fetch_add(u64::try_from(bytes).unwrap_or(u64::MAX), Ordering::Relaxed);
}

/// A transport whose bytes are counted, and whose requests are made where connections live: the reader of metadata has a
/// runtime of its own, and a connection that was opened there would end with it.
#[derive(Debug)]
pub(super) struct Metered {
    pub(super) inner: Arc<PacedTransport>,
    pub(super) meter: Arc<Meter>,
    pub(super) runtime: Handle,
    pub(super) asks: Asks,
    pub(super) expected: Expected,
    pub(super) ahead: Ahead,
}

impl Metered {
    /// Asks for documents that are read next; what does not come is asked for by itself.
    pub(super) async fn fetch_ahead(&self, documents: Vec<TargetName>) {
        let asks = self.asks.clone();
        let request = RefreshRequest { documents: documents.clone(), ..RefreshRequest::default() };
        let asked = self.there(String::new(), async move { Ok(asks.ask(request).await) });
        if let Ok(Some((answer, traveled))) = asked.await {
            add(&self.meter.manifest, traveled);
            self.ahead.keep(&documents, answer.documents);
        }
    }

    /// What the server told of ways.
    pub(super) fn told(&self) -> Vec<DeltaWay> {
        self.ahead.ways()
    }

    /// Applies patches where it holds up no connection; who gives up waiting ends it.
    async fn put_together(&self, held: &HeldVersions, answer: NewMetadata) -> Option<Newer> {
        let (held, roles) = (held.clone(), self.expected.roles.clone());
        let waits = Waits(Arc::default());
        let is_over = Arc::clone(&waits.0);
        let goes_on = move || !is_over.load(Ordering::Relaxed);
        let work = self.runtime.spawn_blocking(move || patch::newer(&held, &roles, answer, &goes_on));
        work.await.ok()
    }

    /// Carries out work on the runtime of the connections; who gives up waiting ends it.
    async fn there<T: Send + 'static>(
        &self,
        location: String,
        work: impl Future<Output = Result<T, TransportError>> + Send + 'static,
    ) -> Result<T, TransportError> {
        let mut work = Ended(self.runtime.spawn(work));
        // It ends early only when the whole agent does.
        (&mut work.0).await.unwrap_or(Err(TransportError::TookTooLong { location }))
    }
}

/// Work that ends with whoever waits for it.
struct Ended<T>(JoinHandle<T>);

impl<T> Drop for Ended<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Sets its flag when nobody waits any more: work that blocks cannot be aborted.
struct Waits(Arc<AtomicBool>);

impl Drop for Waits {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Transport for Metered {
    fn metadata<'a>(
        &'a self,
        name: &'a str,
        max_bytes: u64,
    ) -> BoxFuture<'a, Result<Option<Vec<u8>>, TransportError>> {
        async move {
            let (inner, file) = (Arc::clone(&self.inner), name.to_owned());
            let work = async move { inner.metadata(&file, max_bytes).await };
            let fetched = self.there(self.metadata_location(name), work).await?;
            add(&self.meter.metadata, fetched.as_ref().map_or(0, Vec::len));
            Ok(fetched)
        }
        .boxed()
    }

    fn target<'a>(
        &'a self,
        path: &'a TargetPath,
        offset: u64,
    ) -> BoxFuture<'a, Result<Option<TargetBody>, TransportError>> {
        async move {
            // What came ahead was counted then.
            if offset == 0
                && let Some(bytes) = self.ahead.find(&path.parts().collect::<Vec<_>>().join("/"))
            {
                return Ok(Some(TargetBody { offset, chunks: stream::iter([Ok(bytes)]).boxed() }));
            }
            let (inner, wanted) = (Arc::clone(&self.inner), path.clone());
            let work = async move { inner.target(&wanted, offset).await };
            let Some(TargetBody { offset, chunks }) = self.there(self.location(path), work).await? else {
                return Ok(None);
            };
            let (meter, name) = (Arc::clone(&self.meter), path.encoded());
            let chunks = chunks.inspect(move |chunk| {
                add(meter.of_target(&name), chunk.as_ref().map_or(0, Vec::len));
            });
            Ok(Some(TargetBody { offset, chunks: chunks.boxed() }))
        }
        .boxed()
    }

    fn roles_at_once(&self) -> Option<Vec<String>> {
        Some(self.expected.roles.clone())
    }

    fn newer<'a>(&'a self, held: &'a HeldVersions) -> BoxFuture<'a, Option<Newer>> {
        async move {
            let HeldVersions { root, timestamp, roles, files: _ } = held.clone();
            let documents = self.expected.held.iter().map(|(_, text)| Sha256Digest::of(text.as_bytes()));
            let request = RefreshRequest {
                metadata: Some(HeldMetadata { root, timestamp, roles }),
                documents: self.expected.documents.clone(),
                held: documents.collect(),
                routes: self.expected.routes.iter().copied().take(MAX_ROUTES).collect(),
                container: Some(DELTA_CONTAINER),
            };
            let asks = self.asks.clone();
            let asked = self.there(String::new(), async move { Ok(asks.ask(request).await) });
            let (answer, traveled) = asked.await.ok().flatten()?;
            add(&self.meter.metadata, traveled);
            self.ahead.keep(&self.expected.documents, answer.documents);
            self.ahead.keep_ways(answer.ways);
            self.put_together(held, answer.metadata?).await
        }
        .boxed()
    }

    fn metadata_location(&self, name: &str) -> String {
        self.inner.metadata_location(name)
    }

    fn location(&self, path: &TargetPath) -> String {
        self.inner.location(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_traveled_is_told_by_part_and_once() {
        let meter = Meter::default();
        for (name, bytes) in [
            ("77ab.acme_2_any.manifest", 10),
            ("77ab.acme_2_any.manifest.minisig", 1),
            ("77ab.acme_2_any.tar.gz", 100),
            ("77ab.acme.channels", 3),
            ("77ab.trust.json", 4),
        ] {
            add(meter.of_target(name), bytes);
        }
        meter.add_payload(1_000);
        let expected = TransferredBytes { metadata: 7, manifest: 11, payload: 1_100 };
        assert_eq!((meter.take(), meter.take()), (expected, TransferredBytes::default()));
        add(&meter.metadata, 1);
        add(&meter.manifest, 2);
        meter.begin_release();
        assert_eq!(meter.take(), TransferredBytes { metadata: 1, ..TransferredBytes::default() });
    }
}
