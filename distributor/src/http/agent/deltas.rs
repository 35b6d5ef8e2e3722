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

/// Sends the delta that was admitted; 404 when there is none, and then the payload is to be fetched.
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
    match open {
        Some(blob) => {
            let wanted = send::wanted(blob.length, &headers);
            let passage = site.links.pass(&peer, caller.client(), wanted).await?;
            send::file(blob.file, blob.length, None, passage, &headers).await
        }
        None => {
            Err(ApiError::not_found("there is no delta between these releases", "fetch the whole payload"))
        }
    }
}
