//! `GET /api/v1/storage`, `POST …/clean` and `…/check`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use sealpost_admin_api::storage::StorageView;

use crate::http::Site;
use crate::http::problem::ApiError;

pub(crate) async fn show(State(site): State<Arc<Site>>) -> Result<Json<StorageView>, ApiError> {
    Ok(Json(site.parts.upstream.storage().await?))
}

/// Waits for a pull that is running.
pub(crate) async fn clean(State(site): State<Arc<Site>>) -> Result<Json<StorageView>, ApiError> {
    Ok(Json(site.parts.upstream.clean().await?))
}

/// Waits until every stored file was read.
pub(crate) async fn check(State(site): State<Arc<Site>>) -> Result<Json<StorageView>, ApiError> {
    Ok(Json(site.parts.upstream.check().await?))
}
