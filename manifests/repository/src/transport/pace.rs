//! The floor under the speed of a server: one that sends a byte now and then holds nobody.
//!
//! Invariants: a body that brings fewer bytes in a window than the floor asks for is given up, and what came is kept;
//! whoever sets an end of the time for payloads ([`Pace::begin`]) has its end in time, however steady they come.
//! Left out on purpose: metadata files, for which the HTTP transport has a deadline of its own.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream};
use tokio::time::{Instant, timeout_at};

use crate::target::TargetPath;
use crate::transport::error::TransportError;
use crate::transport::http::HttpTransport;
use crate::transport::interface::{TargetBody, Transport};

/// Time over which the speed is averaged. A line may stall for some seconds.
const WINDOW: Duration = Duration::from_secs(60);

/// How fast payloads have to come, and until when.
#[derive(Debug)]
pub struct Pace {
    window: Duration,
    min_bytes_per_second: AtomicU64,
    /// When the payloads have to end, if [`Pace::begin`] said so.
    until: Mutex<Option<Instant>>,
}

impl Pace {
    /// This many bytes per second at least, averaged over a minute; 0 for any speed.
    #[must_use]
    pub fn at_least(min_bytes_per_second: u64) -> Arc<Self> {
        Self::averaged_over(WINDOW, min_bytes_per_second)
    }

    /// The same, averaged over another time.
    #[must_use]
    pub fn averaged_over(window: Duration, min_bytes_per_second: u64) -> Arc<Self> {
        let min_bytes_per_second = AtomicU64::new(min_bytes_per_second);
        Arc::new(Self { window, min_bytes_per_second, until: Mutex::new(None) })
    }

    /// Another floor; the window that runs is judged by it already.
    pub fn set(&self, min_bytes_per_second: u64) {
        self.min_bytes_per_second.store(min_bytes_per_second, Ordering::Relaxed);
    }

    /// Payloads have this long, from now on.
    pub fn begin(&self, within: Duration) {
        *self.until.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now().checked_add(within);
    }

    fn until(&self) -> Option<Instant> {
        *self.until.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes that a window has to bring.
    fn per_window(&self) -> u64 {
        let per_second = self.min_bytes_per_second.load(Ordering::Relaxed);
        per_second.saturating_mul(self.window.as_secs().max(1))
    }

    /// The chunks of a body from this location, as long as they keep the pace; the last item is the error if they do not.
    pub fn keep(
        self: &Arc<Self>,
        location: String,
        body: BoxStream<'static, Result<Vec<u8>, TransportError>>,
    ) -> BoxStream<'static, Result<Vec<u8>, TransportError>> {
        let receiving = Receiving {
            body,
            pace: Arc::clone(self),
            location,
            window_ends: Instant::now() + self.window,
            received: 0,
        };
        stream::unfold(Some(receiving), |receiving| async move { receiving?.next().await }).boxed()
    }
}

/// A transport whose payloads keep the pace.
#[derive(Debug)]
pub struct PacedTransport {
    inner: HttpTransport,
    pace: Arc<Pace>,
}

impl PacedTransport {
    /// The transport, held to this pace.
    #[must_use]
    pub const fn new(inner: HttpTransport, pace: Arc<Pace>) -> Self {
        Self { inner, pace }
    }
}

/// A body that is being received.
struct Receiving {
    body: BoxStream<'static, Result<Vec<u8>, TransportError>>,
    pace: Arc<Pace>,
    location: String,
    window_ends: Instant,
    received: u64,
}

impl Receiving {
    async fn next(mut self) -> Option<(Result<Vec<u8>, TransportError>, Option<Self>)> {
        loop {
            let until = self.pace.until();
            // A body that always has something ready lets no timeout come.
            if until.is_some_and(|until| until <= Instant::now()) {
                let location = self.location.clone();
                return Some((Err(TransportError::TookTooLong { location }), None));
            }
            let wait = until.map_or(self.window_ends, |until| until.min(self.window_ends));
            match timeout_at(wait, self.body.next()).await {
                Ok(chunk) => {
                    let chunk = chunk?;
                    let Ok(bytes) = &chunk else { return Some((chunk, None)) };
                    self.received = self.received.saturating_add(bytes.len() as u64);
                    return Some((chunk, Some(self)));
                }
                // The next turn finds that the time of the pull is over.
                Err(_) if until == Some(wait) => {}
                Err(_) if self.received < self.pace.per_window() => {
                    let (received, seconds) = (self.received, self.pace.window.as_secs());
                    let location = self.location.clone();
                    return Some((Err(TransportError::TooSlow { location, received, seconds }), None));
                }
                Err(_) => self.begin_window(),
            }
        }
    }

