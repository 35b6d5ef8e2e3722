//! `GET /api/v1/certificate`, `POST …/renew` and `…/switch`.

use std::sync::Arc;

use axum::extract::State;
use axum::{Extension, Json};
use sealpost_admin_api::certificates::{CertificateView, RenewRequest, SwitchRequest};
use sealpost_site::changes::{Actor, ServerOperation};
use sealpost_site::commands::tokens::OperateServer;

use crate::http::Site;
use crate::http::body::JsonBody;
use crate::http::problem::ApiError;
use crate::ports::presence::{Renewal, Switch};

pub(crate) async fn show(State(site): State<Arc<Site>>) -> Result<Json<CertificateView>, ApiError> {
    Ok(Json(site.parts.presence.certificate().await?))
}

pub(crate) async fn renew(
    State(site): State<Arc<Site>>,
    Extension(actor): Extension<Actor>,
    JsonBody(request): JsonBody<RenewRequest>,
) -> Result<Json<CertificateView>, ApiError> {
    let operation = ServerOperation::RenewCertificate;
    site.parts.ledger.execute(site.now(), OperateServer { actor: actor.clone(), operation }).await?;
    let what = if request.ca { Renewal::SiteCa } else { Renewal::Certificate };
    Ok(Json(site.parts.presence.renew(actor, what).await?))
}

pub(crate) async fn switch(
    State(site): State<Arc<Site>>,
    Extension(actor): Extension<Actor>,
    JsonBody(request): JsonBody<SwitchRequest>,
) -> Result<Json<CertificateView>, ApiError> {
    let operation = ServerOperation::SwitchCertificate;
    site.parts.ledger.execute(site.now(), OperateServer { actor: actor.clone(), operation }).await?;
    let whom = if request.now { Switch::Now } else { Switch::WhenLearned };
    Ok(Json(site.parts.presence.switch(actor, whom).await?))
}
