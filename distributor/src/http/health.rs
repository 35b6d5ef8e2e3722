//! `/healthz`, `/readyz`, `/metrics`: for those who watch the server. Outside of the license gate; they give nothing
//! away over the network: no names, serials, versions or addresses.
//!
//! Numbers tell a little, and ends have names, so `/metrics` over the network wants an admin token; a scraper on the same
//! computer needs none, and what a reverse proxy there passes on is not the computer's own.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use sealpost_files::with_causes;
use sealpost_serving::{Peer, is_forwarded};

use sealpost_site::rules::access::Permission;
use sealpost_site::rules::release::ReleaseState;

use super::admin::auth;
use super::asker;
use super::metrics::{ExpiryGauge, Gauges};
use super::problem::ApiError;
use super::problems::gather;
use super::{Site, SiteParts};

/// How long the ledger may take to show that it can be written.
const LEDGER_PATIENCE: Duration = Duration::from_secs(5);

/// The server lives: all that it does by itself runs.
pub(crate) async fn alive(State(site): State<Arc<Site>>) -> Response {
    match site.parts.supervision.problem() {
        None => "alive\n".into_response(),
        Some(problem) => unavailable("not well", &problem),
    }
}

/// The server can do its work: its ledger reads and writes, and its disks take what is written. TLS is loaded, or this
/// would not be heard.
pub(crate) async fn ready(State(site): State<Arc<Site>>) -> Response {
    let problem = not_ready(&site.parts).await;
    tell_once(&site, problem.as_deref());
    match problem {
        None => "ready\n".into_response(),
        Some(problem) => unavailable("not ready", &problem),
    }
}

/// Logs what is wrong when that has changed: anybody may ask, and the usual cause is a full disk.
fn tell_once(site: &Site, problem: Option<&str>) {
    let mut told = site.not_ready.lock().unwrap_or_else(PoisonError::into_inner);
    if told.as_deref() == problem {
        return;
    }
    match problem {
        Some(problem) => tracing::warn!(problem, "not ready"),
        None => tracing::info!("ready again"),
    }
    *told = problem.map(str::to_owned);
}

async fn not_ready(parts: &SiteParts) -> Option<String> {
    if let Some(problem) = parts.supervision.problem() {
        return Some(problem);
    }
    if let Some(problem) = parts.disks.problem().await {
        return Some(problem);
    }
    let checked = tokio::time::timeout(LEDGER_PATIENCE, parts.ledger.check_health()).await;
    let problem = match checked {
        Ok(Ok(())) => return None,
        // What caused it may name files.
        Ok(Err(error)) => {
            tracing::debug!(error = with_causes(&error), "the ledger cannot do its work");
            "the ledger cannot do its work"
        }
        Err(_) => "the ledger takes too long for a small write",
    };
    Some(problem.to_owned())
}

fn unavailable(state: &str, problem: &str) -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, format!("{state}: {problem}\n")).into_response()
}

/// Counters in Prometheus' text format.
pub(crate) async fn metrics(
    State(site): State<Arc<Site>>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    if !peer.is_local() || is_forwarded(&headers) {
        let admitted = auth::account(&site, &peer, &headers).await;
        admitted
            .and_then(|account| auth::permitted(account, Permission::ViewStatus))
            .inspect_err(|error| asker::count(&site, &peer, error))?;
    }
    let text = site.metrics.text(&gauges(&site).await?);
    Ok(([(axum::http::header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response())
}

async fn gauges(site: &Arc<Site>) -> Result<Gauges, ApiError> {
    let found = gather(site).await?;
    let now = site.now();
    let stored = found.storage.unwrap_or_default();
    let count = |state| found.releases.iter().find(|(of, _)| *of == state).map_or(0, |(_, count)| *count);
    Ok(Gauges {
        connected_clients: found.connected,
        seats: found.licenses.iter().map(|row| u64::from(row.licenses)).sum(),
        seats_used: found.licenses.iter().map(|row| u64::from(row.used)).sum(),
        releases: ReleaseState::ALL.into_iter().map(|state| (state.as_str(), count(state))).collect(),
        last_pull_age_secs: found.pull.metadata_as_of.map(|at| now.duration_since(at).as_secs()),
        activity_entries: site.parts.ledger.head().size,
        stored_bytes: stored.bytes,
        free_bytes: stored.free_bytes,
        drifted_clients: found.drifted,
        stopped_products: found.stopped,
        missing_files: found.missing.len() as u64,
        expiries: ExpiryGauge::of_each(&found.expiries, now),
        problems: found.problems,
        links: site.links.see(0).await?.into_iter().map(|seen| seen.link).collect(),
        content: site.content.ages(&site.parts.ledger, site.now()).await?,
    })
}
