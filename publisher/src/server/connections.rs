//! Connections: a bounded number, a deadline for each header, an orderly end.
//!
//! A client that sends nothing, or a header a byte at a time, or takes no byte of its answer, loses its connection;
//! more clients than there is room for wait in the system's queue, and no single source can take all of the room. On
//! shutdown open requests may finish, for a while.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tower::ServiceExt;

use super::Source;
use super::sources::Sources;
use super::stall::Impatient;

/// How much the outside may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections at once.
    pub connections: usize,
    /// Connections at once from one source, except this computer (its reverse proxy). Further ones are closed.
    pub per_source: usize,
    /// Time for the header of a request, also between requests on one connection.
    pub header: Duration,
    /// Time in which a client has to take some bytes of its answer.
    pub stall: Duration,
    /// Longest time that one request, with its body and answer, may hold a connection.
    pub connection: Duration,
    /// Time for open requests after shutdown began.
    pub farewell: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 512,
            per_source: 64,
            header: Duration::from_secs(20),
            stall: Duration::from_secs(60),
            // A 4 GiB payload over 10 Mbit/s takes about an hour; downloads resume, so this loses nobody.
            connection: Duration::from_secs(2 * 3600),
            farewell: Duration::from_secs(5),
        }
    }
}

/// Pause after a failed accept: most often there are no file descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);
/// Longest header, in bytes.
const MAX_HEADER_BYTES: usize = 16 * 1024;
/// Most lines of a header.
const MAX_HEADERS: usize = 64;

/// Serves until `shutdown` resolves, then lets open requests finish.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    limits: Limits,
    shutdown: impl Future<Output = ()>,
) {
    let room = Arc::new(Semaphore::new(limits.connections));
    let sources = Sources::default();
    let graceful = GracefulShutdown::new();
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let accepted = async {
            let permit = Arc::clone(&room).acquire_owned().await;
            (listener.accept().await, permit)
        };
        let (accepted, permit) = tokio::select! {
            () = &mut shutdown => break,
            accepted = accepted => accepted,
        };
        match accepted {
            Ok((stream, source)) => {
                let Some(counted) = sources.enter(source.ip(), limits.per_source) else { continue };
                let connection = graceful.watch(one(stream, source, router.clone(), limits));
                tokio::spawn(async move {
                    // A peer that hangs up or dawdles is the peer's affair, so its error is not worth a line.
                    let _ = tokio::time::timeout(limits.connection, connection).await;
                    drop((permit, counted));
                });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    let _ = tokio::time::timeout(limits.farewell, graceful.shutdown()).await;
}

type Connection<S> = hyper::server::conn::http1::Connection<TokioIo<Impatient<TcpStream>>, S>;

fn one(
    stream: TcpStream,
    source: SocketAddr,
    router: Router,
    limits: Limits,
) -> Connection<
    impl hyper::service::Service<
        hyper::Request<Incoming>,
        Response = axum::response::Response,
        Error = std::convert::Infallible,
        Future: Send,
    >,
> {
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(Source(source));
        router.clone().oneshot(request)
    });
    hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header)
        .max_buf_size(MAX_HEADER_BYTES)
        .max_headers(MAX_HEADERS)
        .serve_connection(TokioIo::new(Impatient::new(stream, limits.stall)), service)
}
