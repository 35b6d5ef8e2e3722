//! `GET /api/v1/updates`: every release with its state.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;

use crate::http::Site;
use crate::http::problem::ApiError;
use crate::http::views::UpdatesView;

/// The list.
pub(crate) async fn list(State(site): State<Arc<Site>>) -> Result<Json<UpdatesView>, ApiError> {
    Ok(Json(UpdatesView { updates: site.ledger.releases().await? }))
}
