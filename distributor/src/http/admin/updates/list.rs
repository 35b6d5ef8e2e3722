//! `GET /api/v1/updates`: releases with their state, a page at a time.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use sealpost_admin_api::updates::{MAX_UPDATES, Update, UpdatesPage, UpdatesQuery};
use sealpost_site::queries::Releases;

use crate::http::Site;
use crate::http::problem::{ApiError, bad_query};

/// A page of the list.
pub(crate) async fn list(
    State(site): State<Arc<Site>>,
    query: Result<Query<UpdatesQuery>, QueryRejection>,
) -> Result<Json<UpdatesPage>, ApiError> {
    let Query(query) = query.map_err(|error| bad_query(&error.body_text()))?;
    let limit = query.limit.unwrap_or(MAX_UPDATES).clamp(1, MAX_UPDATES);
    let rows = site.parts.ledger.query(Releases { state: query.state, after: query.after, limit }).await?;
    let more = rows.len() >= limit as usize;
    let next = rows.last().filter(|_| more).map(|row| row.manifest);
    Ok(Json(UpdatesPage { updates: rows.into_iter().map(Update::from).collect(), next }))
}
