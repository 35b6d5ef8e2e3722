//! `GET /api/v1/updates`: releases with their state, a page at a time.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use sealpost_admin_api::updates::{MAX_UPDATES, Update, UpdatesPage, UpdatesQuery};
use sealpost_manifests::channels::ChannelsDocument;
use sealpost_manifests::ids::ChannelName;
use sealpost_manifests::release::ReleaseId;
use sealpost_site::queries::Releases;

use crate::http::Site;
use crate::http::offered::offered;
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
    let offered = offered(&site).await?;
    let updates = rows.into_iter().map(Update::from);
    let updates =
        updates.map(|update| Update { offered: offered_as(&update.release, offered.as_deref()), ..update });
    Ok(Json(UpdatesPage { updates: updates.collect(), next }))
}

/// The channels that point to a release.
fn offered_as(release: &ReleaseId, offered: Option<&[ChannelsDocument]>) -> Option<Vec<ChannelName>> {
    let of_package = offered?.iter().filter(|offered| offered.package == release.package);
    Some(of_package.flat_map(|offered| offered.channels_of(&release.version).cloned()).collect())
}
