//! `POST /api/v1/pull`: pulls now, and answers when it is done.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use sealpost_admin_api::pulls::PullSummary;

use crate::http::Site;
use crate::http::problem::ApiError;

/// Waits for the pull. It goes on when the admin goes away.
pub(crate) async fn pull(State(site): State<Arc<Site>>) -> Result<Json<PullSummary>, ApiError> {
    Ok(Json(site.parts.upstream.pull_now().await?))
}
