//! `POST /api/v1/register` and `…/unlock`: from a serial number to seats. `licenses` says what makes a grant count.

use std::sync::Arc;

use axum::extract::State;
use axum::{Extension, Json};
use sealpost_admin_api::licenses::{RegisterRequest, Registered, UnlockRequest, Unlocked};
use sealpost_site::changes::Actor;

use crate::http::Site;
use crate::http::body::JsonBody;
use crate::http::problem::ApiError;

/// Makes a registration; online the vendor answers with the grant at once.
pub(crate) async fn register(
    State(site): State<Arc<Site>>,
    Extension(actor): Extension<Actor>,
    JsonBody(request): JsonBody<RegisterRequest>,
) -> Result<Json<Registered>, ApiError> {
    Ok(Json(site.registrar.register(actor, request).await?))
}

/// Accepts an unlock code, or a grant file.
pub(crate) async fn unlock(
    State(site): State<Arc<Site>>,
    Extension(actor): Extension<Actor>,
    JsonBody(request): JsonBody<UnlockRequest>,
) -> Result<Json<Unlocked>, ApiError> {
    Ok(Json(site.registrar.unlock(actor, &request.code).await?))
}
