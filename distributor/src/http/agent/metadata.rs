//! `GET /agent/v1/tuf/metadata/{file}`: the vendor's metadata, unchanged.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;

use crate::http::Site;
use crate::http::problem::ApiError;
use crate::http::send;

/// Longest file name that is looked up, in bytes.
const MAX_NAME_BYTES: usize = 256;

/// Sends a metadata file; 404 means that it does not exist, and nothing else does.
pub(crate) async fn metadata(
    State(site): State<Arc<Site>>,
    Path(file): Path<String>,
) -> Result<Response, ApiError> {
    let absent =
        || ApiError::not_found("there is no such metadata file", "the newest version is the one before");
    if file.len() > MAX_NAME_BYTES {
        return Err(absent());
    }
    let upstream = Arc::clone(&site.parts.upstream);
    let read = tokio::task::spawn_blocking(move || upstream.metadata(&file))
        .await
        .map_err(|error| ApiError::internal("read its metadata", &error))?
        .map_err(|error| ApiError::internal("read its metadata", &error))?;
    read.map(|bytes| send::bytes(bytes, "application/json")).ok_or_else(absent)
}
