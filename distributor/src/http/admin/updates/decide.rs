//! `POST /api/v1/updates/approve`, `…/reject`, `…/halt`, `…/reconsider` and `…/retry`: a person decides, and names the
//! digest that was shown to them.
//!
//! Whom an approval concerns is woken by `push`, which follows the log: so it is the same whoever approved.

use std::sync::Arc;

use axum::extract::State;
use axum::{Extension, Json};
use sealpost_admin_api::approvals::DeferRequest;
use sealpost_admin_api::updates::{
    ApproveRequest, HaltRequest, Halted, MissingPayload, ReconsiderRequest, RejectRequest, Retried,
    RetryRequest, Update,
};
use sealpost_files::with_causes;
use sealpost_ledger::LedgerError;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::ComputerName;
use sealpost_manifests::release::Encoding;
use sealpost_site::changes::Actor;
use sealpost_site::commands::approvals::DeferRelease;
use sealpost_site::commands::releases::{ApproveRelease, RejectRelease};
use sealpost_site::commands::settings::LoadPlan;
use sealpost_site::commands::undoing::{HaltRelease, MAX_NAMED, ReconsiderRelease, RetryRelease, WhoRunsIt};
use sealpost_site::queries::{ClientByName, ReleaseByManifest};
use sealpost_site::rules::names::canonical;

use super::show::unknown;
use crate::http::Site;
use crate::http::admin::test_load::{shown, wanted};
use crate::http::body::JsonBody;
use crate::http::leaving::leaving_of;
use crate::http::payload::payload;
use crate::http::problem::{ApiError, bad_query};

/// Approves, or waits for a second person; again with the same digest answers the same.
pub(crate) async fn approve(
    State(site): State<Arc<Site>>,
    Extension(actor): Extension<Actor>,
    JsonBody(request): JsonBody<ApproveRequest>,
) -> Result<Json<Update>, ApiError> {
    let ApproveRequest { manifest, channels, comment, strategy, emergency, now } = request;
    let trust = site.parts.upstream.trust();
    let test_load = wanted(&site, manifest).await?;
    let command = ApproveRelease {
        actor,
        manifest,
        channels,
        trust,
        comment,
        strategy,
        emergency,
        despite_deferral: now,
        test_load,
        confirms: None,
    };
    site.parts.ledger.execute(site.now(), command).await?;
    let Json(update) = decided(&site, manifest).await?;
    let payload_missing = missing_payload(&site, manifest).await;
    Ok(Json(Update { payload_missing, ..update }))
}

/// Puts the decision about a release off.
pub(crate) async fn defer(
    State(site): State<Arc<Site>>,
    Extension(actor): Extension<Actor>,
    JsonBody(request): JsonBody<DeferRequest>,
) -> Result<Json<Update>, ApiError> {
    let DeferRequest { manifest, until, comment } = request;
    site.parts.ledger.execute(site.now(), DeferRelease { actor, manifest, until, comment }).await?;
    decided(&site, manifest).await
}

/// Whether the payload of a release is not here, and what becomes of it. A rejected release loses its payload in time; who
/// takes that back and approves it would wait for an install that cannot begin.
async fn missing_payload(site: &Site, manifest: Sha256Digest) -> Option<MissingPayload> {
    let payload = match payload(site, manifest).await {
        Ok(payload) => payload?,
        Err(error) => {
            let error = with_causes(&error);
            tracing::warn!(error, "the release is approved, and its manifest cannot be read");
            return None;
        }
    };
    if payload.place.is_some() {
        return None;
    }
    let name = payload.release.payload_target(Encoding::Gzip).ok()?;
    let is_listed = site.parts.upstream.find_target(&format!("{}.{name}", payload.sha256)).is_some();
    Some(if is_listed { MissingPayload::FetchedByNextPull } else { MissingPayload::NotListed })
}

pub(crate) async fn reject(
    State(site): State<Arc<Site>>,
    Extension(actor): Extension<Actor>,
    JsonBody(request): JsonBody<RejectRequest>,
) -> Result<Json<Update>, ApiError> {
    let RejectRequest { manifest, reason } = request;
    site.parts.ledger.execute(site.now(), RejectRelease { actor, manifest, reason }).await?;
    decided(&site, manifest).await
}

pub(crate) async fn halt(
    State(site): State<Arc<Site>>,
    Extension(actor): Extension<Actor>,
    JsonBody(request): JsonBody<HaltRequest>,
) -> Result<Json<Halted>, ApiError> {
    let HaltRequest { manifest, reason, rollback } = request;
    let runs = if rollback { WhoRunsIt::GoesBack } else { WhoRunsIt::Keeps };
    site.parts.ledger.execute(site.now(), HaltRelease { actor, manifest, reason, runs }).await?;
    let Json(update) = decided(&site, manifest).await?;
    let runners = leaving_of(&site.parts.ledger, manifest).await.map_err(unread)?;
    Ok(Json(Halted { update, leaving: runners.into() }))
}

pub(crate) async fn reconsider(
    State(site): State<Arc<Site>>,
    Extension(actor): Extension<Actor>,
    JsonBody(request): JsonBody<ReconsiderRequest>,
) -> Result<Json<Update>, ApiError> {
    let ReconsiderRequest { manifest, comment } = request;
    site.parts.ledger.execute(site.now(), ReconsiderRelease { actor, manifest, comment }).await?;
    decided(&site, manifest).await
}

pub(crate) async fn retry(
    State(site): State<Arc<Site>>,
    Extension(actor): Extension<Actor>,
    JsonBody(request): JsonBody<RetryRequest>,
) -> Result<Json<Retried>, ApiError> {
    let RetryRequest { manifest, clients, comment } = request;
    if clients.len() > MAX_NAMED {
        // Refused before each is looked up.
        return Err(bad_query(&format!("at most {MAX_NAMED} computers can be named at once")));
    }
    let (mut names, mut running) = (Vec::with_capacity(clients.len()), Vec::new());
    for name in clients {
        let name = held_name(&site, name).await?;
        let known = site.parts.ledger.query(ClientByName { name: name.clone() }).await?;
        let runs_it = known.is_some_and(|known| known.installed.iter().any(|runs| runs.manifest == manifest));
        if runs_it { running.push(name) } else { names.push(name) }
    }
    // Without a name all that failed would be meant.
    let clients = if names.is_empty() && !running.is_empty() {
        Vec::new()
    } else {
        site.parts.ledger.execute(site.now(), RetryRelease { actor, manifest, names, comment }).await?
    };
    let Json(update) = decided(&site, manifest).await?;
    Ok(Json(Retried { update, clients, running }))
}

/// The name that holds the seat, in whatever spelling it was given.
async fn held_name(site: &Site, name: ComputerName) -> Result<ComputerName, ApiError> {
    let plain = canonical(&name);
    if plain == name || site.parts.ledger.query(ClientByName { name: name.clone() }).await?.is_some() {
        return Ok(name);
    }
    Ok(plain)
}

async fn decided(site: &Site, manifest: Sha256Digest) -> Result<Json<Update>, ApiError> {
    let row = site.parts.ledger.query(ReleaseByManifest { manifest }).await.map_err(unread)?;
    let row = row.ok_or_else(|| unknown(&manifest.to_string()))?;
    let test_load = shown(site, &row);
    let plan = site.parts.ledger.query(LoadPlan {}).await.map_err(unread)?;
    let update = Update::from(row).with_approvals(&plan.approvals, site.now());
    Ok(Json(Update { test_load, ..update }))
}

fn unread(error: LedgerError) -> ApiError {
    ApiError::done_but_unread(&error, "the decision is made", "distributor updates show")
}
