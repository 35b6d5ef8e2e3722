//! `GET /api/v1/status`: the License Summary, the last pull, who is connected, and what will need attention.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use jiff::Timestamp;
use sealpost_admin_api::licenses::License;
use sealpost_admin_api::status::{Restored, Status};
use sealpost_site::queries::{
    Drifted, LastPull, Licenses, LogForks, MAX_PAGE, ReleaseCounts, Releases, Restores,
};
use sealpost_site::rows::ReleaseRow;
use sealpost_site::rules::release::ReleaseState;
use sealpost_site::rules::{attention, drift, warnings};

use crate::http::Site;
use crate::http::problem::ApiError;

pub(crate) async fn status(State(site): State<Arc<Site>>) -> Result<Json<Status>, ApiError> {
    let (now, ledger) = (site.now(), &site.parts.ledger);
    let licenses = ledger.query(Licenses {}).await?;
    let last_pull = ledger.query(LastPull {}).await?;
    let releases = ledger.query(ReleaseCounts {}).await?;
    let restore = ledger.query(Restores {}).await?;
    let forks = ledger.query(LogForks {}).await?;
    let mut warnings = warnings::warnings(&site.parts.expiries, &licenses, &last_pull, now);
    warnings.extend(warnings::restored(&restore, now));
    warnings.extend(warnings::log_forks(&forks));
    let drifted = ledger.query(Drifted {}).await?;
    warnings.extend(drift::warning(&drifted.names, drifted.count));
    warnings.extend(attention::warnings(&of_interest(&site).await?));
    warnings.extend(metadata_warnings(&site, now).await?);
    Ok(Json(Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        server_id: ledger.server_id(),
        addresses: site.parts.addresses.addresses.clone(),
        port: site.parts.addresses.port,
        warnings,
        licenses: licenses.into_iter().map(License::from).collect(),
        last_pull: last_pull.into(),
        connected_clients: site.parts.push.connected() as u64,
        releases: releases.into_iter().map(|(state, count)| (state.as_str().to_owned(), count)).collect(),
        ledger_head: ledger.head(),
        restored: Restored::of(restore),
        now,
    }))
}

/// Releases that may want attention: the newest of each state.
async fn of_interest(site: &Site) -> Result<Vec<ReleaseRow>, ApiError> {
    let mut rows = Vec::new();
    for state in [ReleaseState::Staged, ReleaseState::Approved, ReleaseState::Halted, ReleaseState::Withdrawn]
    {
        let page = Releases { state: Some(state), after: None, limit: MAX_PAGE };
        rows.extend(site.parts.ledger.query(page).await?);
    }
    Ok(rows)
}

/// Warnings about the mirrored metadata. That it is damaged is one, and no reason to leave the others out.
async fn metadata_warnings(site: &Arc<Site>, now: Timestamp) -> Result<Vec<String>, ApiError> {
    let upstream = Arc::clone(&site.parts.upstream);
    let expiries = tokio::task::spawn_blocking(move || upstream.expiries())
        .await
        .map_err(|error| ApiError::internal("read its metadata", &error))?;
    Ok(match expiries {
        Ok(expiries) => {
            expiries.iter().filter_map(|expiry| warnings::role_ending(&expiry.role, expiry.at, now)).collect()
        }
        Err(error) => vec![error.to_string()],
    })
}
