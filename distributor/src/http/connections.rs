//! Connections: accepting them, TLS, and every bound that must hold before a request exists.
//!
//! Invariants: the number of connections is bounded, in all and per source; a handshake and each request head have a
//! deadline; a reader who stops is dropped; on shutdown requests under way may end, for a bounded time.
//! Left out on purpose: HTTP/2. A client has one or two connections, and each bound here is simpler with HTTP/1.1.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;

use super::peer::{Peer, account_name};
use super::stall::StallGuard;

/// Most header lines of a request. Ours have about ten.
const MAX_HEADERS: usize = 64;
/// Bytes of a connection's read buffer, and so of a request's head.
const MAX_HEAD_BYTES: usize = 32 * 1024;
/// Pause after a failed accept: out of file descriptors, most likely, and an error each time would fill the log.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// Limits on connections.
#[derive(Debug, Clone, Copy)]
pub struct ConnectionLimits {
    /// Connections at once. Each connected client holds one for wakes, and one more while it downloads.
    pub connections: usize,
    /// Connections at once from one address. Many computers behind one address share it.
    pub per_source: usize,
    /// Time for a TLS handshake.
    pub handshake_within: Duration,
    /// Time for a request's head, also for the next one on the same connection.
    pub head_within: Duration,
    /// Time in which a reader must take some bytes.
    pub write_within: Duration,
    /// Time for requests under way when the server stops.
    pub drain_within: Duration,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            connections: 8192,
            per_source: 1024,
            handshake_within: Duration::from_secs(10),
            head_within: Duration::from_secs(20),
            write_within: Duration::from_secs(60),
            drain_within: Duration::from_secs(10),
        }
    }
}

/// How many connections each source has.
type Sources = Arc<Mutex<HashMap<IpAddr, usize>>>;

/// Counts connections.
struct Places {
    all: Arc<Semaphore>,
    per_source: usize,
    sources: Sources,
}

/// One connection's place.
struct Place {
    _one: OwnedSemaphorePermit,
    source: Option<(IpAddr, Sources)>,
}

impl Places {
    fn new(limits: &ConnectionLimits) -> Self {
        Self {
            all: Arc::new(Semaphore::new(limits.connections)),
            per_source: limits.per_source,
            sources: Arc::default(),
        }
    }

    fn take(&self, source: Option<IpAddr>) -> Option<Place> {
        let one = Arc::clone(&self.all).try_acquire_owned().ok()?;
        let Some(source) = source else { return Some(Place { _one: one, source: None }) };
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        // Bounded by the semaphore: an entry exists only while it has a connection.
        let count = sources.entry(source).or_insert(0);
        if *count >= self.per_source {
            return None;
        }
        *count += 1;
        drop(sources);
        Some(Place { _one: one, source: Some((source, Arc::clone(&self.sources))) })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some((source, sources)) = &self.source else { return };
        let mut sources = sources.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = sources.get_mut(source) {
            *count -= 1;
            if *count == 0 {
                sources.remove(source);
            }
        }
    }
}

/// Serves TLS connections until `stop` says so, then lets requests under way end.
pub async fn serve_tls(
    listener: TcpListener,
    tls: Arc<ServerConfig>,
    router: Router,
    limits: ConnectionLimits,
    mut stop: watch::Receiver<bool>,
) {
    let acceptor = TlsAcceptor::from(tls);
    let places = Places::new(&limits);
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stopped(&mut stop) => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
        };
        let (stream, address) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let source = address.ip().to_canonical();
        let Some(place) = places.take(Some(source)) else {
            tracing::debug!(%source, "too many connections; one more was dropped");
            continue;
        };
        // Answers are written whole; waiting for more to fill a packet only delays them.
        let _ = stream.set_nodelay(true);
        let (acceptor, router, stop) = (acceptor.clone(), router.clone(), stop.clone());
        connections.spawn(async move {
            let _place = place;
            match tokio::time::timeout(limits.handshake_within, acceptor.accept(stream)).await {
                Ok(Ok(stream)) => one(stream, Peer::Network(source), router, limits, stop).await,
                Ok(Err(error)) => tracing::debug!(%source, %error, "a TLS handshake failed"),
                Err(_elapsed) => tracing::debug!(%source, "a TLS handshake took too long"),
            }
        });
    }
    drop(listener);
    drain(connections, limits.drain_within).await;
}

