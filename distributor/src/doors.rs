//! The listeners for computers: one for each TCP port on which they come.
//!
//! Invariant: each port is served by one listener; all of them end, with their requests, before [`TlsDoors::close_all`]
//! answers, also those that were closed before it; after it no door opens any more.
//! Left out on purpose: which ports are needed (`presence` knows).

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures_util::future::BoxFuture;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::ports::doors::Doors;

/// Resolves when a listener is to stop.
pub type Stopped = BoxFuture<'static, ()>;
/// Serves the connections of one listener until it is told to stop.
pub type Serve = Box<dyn Fn(TcpListener, Stopped) -> BoxFuture<'static, ()> + Send + Sync>;

/// As the module says.
pub struct TlsDoors {
    ip: IpAddr,
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
    port: u16,
    stop: watch::Sender<bool>,
    listener: JoinHandle<()>,
}

impl std::fmt::Debug for TlsDoors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TlsDoors")
            .field("ip", &self.ip)
            .field("ports", &self.open_ports())
            .finish_non_exhaustive()
    }
}

impl TlsDoors {
    /// Doors on this address; none is open yet.
    #[must_use]
    pub fn new(address: SocketAddr, serve: Serve) -> Self {
        Self { ip: address.ip(), serve, state: Mutex::default() }
    }

    /// Serves a listener that is bound already; not after [`TlsDoors::close_all`], which ends it.
    pub fn serve(&self, listener: TcpListener, port: u16) {
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
        state.open.push(Door { port, stop, listener });
    }

    /// Closes every door for good, and waits until their requests have ended, and those of the doors that were closed
    /// before.
    pub async fn close_all(&self) {
        for listener in self.end_all() {
            if let Err(error) = listener.await {
                tracing::error!(%error, "a listener ended by a panic");
            }
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
    /// Tells the listeners of these ports to stop.
    fn end(&mut self, which: impl Fn(u16) -> bool) {
        self.ending.retain(|listener| !listener.is_finished());
        for door in self.open.extract_if(.., |door| which(door.port)) {
            // Fails only when the listener has ended.
            let _ = door.stop.send(true);
            self.ending.push(door.listener);
        }
    }
}

impl Doors for TlsDoors {
    fn open_ports(&self) -> Vec<u16> {
        self.lock().open.iter().map(|door| door.port).collect()
    }

    fn open(&self, port: u16) -> BoxFuture<'_, io::Result<()>> {
        Box::pin(async move {
            let needs_nothing = {
                let state = self.lock();
                state.is_closed || state.open.iter().any(|door| door.port == port)
            };
            if needs_nothing {
                return Ok(());
            }
            let listener = TcpListener::bind(SocketAddr::new(self.ip, port)).await?;
            self.serve(listener, port);
            tracing::info!(port, "listens on a further port");
            Ok(())
        })
    }

    fn close(&self, port: u16) {
        self.lock().end(|open| open == port);
        tracing::info!(port, "listens no longer on a port");
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
        TlsDoors::new(SocketAddr::from(([127, 0, 0, 1], 0)), serve)
    }

    async fn bound() -> (TcpListener, u16) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        (listener, port)
    }

    #[tokio::test]
    async fn a_stop_waits_for_the_requests_of_a_port_that_was_closed_before_it() {
        let release = Arc::new(Notify::new());
        let doors = doors(&release);
        let (listener, port) = bound().await;
        doors.serve(listener, port);
        doors.close(port);
        assert_eq!(doors.open_ports(), Vec::<u16>::new());
        let mut closing = std::pin::pin!(doors.close_all());
        let early = std::time::Duration::from_millis(100);
        assert!(tokio::time::timeout(early, closing.as_mut()).await.is_err(), "its request is under way");
        release.notify_one();
        closing.await;
    }

    #[tokio::test]
    async fn no_door_opens_after_the_stop() {
        let doors = doors(&Arc::default());
        doors.close_all().await;
        let (listener, port) = bound().await;
        drop(listener);
        doors.open(port).await.unwrap();
        assert_eq!(doors.open_ports(), Vec::<u16>::new());
        drop(TcpListener::bind(("127.0.0.1", port)).await.unwrap());
        let (listener, port) = bound().await;
        doors.serve(listener, port);
        assert_eq!(doors.open_ports(), Vec::<u16>::new());
    }
}
