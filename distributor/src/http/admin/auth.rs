//! Who administers: on the Unix socket the account that the operating system names, over TLS the name of a token.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use sealpost_manifests::wire::problem::ProblemCode;
use sealpost_serving::Peer;

use crate::domain::activity::Actor;
use crate::http::Site;
use crate::http::admission::{bearer, too_many_failures};
use crate::http::problem::{ApiError, RefusedWith};

/// Lets admins through, with their [`Actor`] in the request's extensions.
pub(crate) async fn authenticate(
    State(site): State<Arc<Site>>,
    mut request: Request,
    next: Next,
) -> Response {
    let Some(peer) = request.extensions().get::<Peer>().cloned() else {
        let unknown = ApiError::new(
            ProblemCode::Forbidden,
            "it is not known where this request comes from",
            "report this",
        );
        return unknown.into_response();
    };
    let response = match actor(&site, &peer, request.headers()).await {
        Ok(actor) => {
            request.extensions_mut().insert(actor);
            next.run(request).await
        }
        Err(error) => {
            let response = error.into_response();
            if let Some(RefusedWith(code)) = response.extensions().get::<RefusedWith>() {
                site.ledger.count_refusal(site.now(), *code, peer.source());
                tracing::debug!(%code, source = peer.source(), "a stranger tried the admin API");
            }
            response
        }
    };
    if let Some(RefusedWith(code)) = response.extensions().get::<RefusedWith>() {
        site.metrics.count_refusal(*code);
    }
    response
}

/// Who asks, or why they may not.
pub(crate) async fn actor(site: &Arc<Site>, peer: &Peer, headers: &HeaderMap) -> Result<Actor, ApiError> {
    if let Peer::Local { account } = peer {
        return Ok(Actor::Admin { name: account.clone() });
    }
    let sent = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).and_then(bearer);
    let name = match sent.map(str::to_owned) {
        None => None,
        Some(text) => {
            let tokens = site.admin_tokens.clone();
            tokio::task::spawn_blocking(move || tokens.recognize(&text))
                .await
                .map_err(|error| ApiError::internal("read its admin tokens", &error))?
                .map_err(|error| ApiError::internal("read its admin tokens", &error))?
        }
    };
    if let Some(name) = name {
        return Ok(Actor::Admin { name });
    }
    // Only now: nobody guesses a token, and a stranger behind the same address must not lock an admin out.
    let now = site.now();
    if let Some(wait) = site.failed_attempts.must_wait(peer, now) {
        return Err(too_many_failures(wait));
    }
    site.failed_attempts.note(peer, now);
    Err(ApiError::new(
        ProblemCode::Unauthenticated,
        "this is the admin API, and no admin token that is known was sent",
        "make one on the server with `distributor token new NAME`, and give it with --token-file",
    ))
}
