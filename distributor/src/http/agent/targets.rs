//! `GET /agent/v1/tuf/targets/{sha256}.{name}`: targets out of the blobs, also in part.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use sealpost_manifests::ids::TargetName;

use crate::http::Site;
use crate::http::admission::WantedTarget;
use crate::http::problem::ApiError;
use crate::http::send;

/// Sends the target that was admitted.
pub(crate) async fn target(
    State(site): State<Arc<Site>>,
    Extension(WantedTarget(entry)): Extension<WantedTarget>,
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
            send::file(blob.file, blob.length, Some(send::Expected { sha256, damaged }), &headers).await
        }
        None => Err(ApiError::not_found(
            format!("the server has not stored {}", entry.name),
            "ask the server's admin to pull again",
        )),
    }
}

fn damaged(name: &TargetName) -> ApiError {
    ApiError::not_found(
        format!("the server's copy of {name} is damaged"),
        "ask the server's admin to look at its status, and to pull again",
    )
}
