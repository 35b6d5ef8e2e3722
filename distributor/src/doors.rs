//! The listeners for computers: one for each TCP address on which they come.
//!
//! Invariant: each address is served by one listener; all of them end, with their requests, before
//! [`TlsDoors::close_all`] answers, also those that were closed before it; after it no door opens any more.
//! Left out on purpose: which addresses are needed (`presence` knows).

use std::io;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use crate::ports::doors::Doors;

/// Resolves when a listener is to stop.
pub type Stopped = BoxFuture<'static, ()>;
/// Serves the connections of one listener until it is told to stop.
pub type Serve = Box<dyn Fn(TcpListener, Stopped) -> BoxFuture<'static, ()> + Send + Sync>;

/// How long a listener that was told to stop may take to give its address back.
const GIVEN_BACK_WITHIN: Duration = Duration::from_secs(2);
/// Pause between two tries to take the address.
const TRY_EVERY: Duration = Duration::from_millis(5);

/// As the module says.
pub struct TlsDoors {
    serve: Serve,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    open: Vec<Door>,
    /// Listeners that were told to stop, and whose requests may still be under way.
    ending: Vec<JoinHandle<()>>,
    /// Every door was closed for good.
    is_closed: bool,
}

struct Door {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    listener: JoinHandle<()>,
}

impl std::fmt::Debug for TlsDoors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TlsDoors").field("open_at", &self.open_at()).finish_non_exhaustive()
    }
}

impl TlsDoors {
    /// No door is open yet.
    #[must_use]
    pub fn new(serve: Serve) -> Self {
        Self { serve, state: Mutex::default() }
    }

    /// Serves a listener that is bound already; not after [`TlsDoors::close_all`], which ends it.
    pub fn serve(&self, listener: TcpListener, address: SocketAddr) {
        let mut state = self.lock();
        if state.is_closed {
            return;
        }
        let (stop, mut stopping) = watch::channel(false);
        let stopped = Box::pin(async move {
            // An error means that the sender is gone, which is a stop as well.
            let _ = stopping.wait_for(|stopping| *stopping).await;
        });
        let listener = tokio::spawn((self.serve)(listener, stopped));
        state.open.push(Door { address, stop, listener });
    }

    /// Closes every door for good, and waits until their requests have ended, and those of the doors that were closed
    /// before.
    pub async fn close_all(&self) {
        for listener in self.end_all() {
            // A panic was noticed by whoever made `serve`.
            let _ = listener.await;
        }
    }

    fn end_all(&self) -> Vec<JoinHandle<()>> {
        let mut state = self.lock();
        state.is_closed = true;
        state.end(|_| true);
        std::mem::take(&mut state.ending)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Tells the listeners of these addresses to stop.
    fn end(&mut self, which: impl Fn(SocketAddr) -> bool) {
        self.ending.retain(|listener| !listener.is_finished());
        for door in self.open.extract_if(.., |door| which(door.address)) {
            // Fails only when the listener has ended.
            let _ = door.stop.send(true);
            self.ending.push(door.listener);
        }
    }
}

impl TlsDoors {
    /// Whether there is nothing to open: it is open already, or nothing opens any more.
    fn is_settled(&self, address: SocketAddr) -> bool {
        let state = self.lock();
        state.is_closed || state.open.iter().any(|door| door.address == address)
    }

    /// Opens an address that listeners which were told to stop are about to give back.
    async fn take_over(&self, address: SocketAddr) -> io::Result<()> {
        let until = Instant::now() + GIVEN_BACK_WITHIN;
        loop {
            match self.open(address).await {
                Err(error) if error.kind() == io::ErrorKind::AddrInUse && Instant::now() < until => {
                    sleep(TRY_EVERY).await;
                }
                result => return result,
            }
        }
    }
}

impl Doors for TlsDoors {
    fn open_at(&self) -> Vec<SocketAddr> {
        self.lock().open.iter().map(|door| door.address).collect()
    }

    fn open(&self, address: SocketAddr) -> BoxFuture<'_, io::Result<()>> {
        Box::pin(async move {
            if self.is_settled(address) {
                return Ok(());
            }
            let listener = TcpListener::bind(address).await?;
            self.serve(listener, address);
            tracing::info!(%address, "listens on a further address");
            Ok(())
        })
    }

    fn replace(&self, others: Vec<SocketAddr>, address: SocketAddr) -> BoxFuture<'_, io::Result<()>> {
        Box::pin(async move {
            self.lock().end(|open| others.contains(&open));
            let Err(error) = self.take_over(address).await else { return Ok(()) };
            for other in others {
                if let Err(error) = self.take_over(other).await {
                    tracing::error!(address = %other, %error, "cannot listen again on an address");
                }
            }
            Err(error)
        })
    }

    fn close(&self, address: SocketAddr) {
        self.lock().end(|open| open == address);
        tracing::info!(%address, "listens no longer on an address");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::sync::Notify;

    use super::*;

    /// Doors with a request under way, on each, that ends when it is told to.
    fn doors(release: &Arc<Notify>) -> TlsDoors {
        let release = Arc::clone(release);
        let serve: Serve = Box::new(move |listener, stopped| {
            let release = Arc::clone(&release);
            Box::pin(async move {
                stopped.await;
                drop(listener);
                release.notified().await;
            })
        });
        TlsDoors::new(serve)
    }

    async fn bound() -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        (listener, address)
    }

    #[tokio::test]
    async fn a_stop_waits_for_the_requests_of_a_port_that_was_closed_before_it() {
        let release = Arc::new(Notify::new());
        let doors = doors(&release);
        let (listener, address) = bound().await;
        doors.serve(listener, address);
        doors.close(address);
        assert_eq!(doors.open_at(), Vec::<SocketAddr>::new());
        let mut closing = std::pin::pin!(doors.close_all());
        let early = Duration::from_millis(100);
        assert!(tokio::time::timeout(early, closing.as_mut()).await.is_err(), "its request is under way");
        release.notify_one();
        closing.await;
    }

    #[tokio::test]
    async fn no_door_opens_after_the_stop() {
        let doors = doors(&Arc::default());
        doors.close_all().await;
        let (listener, address) = bound().await;
        drop(listener);
        doors.open(address).await.unwrap();
        assert_eq!(doors.open_at(), Vec::<SocketAddr>::new());
        drop(TcpListener::bind(address).await.unwrap());
        let (listener, address) = bound().await;
        doors.serve(listener, address);
        assert_eq!(doors.open_at(), Vec::<SocketAddr>::new());
    }

    #[tokio::test]
    async fn all_addresses_of_a_port_are_taken_in_place_of_one_and_one_in_place_of_all() {
        let release = Arc::new(Notify::new());
        let doors = doors(&release);
        let (listener, one) = bound().await;
        let all = SocketAddr::from(([0, 0, 0, 0], one.port()));
        doors.serve(listener, one);
        assert_eq!(doors.open(all).await.unwrap_err().kind(), io::ErrorKind::AddrInUse);
        doors.replace(vec![one], all).await.unwrap();
        assert_eq!(doors.open_at(), [all]);
        doors.replace(vec![all], one).await.unwrap();
        assert_eq!(doors.open_at(), [one]);
        // Another program took a part of it: what was open is open again.
        let other = SocketAddr::from(([127, 0, 0, 2], one.port()));
        let _taken = TcpListener::bind(other).await.unwrap();
        assert_eq!(doors.replace(vec![one], all).await.unwrap_err().kind(), io::ErrorKind::AddrInUse);
        assert_eq!(doors.open_at(), [one]);
        release.notify_waiters();
    }
}
