//! `GET /api/v1/certificate`, `POST …/renew` and `…/switch`.

use std::sync::Arc;

use axum::extract::State;
use axum::{Extension, Json};
use sealpost_admin_api::certificates::{CertificateView, RenewRequest, SwitchRequest};
use sealpost_site::changes::Actor;

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
    let what = if request.ca { Renewal::SiteCa } else { Renewal::Certificate };
    Ok(Json(site.parts.presence.renew(actor, what).await?))
}

pub(crate) async fn switch(
    State(site): State<Arc<Site>>,
    Extension(actor): Extension<Actor>,
    JsonBody(request): JsonBody<SwitchRequest>,
) -> Result<Json<CertificateView>, ApiError> {
    let whom = if request.now { Switch::Now } else { Switch::WhenLearned };
    Ok(Json(site.parts.presence.switch(actor, whom).await?))
}
