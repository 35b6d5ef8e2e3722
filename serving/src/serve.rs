//! The loop that accepts connections, and their orderly end.

use std::convert::Infallible;
use std::error::Error;
use std::pin::pin;
use std::time::Duration;

use hyper::body::{Body, Incoming};
use hyper::{Request, Response};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tower::Service;

use crate::connection::Connection;
use crate::limits::ConnectionLimits;
use crate::listener::Listener;

/// Pause after a failed accept: most likely there are no file descriptors left, and an error for each attempt would
/// fill the log.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// Serves connections until `stop` resolves, then lets requests under way end, for a bounded time. Each request
/// carries its [`Peer`](crate::Peer) and its connection's [`Standing`](crate::Standing) as extensions. A listener that shares
/// its places brings them; all else is as these limits say.
pub async fn serve<S, B>(
    listener: Listener,
    service: S,
    limits: ConnectionLimits,
    stop: impl Future<Output = ()>,
) where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send + 'static,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let places = listener.places(&limits);
    let (stopping, stopped) = watch::channel(false);
    let mut connections = JoinSet::new();
    let mut stop = pin!(stop);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.as_mut() => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
        };
        let accepted = match accepted {
            Ok(Some(accepted)) => accepted,
            Ok(None) => continue,
            Err(error) => {
                tracing::warn!(error = &error as &dyn Error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Some(place) = places.take(accepted.address()) else {
            tracing::debug!(source = ?accepted.address(), "too many connections; one more was closed");
            continue;
        };
        let standing = place.standing();
        let handshakes = places.handshakes();
        let (service, stopping) = (service.clone(), stopped.clone());
        let connection = Connection { service, limits, standing, handshakes, stopping };
        connections.spawn(async move {
            tokio::select! {
                () = connection.serve(accepted) => {}
                () = place.makes_way() => tracing::debug!("a connection made way for another"),
            }
            drop(place);
        });
    }
    drop(listener);
    // An error means that no connection is left.
    let _ = stopping.send(true);
    drain(connections, limits.drain_within).await;
}

async fn drain(mut connections: JoinSet<()>, within: Duration) {
    let all = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(within, all).await.is_err() {
        tracing::info!(left = connections.len(), "connections were still open when the server stopped");
        connections.shutdown().await;
    }
}
