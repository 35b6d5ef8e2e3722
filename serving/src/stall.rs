//! A stream that gives up on a reader that has stopped, or that takes a byte now and then: without it, such a client holds
//! its connection, an open file and a buffer for as long as it likes.
//!
//! Left out on purpose: reads. Request heads have the connection's deadline, bodies the program's.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

use crate::limits::AnswerPace;

/// A stream whose writes must progress.
#[derive(Debug)]
pub(crate) struct StallGuard<S> {
    stream: S,
    limit: Duration,
    waiting: Option<Pin<Box<Sleep>>>,
    pace: Option<AnswerPace>,
    window: Window,
}

/// What the reader took in the time that was spent waiting for him.
#[derive(Debug, Default)]
struct Window {
    waits_since: Option<Instant>,
    waited: Duration,
    taken_bytes: u64,
}

impl<S> StallGuard<S> {
    pub(crate) fn new(stream: S, limit: Duration, pace: Option<AnswerPace>) -> Self {
        Self { stream, limit, waiting: None, pace, window: Window::default() }
    }

    /// The same for bytes that were taken.
    fn timed_bytes(
        &mut self,
        context: &mut Context<'_>,
        progress: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(bytes)) = &progress {
            self.window.taken_bytes = self.window.taken_bytes.saturating_add(*bytes as u64);
        }
        self.timed(context, progress)
    }

    fn timed<T>(&mut self, context: &mut Context<'_>, progress: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if progress.is_ready() {
            self.waiting = None;
            return match self.pace {
                Some(pace) if self.window.is_too_slow(pace, Instant::now()) => Poll::Ready(Err(
                    io::Error::new(io::ErrorKind::TimedOut, "the other end takes its answer too slowly"),
                )),
                _ => progress,
            };
        }
        self.window.waits_since.get_or_insert_with(Instant::now);
        let limit = self.limit;
        let waiting = self.waiting.get_or_insert_with(|| Box::pin(sleep(limit)));
        match waiting.as_mut().poll(context) {
            Poll::Ready(()) => {
                waiting.as_mut().reset(Instant::now() + limit);
                Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the other end takes no bytes")))
            }
            Poll::Pending => Poll::Pending,
        }
    }
}

impl Window {
    fn is_too_slow(&mut self, pace: AnswerPace, now: Instant) -> bool {
        if let Some(since) = self.waits_since.take() {
            self.waited += now.saturating_duration_since(since);
        }
        if self.waited < pace.window {
            return false;
        }
        let wanted = u128::from(pace.bytes_per_second) * self.waited.as_millis() / 1_000;
        let is_too_slow = u128::from(self.taken_bytes) < wanted;
        *self = Self::default();
        is_too_slow
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for StallGuard<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for StallGuard<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let progress = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.timed_bytes(context, progress)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let progress = Pin::new(&mut self.stream).poll_flush(context);
        self.timed(context, progress)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let progress = Pin::new(&mut self.stream).poll_shutdown(context);
        self.timed(context, progress)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let progress = Pin::new(&mut self.stream).poll_write_vectored(context, buffers);
        self.timed_bytes(context, progress)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn a_reader_that_takes_no_bytes_ends_the_connection() {
        let (ours, _theirs) = tokio::io::duplex(16);
        let mut guarded = StallGuard::new(ours, Duration::from_millis(20), None);
        let error = guarded.write_all(&[0; 64]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    /// What became of sending so much to a reader that takes 16 bytes each 10 seconds.
    async fn sent_slowly(all_bytes: usize, bytes_per_second: u32) -> io::Result<()> {
        let (ours, mut theirs) = tokio::io::duplex(16);
        let pace = AnswerPace { bytes_per_second, window: Duration::from_secs(60) };
        let mut guarded = StallGuard::new(ours, Duration::from_secs(30), Some(pace));
        let reader = tokio::spawn(async move {
            let mut some = [0; 16];
            while theirs.read(&mut some).await.is_ok_and(|count| count > 0) {
                sleep(Duration::from_secs(10)).await;
            }
        });
        let sent = guarded.write_all(&vec![0; all_bytes]).await;
        drop(guarded);
        reader.await.unwrap();
        sent
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_below_the_floor_ends_the_connection_and_one_above_it_has_all_the_time_that_it_needs() {
        assert_eq!(sent_slowly(1_000, 4).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        sent_slowly(1_000, 1).await.unwrap();
        sent_slowly(64, 4).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn time_in_which_nothing_waits_for_the_reader_is_not_his() {
        let (ours, _theirs) = tokio::io::duplex(1_024);
        let pace = AnswerPace { bytes_per_second: 100, window: Duration::from_secs(60) };
        let mut guarded = StallGuard::new(ours, Duration::from_secs(30), Some(pace));
        for _ in 0..5 {
            guarded.write_all(&[0; 16]).await.unwrap();
            sleep(Duration::from_secs(100)).await;
        }
    }
}
