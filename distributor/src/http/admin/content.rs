//! `GET /api/v1/content`: how old the signature files are that computers run.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use sealpost_admin_api::content::ContentView;

use crate::http::Site;
use crate::http::problem::ApiError;

pub(crate) async fn show(State(site): State<Arc<Site>>) -> Result<Json<ContentView>, ApiError> {
    Ok(Json(ContentView {
        now: site.now(),
        content: site.content.ages(&site.parts.ledger, site.now()).await?,
    }))
}