/// Serves the admin socket: only root and the account that the server runs under may use it.
pub async fn serve_unix(
    listener: UnixListener,
    router: Router,
    limits: ConnectionLimits,
    mut stop: watch::Receiver<bool>,
) {
    let own_uid = rustix::process::geteuid().as_raw();
    let places = Places::new(&limits);
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stopped(&mut stop) => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "cannot accept an admin connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Some(uid) = allowed_uid(&stream, own_uid) else { continue };
        let Some(place) = places.take(None) else { continue };
        let (router, stop) = (router.clone(), stop.clone());
        connections.spawn(async move {
            let _place = place;
            let account = tokio::task::spawn_blocking(move || account_name(uid)).await;
            let account = account.unwrap_or_else(|_| format!("uid {uid}"));
            one(stream, Peer::Local { account }, router, limits, stop).await;
        });
    }
    drop(listener);
    drain(connections, limits.drain_within).await;
}

fn allowed_uid(stream: &UnixStream, own_uid: u32) -> Option<u32> {
    match stream.peer_cred() {
        Ok(peer) if peer.uid() == 0 || peer.uid() == own_uid => Some(peer.uid()),
        Ok(peer) => {
            tracing::warn!(
                uid = peer.uid(),
                "an account that may not administer this server tried the admin socket"
            );
            None
        }
        Err(error) => {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "cannot tell who is at the admin socket"
            );
            None
        }
    }
}

async fn one<S>(
    stream: S,
    peer: Peer,
    router: Router,
    limits: ConnectionLimits,
    mut stop: watch::Receiver<bool>,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = hyper::service::service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer.clone());
        router.clone().oneshot(request)
    });
    let stream = TokioIo::new(StallGuard::new(stream, limits.write_within));
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_within)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEAD_BYTES)
        .serve_connection(stream, service);
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stopped(&mut stop) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        // The other end's doing, each time: it went away, was too slow, or spoke something else.
        tracing::debug!(%error, "a connection ended early");
    }
}

/// Waits until the server is to stop, or nobody is left who could say so.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    // An error means that the sender is gone, which is a stop as well.
    let _ = stop.wait_for(|stop| *stop).await;
}

async fn drain(mut connections: JoinSet<()>, within: Duration) {
    let all = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(within, all).await.is_err() {
        tracing::info!(left = connections.len(), "connections were still open when the server stopped");
        connections.shutdown().await;
    }
}

/// Binds the admin socket, mode 0600. A socket file that a killed server left behind is replaced.
///
/// # Errors
/// When something else is there, another server listens, or the folder cannot be written.
pub fn bind_admin_socket(path: &std::path::Path) -> io::Result<UnixListener> {
    use std::os::unix::fs::{FileTypeExt, PermissionsExt};
    match std::fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => {
            if std::os::unix::net::UnixStream::connect(path).is_ok() {
                return Err(io::Error::new(io::ErrorKind::AddrInUse, "another server listens there"));
            }
            std::fs::remove_file(path)?;
        }
        Ok(_) => {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, "a file that is no socket is there"));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let listener = UnixListener::bind(path)?;
    // Nothing was accepted yet, and each peer is asked for its account besides.
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_source_cannot_take_all_places_and_a_place_comes_back() {
        let limits = ConnectionLimits { connections: 3, per_source: 2, ..ConnectionLimits::default() };
        let places = Places::new(&limits);
        let (one, other) = (Some("10.0.0.1".parse().unwrap()), Some("10.0.0.2".parse().unwrap()));
        let first = places.take(one).unwrap();
        let _second = places.take(one).unwrap();
        assert!(places.take(one).is_none());
        let _third = places.take(other).unwrap();
        assert!(places.take(other).is_none());
        drop(first);
        assert!(places.take(one).is_some());
        assert_eq!(places.sources.lock().unwrap().len(), 2);
    }
}
