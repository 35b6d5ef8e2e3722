//! `GET /api/v1/status`: the License Summary, the last pull, who is connected, and what is wrong.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use sealpost_admin_api::licenses::License;
use sealpost_admin_api::status::{Ending, Restored, Status, WarningView};

use crate::http::Site;
use crate::http::problem::ApiError;
use crate::http::problems::gather;

pub(crate) async fn status(State(site): State<Arc<Site>>) -> Result<Json<Status>, ApiError> {
    let found = gather(&site).await?;
    let (now, ledger) = (site.now(), &site.parts.ledger);
    let addresses = site.parts.presence.addresses();
    let refused_seats = site.seat_refusals.of_others(found.licenses.iter().map(|row| &row.serial));
    let licenses = found.licenses.into_iter().map(|row| {
        let refused = site.seat_refusals.of(Some(&row.serial));
        License::of(row, refused, now)
    });
    Ok(Json(Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        server_id: ledger.server_id(),
        addresses: addresses.addresses,
        port: addresses.port,
        warnings: found.problems.into_iter().map(WarningView::from).collect(),
        licenses: licenses.collect(),
        refused_seats,
        started: Some(site.started),
        last_pull: found.pull.into(),
        connected_clients: found.connected,
        releases: found
            .releases
            .into_iter()
            .map(|(state, count)| (state.as_str().to_owned(), count))
            .collect(),
        ledger_head: ledger.head(),
        restored: Restored::of(found.restore),
        now,
        expiries: found.expiries.into_iter().map(|expiry| Ending::of(expiry, now)).collect(),
        missing_files: found.missing,
        storage: found.storage,
        newer: found.newer,
        content: site.content.ages(&site.parts.ledger, site.now()).await?,
        folder: site.parts.folders.looked(),
    }))
}
