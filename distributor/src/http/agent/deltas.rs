//! `GET /agent/v1/deltas/{base}/{target}`: the delta between two releases, named by their manifests' digests; `nothing` is the
//! base of one that needs none. With `?for={last}` it is one of several on the way to another release.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use sealpost_serving::Peer;

use crate::http::Site;
use crate::http::admission::{Caller, WantedDelta};
use crate::http::problem::ApiError;
use crate::http::send;
use crate::ports::staging::OpenDelta;

/// Sends the delta that was admitted, digested on its way; 404 when there is none, or it is damaged, and then the payload is to
/// be fetched.
pub(crate) async fn delta(
    State(site): State<Arc<Site>>,
    Extension(wanted): Extension<WantedDelta>,
    Extension(peer): Extension<Peer>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let staging = Arc::clone(&site.parts.staging);
    let open = tokio::task::spawn_blocking(move || staging.delta(&wanted.base, &wanted.target))
        .await
        .map_err(|error| ApiError::internal("open a delta", &error))?
        .map_err(|error| ApiError::internal("open a delta", &error))?;
    let Some(OpenDelta { file, length, noted }) = open else {
        return Err(ApiError::not_found(
            "there is no delta between these releases",
            "fetch the whole payload",
        ));
    };
    let upstream = Arc::clone(&site.parts.upstream);
    let damaged = Box::new(move || upstream.suspect(noted.sha256));
    // Nobody could use it.
    if length != noted.length {
        damaged();
        return Err(ApiError::not_found(
            "the server's copy of this delta is damaged",
            "fetch the whole payload",
        ));
    }
    let passage = site.links.pass(&peer, caller.client(), send::wanted(length, &headers)).await?;
    let expected = send::Expected { sha256: noted.sha256, damaged };
    send::file(file, length, Some(expected), passage, &headers).await
}
