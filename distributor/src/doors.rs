//! The listeners for computers: one for each TCP port on which they come.
//!
//! Invariant: each port is served by one listener; all of them end, with their requests, before [`TlsDoors::close_all`]
//! answers. Left out on purpose: which ports are needed (`presence` knows).

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
    open: Mutex<Vec<Door>>,
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
        Self { ip: address.ip(), serve, open: Mutex::default() }
    }

    /// Serves a listener that is bound already.
    pub fn serve(&self, listener: TcpListener, port: u16) {
        let (stop, mut stopping) = watch::channel(false);
        let stopped = Box::pin(async move {
            // An error means that the sender is gone, which is a stop as well.
            let _ = stopping.wait_for(|stopping| *stopping).await;
        });
        let listener = tokio::spawn((self.serve)(listener, stopped));
        self.lock().push(Door { port, stop, listener });
    }

    /// Closes every door, and waits until their requests have ended.
    pub async fn close_all(&self) {
        let doors: Vec<Door> = self.lock().drain(..).collect();
        for door in &doors {
            // Fails only when the listener has ended.
            let _ = door.stop.send(true);
        }
        for door in doors {
            if let Err(error) = door.listener.await {
                tracing::error!(%error, "a listener ended by a panic");
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Door>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Doors for TlsDoors {
    fn open_ports(&self) -> Vec<u16> {
        self.lock().iter().map(|door| door.port).collect()
    }

    fn open(&self, port: u16) -> BoxFuture<'_, io::Result<()>> {
        Box::pin(async move {
            if self.open_ports().contains(&port) {
                return Ok(());
            }
            let listener = TcpListener::bind(SocketAddr::new(self.ip, port)).await?;
            self.serve(listener, port);
            tracing::info!(port, "listens on a further port");
            Ok(())
        })
    }

    fn close(&self, port: u16) {
        self.lock().retain(|door| {
            if door.port != port {
                return true;
            }
            tracing::info!(port, "listens no longer on a port");
            let _ = door.stop.send(true);
            false
        });
    }
}
