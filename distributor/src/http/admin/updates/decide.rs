//! `POST /api/v1/updates/approve` and `…/reject`: a person decides, and names the digest that was shown to them.
//!
//! Whom an approval concerns is woken by `push`, which follows the log: so it is the same whoever approved.

use std::sync::Arc;

use axum::extract::State;
use axum::{Extension, Json};
use sealpost_admin_api::updates::{ApproveRequest, RejectRequest, Update};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_site::changes::Actor;
use sealpost_site::commands::releases::{ApproveRelease, RejectRelease};
use sealpost_site::queries::ReleaseByManifest;

use super::show::unknown;
use crate::http::Site;
use crate::http::body::JsonBody;
use crate::http::problem::ApiError;

/// Approves; again with the same digest answers the same.
pub(crate) async fn approve(
    State(site): State<Arc<Site>>,
    Extension(actor): Extension<Actor>,
    JsonBody(request): JsonBody<ApproveRequest>,
) -> Result<Json<Update>, ApiError> {
    let ApproveRequest { manifest, comment } = request;
    let command = ApproveRelease { actor, manifest, trust: site.parts.upstream.trust(), comment };
    site.parts.ledger.execute(site.now(), command).await?;
    decided(&site, manifest).await
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

async fn decided(site: &Site, manifest: Sha256Digest) -> Result<Json<Update>, ApiError> {
    let row = site.parts.ledger.query(ReleaseByManifest { manifest }).await.map_err(|error| {
        ApiError::done_but_unread(&error, "the decision is made", "distributor updates show")
    })?;
    Ok(Json(row.ok_or_else(|| unknown(&manifest.to_string()))?.into()))
}
