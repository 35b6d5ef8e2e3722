//! `GET /api/v1/addresses` and `POST …/finish`.

use std::sync::Arc;

use axum::extract::State;
use axum::{Extension, Json};
use sealpost_admin_api::addresses::{AddressesView, FinishRequest};
use sealpost_site::changes::{Actor, ServerOperation};
use sealpost_site::commands::tokens::OperateServer;

use crate::http::Site;
use crate::http::body::JsonBody;
use crate::http::problem::ApiError;
use crate::ports::presence::Switch;

pub(crate) async fn show(State(site): State<Arc<Site>>) -> Result<Json<AddressesView>, ApiError> {
    Ok(Json(site.parts.presence.ways().await?))
}

pub(crate) async fn finish(
    State(site): State<Arc<Site>>,
    Extension(actor): Extension<Actor>,
    JsonBody(request): JsonBody<FinishRequest>,
) -> Result<Json<AddressesView>, ApiError> {
    let operation = ServerOperation::FinishAddresses;
    site.parts.ledger.execute(site.now(), OperateServer { actor: actor.clone(), operation }).await?;
    let whom = if request.now { Switch::Now } else { Switch::WhenLearned };
    Ok(Json(site.parts.presence.finish(actor, whom).await?))
}
