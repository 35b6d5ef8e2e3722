//! `/healthz`, `/readyz`, `/metrics`: for those who watch the server. Outside of the license gate; they give nothing
//! away over the network: no names, serials, versions or addresses.
//!
//! Numbers tell a little, and ends have names, so `/metrics` over the network wants an admin token; a scraper on the same
//! computer needs none, and what a reverse proxy there passes on is not the computer's own.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use sealpost_serving::{Peer, is_forwarded};

use sealpost_site::queries::{Drifted, LastPull, ReleaseCounts};
use sealpost_site::rules::access::Permission;
use sealpost_site::rules::release::ReleaseState;

use super::Site;
use super::admin::auth;
use super::ends::{Ends, gather};
use super::metrics::{ExpiryGauge, Gauges};
use super::problem::ApiError;

pub(crate) async fn alive() -> &'static str {
    "alive\n"
}

/// The server can do its work: its ledger reads and writes. TLS is loaded, or this would not be heard.
pub(crate) async fn ready(State(site): State<Arc<Site>>) -> Response {
    match site.parts.ledger.check_health().await {
        Ok(()) => "ready\n".into_response(),
        Err(error) => {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "not ready: the ledger cannot do its work"
            );
            (StatusCode::SERVICE_UNAVAILABLE, "not ready: the ledger cannot do its work\n").into_response()
        }
    }
}

/// Counters in Prometheus' text format.
pub(crate) async fn metrics(
    State(site): State<Arc<Site>>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    if !peer.is_local() || is_forwarded(&headers) {
        let account = auth::account(&site, &peer, &headers).await?;
        auth::permitted(account, Permission::ViewStatus)?;
    }
    let text = site.metrics.text(&gauges(&site).await?);
    Ok(([(axum::http::header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response())
}

async fn gauges(site: &Arc<Site>) -> Result<Gauges, ApiError> {
    let ledger = &site.parts.ledger;
    let Ends { expiries, licenses, .. } = gather(site, site.now()).await?;
    let pull = ledger.query(LastPull {}).await?;
    let releases = ledger.query(ReleaseCounts {}).await?;
    let now = site.now();
    let stored = site.parts.upstream.stored().unwrap_or_default();
    let count = |state| releases.iter().find(|(of, _)| *of == state).map_or(0, |(_, count)| *count);
    Ok(Gauges {
        connected_clients: site.parts.push.connected() as u64,
        seats: licenses.iter().map(|row| u64::from(row.licenses)).sum(),
        seats_used: licenses.iter().map(|row| u64::from(row.used)).sum(),
        releases: ReleaseState::ALL.into_iter().map(|state| (state.as_str(), count(state))).collect(),
        last_pull_age_secs: pull.metadata_as_of.map(|at| now.duration_since(at).as_secs()),
        activity_entries: ledger.head().size,
        stored_bytes: stored.bytes,
        free_bytes: stored.free_bytes,
        drifted_clients: ledger.query(Drifted {}).await?.count,
        missing_files: site.parts.upstream.missing().len() as u64,
        expiries: ExpiryGauge::of_each(&expiries, now),
    })
}
