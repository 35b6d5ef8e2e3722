//! `POST /api/v1/updates/approve` and `…/reject`: a person decides, and names the digest that was shown to them.
//!
//! Whom an approval concerns is woken by `push`, which follows the log: so it is the same whoever approved.

use std::sync::Arc;

use axum::extract::State;
use axum::{Extension, Json};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::wire::problem::ProblemCode;

use crate::domain::activity::Actor;
use crate::http::Site;
use crate::http::body::JsonBody;
use crate::http::problem::ApiError;
use crate::http::views::{ApproveRequest, RejectRequest};
use crate::ports::ledger::{ReleaseRow, ReleaseState};

/// Longest reason, in bytes.
const MAX_REASON_BYTES: usize = 2 * 1024;

/// Approves; again with the same digest answers the same.
pub(crate) async fn approve(
    State(site): State<Arc<Site>>,
    Extension(actor): Extension<Actor>,
    JsonBody(request): JsonBody<ApproveRequest>,
) -> Result<Json<ReleaseRow>, ApiError> {
    signer_is_trusted(&site, request.manifest).await?;
    Ok(Json(site.ledger.approve(actor, site.now(), request.manifest).await?))
}

/// The vendor may have revoked a key since the release was staged; then every agent would refuse it.
async fn signer_is_trusted(site: &Site, manifest: Sha256Digest) -> Result<(), ApiError> {
    let staged = site.ledger.release(manifest).await?.filter(|row| row.state == ReleaseState::Staged);
    let Some(row) = staged else { return Ok(()) };
    let keys = site.upstream.trust().map(|trust| trust.release_keys(&row.release.package));
    if row.signer.as_ref().is_some_and(|signer| keys.iter().flatten().any(|key| key == signer)) {
        return Ok(());
    }
    Err(ApiError::new(
        ProblemCode::BadSignature,
        format!(
            "cannot approve {}: the vendor's trust document no longer lists the key that signed it",
            row.release
        ),
        "pull again; if it stays, reject the release, and ask the vendor for one that is signed anew",
    ))
}

/// Rejects.
pub(crate) async fn reject(
    State(site): State<Arc<Site>>,
    Extension(actor): Extension<Actor>,
    JsonBody(request): JsonBody<RejectRequest>,
) -> Result<Json<ReleaseRow>, ApiError> {
    let reason = request.reason.trim().to_owned();
    if reason.is_empty() || reason.len() > MAX_REASON_BYTES {
        return Err(ApiError::new(
            ProblemCode::BadRequest,
            format!("a rejection needs a reason of 1 to {MAX_REASON_BYTES} bytes"),
            "say in one sentence why, for whoever reads the log later",
        ));
    }
    Ok(Json(site.ledger.reject(actor, site.now(), request.manifest, reason).await?))
}
