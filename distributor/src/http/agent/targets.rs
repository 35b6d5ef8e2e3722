//! `GET /agent/v1/tuf/targets/{sha256}.{name}`: targets out of the blobs, also in part.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use sealpost_manifests::ids::TargetName;
use sealpost_serving::Peer;

use crate::http::Site;
use crate::http::admission::{Caller, WantedTarget};
use crate::http::problem::ApiError;
use crate::http::send;
use crate::ports::upstream::{TargetClass, TargetEntry};

/// Sends the target that was admitted.
pub(crate) async fn target(
    State(site): State<Arc<Site>>,
    Extension(WantedTarget(entry)): Extension<WantedTarget>,
    Extension(peer): Extension<Peer>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let blobs = Arc::clone(&site.parts.blobs);
    let sha256 = entry.sha256;
    let open = tokio::task::spawn_blocking(move || blobs.open(&sha256))
        .await
        .map_err(|error| ApiError::internal("open a stored file", &error))?
        .map_err(|error| ApiError::internal("open a stored file", &error))?;
    match open {
        // Shorter or longer than it is listed: nobody could use it.
        Some(blob) if blob.length != entry.length => {
            site.parts.upstream.suspect(sha256);
            Err(damaged(&entry.name))
        }
        Some(blob) => {
            let upstream = Arc::clone(&site.parts.upstream);
            let damaged = Box::new(move || upstream.suspect(sha256));
            let passage = match is_payload(&entry) {
                true => {
                    let bytes = send::asked_bytes(blob.length, &headers);
                    site.links.pass(&peer, caller.client(), bytes).await?
                }
                false => None,
            };
            let expected = Some(send::Expected { sha256, damaged });
            send::file(blob.file, blob.length, expected, passage, &headers).await
        }
        None => Err(ApiError::not_found(
            format!("the server has not stored {}", entry.name),
            "ask the server's admin to pull again",
        )),
    }
}

/// Whether it is the payload of a release: nothing else waits for a link.
fn is_payload(entry: &TargetEntry) -> bool {
    let TargetClass::Release { release, .. } = &entry.class else { return false };
    let Ok(manifest) = release.manifest_target() else { return false };
    let stem = manifest.as_str().strip_suffix("manifest");
    stem.and_then(|stem| entry.name.as_str().strip_prefix(stem)).is_some_and(|rest| rest.starts_with("tar."))
}

fn damaged(name: &TargetName) -> ApiError {
    ApiError::not_found(
        format!("the server's copy of {name} is damaged"),
        "ask the server's admin to look at its status, and to pull again",
    )
}