    fn begin_window(&mut self) {
        (self.window_ends, self.received) = (Instant::now() + self.pace.window, 0);
    }
}

impl Transport for PacedTransport {
    fn metadata<'a>(
        &'a self,
        name: &'a str,
        max_bytes: u64,
    ) -> BoxFuture<'a, Result<Option<Vec<u8>>, TransportError>> {
        self.inner.metadata(name, max_bytes)
    }

    fn target<'a>(
        &'a self,
        path: &'a TargetPath,
        offset: u64,
    ) -> BoxFuture<'a, Result<Option<TargetBody>, TransportError>> {
        Box::pin(async move {
            let Some(TargetBody { offset, chunks }) = self.inner.target(path, offset).await? else {
                return Ok(None);
            };
            Ok(Some(TargetBody { offset, chunks: self.pace.keep(self.location(path), chunks) }))
        })
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

    fn receiving(pace: &Arc<Pace>, body: BoxStream<'static, Vec<u8>>) -> Receiving {
        Receiving {
            body: body.map(Ok).boxed(),
            pace: Arc::clone(pace),
            location: "http://vendor.example/targets/a".to_owned(),
            window_ends: Instant::now() + pace.window,
            received: 0,
        }
    }

    async fn error_of(mut receiving: Receiving) -> Option<TransportError> {
        loop {
            match receiving.next().await? {
                (Ok(_), Some(next)) => receiving = next,
                (Ok(_), None) => return None,
                (Err(error), _) => return Some(error),
            }
        }
    }

    /// A chunk of so many bytes every so often, for ever.
    fn every(time: Duration, bytes: usize) -> BoxStream<'static, Vec<u8>> {
        stream::unfold((), move |()| async move {
            tokio::time::sleep(time).await;
            Some((vec![0; bytes], ()))
        })
        .boxed()
    }

    #[tokio::test]
    async fn a_byte_now_and_then_is_given_up_after_a_window_and_a_slow_line_is_not() {
        let pace = Pace::averaged_over(Duration::from_secs(1), 4096);
        let began = Instant::now();
        let slow = error_of(receiving(&pace, every(Duration::from_millis(400), 1))).await.unwrap();
        assert!(matches!(slow, TransportError::TooSlow { seconds: 1, received: 1..=2, .. }), "{slow}");
        assert!((900..5000).contains(&began.elapsed().as_millis()));
        // In bursts, over several windows.
        let steady = every(Duration::from_millis(400), 4096).take(6).boxed();
        assert!(error_of(receiving(&pace, steady)).await.is_none());
        pace.set(0);
        let dripping = every(Duration::from_millis(400), 1).take(4).boxed();
        assert!(error_of(receiving(&pace, dripping)).await.is_none(), "0 allows any speed");
    }

    #[tokio::test]
    async fn a_payload_ends_in_time_for_the_next_pull_however_steady_it_comes() {
        let pace = Pace::at_least(1);
        pace.begin(Duration::from_millis(300));
        let late = error_of(receiving(&pace, every(Duration::from_millis(100), 100_000))).await.unwrap();
        assert!(matches!(late, TransportError::TookTooLong { .. }), "{late}");
    }

    #[tokio::test]
    async fn a_payload_whose_bytes_are_always_there_ends_in_time_too() {
        let pace = Pace::at_least(1);
        pace.begin(Duration::ZERO);
        let ready = stream::repeat(vec![0; 10]).take(1000).boxed();
        let late = error_of(receiving(&pace, ready)).await;
        assert!(matches!(late, Some(TransportError::TookTooLong { .. })), "{late:?}");
    }
}
