//! One connection, from its handshake to its end.

use std::convert::Infallible;
use std::error::Error;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::header::{CONNECTION, HeaderValue, TRANSFER_ENCODING};
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tower::{Service, ServiceExt};

use crate::handshakes::Handshakes;
use crate::limits::{ConnectionLimits, Stays};
use crate::listener::Accepted;
use crate::peer::{Peer, account_name};
use crate::stall::StallGuard;
use crate::standing::{HeldConnection, Standing};

/// Most header lines of a request. Ours have about ten.
const MAX_HEADERS: usize = 64;
/// Bytes of a connection's read buffer, and so of a request's head.
const MAX_HEAD_BYTES: usize = 32 * 1024;

/// Time for the first request of a connection that was accepted just before the server stops.
const FIRST_REQUEST_WITHIN: Duration = Duration::from_secs(2);

/// What a connection needs besides its stream.
#[derive(Debug)]
pub(crate) struct Connection<S> {
    pub(crate) service: S,
    pub(crate) limits: ConnectionLimits,
    /// What its requests have shown so far.
    pub(crate) standing: Standing,
    pub(crate) handshakes: Arc<Handshakes>,
    /// Becomes `true` when the server stops.
    pub(crate) stopping: watch::Receiver<bool>,
}

impl<S, B> Connection<S>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send + 'static,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    /// Serves what was accepted until its end.
    pub(crate) async fn serve(self, accepted: Accepted) {
        match accepted {
            Accepted::Tcp(stream, source) => self.requests(stream, Peer::Network(source)).await,
            Accepted::Tls(stream, source, config) => {
                let handshakes = Arc::clone(&self.handshakes);
                let handshake = async move {
                    // Whoever says nothing takes no turn.
                    stream.readable().await?;
                    handshakes.turn(source).await;
                    TlsAcceptor::from(config).accept(stream).await
                };
                match timeout(self.limits.handshake_within, handshake).await {
                    Ok(Ok(stream)) => self.requests(stream, Peer::Network(source)).await,
                    Ok(Err(error)) => tracing::debug!(%source, %error, "a TLS handshake failed"),
                    Err(_elapsed) => tracing::debug!(%source, "a TLS handshake took too long"),
                }
            }
            Accepted::Unix(stream, uid) => {
                let account = tokio::task::spawn_blocking(move || account_name(uid)).await;
                let account = account.unwrap_or_else(|_| format!("uid {uid}"));
                self.requests(stream, Peer::Local { account }).await;
            }
        }
    }

    async fn requests<T>(self, stream: T, peer: Peer)
    where
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let Self { service, limits, standing, mut stopping, .. } = self;
        let (begun, mut has_begun) = watch::channel(false);
        let service = hyper::service::service_fn(move |mut request: Request<Incoming>| {
            let _ = begun.send_replace(true);
            request.extensions_mut().insert(peer.clone());
            request.extensions_mut().insert(standing.clone());
            let stays = (limits.stays == Stays::WhileAnswering).then(|| standing.hold());
            // Its end can be read in two ways if a length stands beside it: what comes behind it is no request here.
            let is_last = request.headers().contains_key(TRANSFER_ENCODING);
            let answered = service.clone().oneshot(request);
            async move {
                let mut response = answered.await?;
                if is_last {
                    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
                }
                Ok::<_, Infallible>(response.map(|body| Answer { body: Box::pin(body), _stays: stays }))
            }
        });
        let stream = TokioIo::new(StallGuard::new(stream, limits.write_within, limits.answer_pace));
        let connection = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.head_within)
            .max_headers(MAX_HEADERS)
            .max_buf_size(MAX_HEAD_BYTES)
            .serve_connection(stream, service);
        let mut connection = pin!(connection);
        let until_its_end = async {
            tokio::select! {
                ended = connection.as_mut() => return ended,
                // An error means that the server is gone, which is a stop as well.
                _ = stopping.wait_for(|stopping| *stopping) => {}
            }
            // Whoever has just connected is about to send a request, which would be lost.
            tokio::select! {
                ended = connection.as_mut() => return ended,
                _ = timeout(FIRST_REQUEST_WITHIN, has_begun.wait_for(|begun| *begun)) => {}
            }
            connection.as_mut().graceful_shutdown();
            connection.await
        };
        let ended = match limits.connection_within {
            None => until_its_end.await,
            Some(within) => match timeout(within, until_its_end).await {
                Ok(ended) => ended,
                Err(_elapsed) => return tracing::debug!("a connection was open for too long"),
            },
        };
        if let Err(error) = ended {
            // The other end's doing, each time: it went away, was too slow, or spoke something else.
            tracing::debug!(%error, "a connection ended early");
        }
    }
}

/// A body, and what keeps its connection from making way until it has been handed over. The end of it may still be on its way
/// then, which the next try of a reader asks for again.
struct Answer<B> {
    body: Pin<Box<B>>,
    _stays: Option<HeldConnection>,
}

impl<B: Body> Body for Answer<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        self.body.as_mut().poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
