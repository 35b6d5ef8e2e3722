//! `GET /api/v1/storage`, `POST …/clean` and `…/check`; and `POST /api/v1/backup`, by which the log learns of a backup.

use std::sync::Arc;

use axum::extract::State;
use axum::{Extension, Json};
use sealpost_admin_api::storage::StorageView;
use sealpost_site::changes::{Actor, ServerOperation};
use sealpost_site::commands::tokens::OperateServer;

use crate::http::Site;
use crate::http::problem::ApiError;

pub(crate) async fn show(State(site): State<Arc<Site>>) -> Result<Json<StorageView>, ApiError> {
    Ok(Json(site.parts.upstream.storage().await?))
}

/// Waits for a pull that is running. Who cleans a full disk cannot have that logged before: then it is logged after.
pub(crate) async fn clean(
    State(site): State<Arc<Site>>,
    Extension(actor): Extension<Actor>,
) -> Result<Json<StorageView>, ApiError> {
    let (now, operation) = (site.now(), ServerOperation::CleanStorage);
    let entry = OperateServer { actor, operation };
    let noted = site.parts.ledger.execute(now, entry.clone()).await;
    let view = site.parts.upstream.clean().await?;
    if noted.is_err() {
        site.parts.ledger.execute(site.now(), entry).await?;
    }
    Ok(Json(view))
}

/// Waits until every stored file was read.
pub(crate) async fn check(State(site): State<Arc<Site>>) -> Result<Json<StorageView>, ApiError> {
    Ok(Json(site.parts.upstream.check().await?))
}

/// Says in the log that a backup is being made. The files are read by whoever makes it, not by the server.
pub(crate) async fn backup(
    State(site): State<Arc<Site>>,
    Extension(actor): Extension<Actor>,
) -> Result<Json<serde_json::Value>, ApiError> {
    let (now, operation) = (site.now(), ServerOperation::MakeBackup);
    site.parts.ledger.execute(now, OperateServer { actor, operation }).await?;
    Ok(Json(serde_json::json!({})))
}
