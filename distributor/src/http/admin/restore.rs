//! `POST /api/v1/ledger/acknowledge`: somebody has seen that the ledger was restored, cut or rewritten.
//!
//! Invariant: it ends the alarm and nothing else. New licenses wait for the vendor.

use std::sync::Arc;

use axum::extract::State;
use axum::{Extension, Json};
use sealpost_admin_api::status::{AcknowledgeRequest, Restored};
use sealpost_site::changes::Actor;
use sealpost_site::commands::restores::AcknowledgeRestore;

use crate::http::Site;
use crate::http::body::JsonBody;
use crate::http::problem::ApiError;

pub(crate) async fn acknowledge(
    State(site): State<Arc<Site>>,
    Extension(actor): Extension<Actor>,
    JsonBody(request): JsonBody<AcknowledgeRequest>,
) -> Result<Json<Restored>, ApiError> {
    let command = AcknowledgeRestore { actor, comment: request.comment };
    Ok(Json(site.parts.ledger.execute(site.now(), command).await?.into()))
}
