//! Who asks, as far as a request has shown it, and the place of work that it has by that.
//!
//! Invariants: nothing is worked on without a place; a request that has shown nothing (no signature that holds, no token of
//! this server) has one in its source's share, and leaves it when it does; only what the server accepted, and what nobody
//! else can repeat, takes the connection out of its source's share.
//! Left out on purpose: connections without a request, and how shares work; both are `sealpost-serving`'s.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use sealpost_manifests::wire::problem::ProblemCode;
use sealpost_serving::{HeldConnection, Peer, Share, Standing};

use super::Site;
use super::problem::ApiError;

/// A request's sender, in the request's extensions; the place is given back with the last copy.
#[derive(Debug, Clone)]
pub(crate) struct Asker(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    standing: Option<Standing>,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    /// In the share of its source, which it leaves when it has shown whose it is.
    of_source: Option<Share>,
    proven: Option<Share>,
    connection: Option<HeldConnection>,
}

/// What a request has shown when it asks for a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shown {
    Nothing,
    /// A token that only this server can have made.
    Token,
}

impl Asker {
    /// Waits for a place, for a bounded time. A local account has no share and needs none.
    pub(crate) async fn enter(
        site: &Site,
        peer: &Peer,
        standing: Option<Standing>,
        shown: Shown,
    ) -> Result<Self, ApiError> {
        let within = site.parts.limits.place_within;
        let mut held = Held::default();
        match stranger(peer, standing.as_ref(), shown) {
            Some(source) => held.of_source = Some(site.work.of(source, within).await.ok_or_else(too_much)?),
            None if peer.network().is_none() => {}
            None => held.proven = Some(site.work.proven(within).await.ok_or_else(too_much)?),
        }
        Ok(Self(Arc::new(Inner { standing, held: Mutex::new(held) })))
    }

    /// A signature or token of the request holds: it leaves its source's share, and its connection is kept while it is
    /// answered.
    pub(crate) async fn has_shown(&self, site: &Site) -> Result<(), ApiError> {
        let connection = self.0.standing.as_ref().map(Standing::hold);
        self.lock().connection = connection;
        let is_strange = self.lock().of_source.is_some();
        if is_strange {
            let proven = site.work.proven(site.parts.limits.place_within).await.ok_or_else(too_much)?;
            let mut held = self.lock();
            held.proven = Some(proven);
            held.of_source = None;
        }
        Ok(())
    }

    /// The server accepted the request as this client's, or this admin's: the connection counts for it from now on.
    pub(crate) fn is_accepted(&self, client: &str) {
        if let Some(standing) = &self.0.standing {
            standing.prove(client);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Held> {
        self.0.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The source that a request counts for; none if it has shown whose it is, or is a local account's.
pub(super) fn stranger(peer: &Peer, standing: Option<&Standing>, shown: Shown) -> Option<IpAddr> {
    let has_shown = shown == Shown::Token || standing.is_some_and(Standing::is_proven);
    peer.network().filter(|_| !has_shown)
}

/// A layer for what strangers may ask besides the agent API.
pub(crate) async fn bounded(State(site): State<Arc<Site>>, mut request: Request, next: Next) -> Response {
    // Without a peer it is refused further in.
    let Some(peer) = request.extensions().get::<Peer>().cloned() else { return next.run(request).await };
    let standing = request.extensions().get::<Standing>().cloned();
    match Asker::enter(&site, &peer, standing, Shown::Nothing).await {
        Ok(asker) => {
            request.extensions_mut().insert(asker);
            next.run(request).await
        }
        Err(error) => {
            count(&site, &peer, &error);
            error.into_response()
        }
    }
}

/// Counts and logs a refusal as those of the agent API are.
pub(super) fn count(site: &Site, peer: &Peer, error: &ApiError) {
    site.metrics.count_refusal(error.code());
    site.parts.ledger.count_refusal(site.now(), error.code(), &peer.source());
    tracing::debug!(code = %error.code(), source = peer.source(), "a request was refused");
}

pub(super) fn too_much() -> ApiError {
    ApiError::new(ProblemCode::Busy, "the server has too much to do at once", "try again in a minute")
}
