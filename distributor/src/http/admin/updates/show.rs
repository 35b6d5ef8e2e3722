//! `GET /api/v1/updates/{manifest}`: what a release changes, and who gets it, before anybody decides.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use sealpost_admin_api::updates::{Review, ReviewContent};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::ComputerName;
use sealpost_site::queries::{
    ApprovedReleases, KnownReleaseOf, MAX_PAGE, Recipients, ReleaseByManifest, VoidedReleases,
};
use sealpost_site::rules::recipients::UnderReview;

use crate::http::Site;
use crate::http::problem::ApiError;

/// Names in the answer; the count is always whole.
const MAX_NAMED: usize = 100;

pub(crate) async fn show(
    State(site): State<Arc<Site>>,
    Path(manifest): Path<String>,
) -> Result<Json<Review>, ApiError> {
    let digest = manifest.parse::<Sha256Digest>().map_err(|_| unknown(&manifest))?;
    let update = site.parts.ledger.query(ReleaseByManifest { manifest: digest }).await?;
    let update = update.ok_or_else(|| unknown(&manifest))?;
    let review = site
        .parts
        .staging
        .review(digest)
        .await
        .map_err(|error| ApiError::internal("read the release's manifest", &error))?;
    let content = review.map(|review| ReviewContent {
        notes: review.manifest.notes,
        built_at: review.manifest.built_at,
        category: review.manifest.category,
        security: review.manifest.security,
        supported_until: review.manifest.supported_until,
        attachments: review.manifest.attachments,
        requires: review.manifest.requires,
        files: review.manifest.files.len() as u64,
        compared_with: review.base,
        difference: review.difference,
    });
    let (recipients, recipient_count) = recipients(&site, digest).await?;
    Ok(Json(Review { update: update.into(), content, recipients, recipient_count }))
}

/// Who gets the release once it is approved: the first names, and how many they are.
async fn recipients(site: &Site, manifest: Sha256Digest) -> Result<(Vec<ComputerName>, u64), ApiError> {
    let ledger = &site.parts.ledger;
    let Some(release) = ledger.query(KnownReleaseOf { manifest }).await? else { return Ok((Vec::new(), 0)) };
    let approved = ledger.query(ApprovedReleases {}).await?;
    let under_review = UnderReview::new(release, approved, ledger.query(VoidedReleases {}).await?);
    let (mut named, mut count) = (Vec::new(), 0u64);
    let mut after = None;
    loop {
        let page = ledger.query(Recipients { after, limit: MAX_PAGE }).await?;
        let is_last = page.len() < MAX_PAGE as usize;
        after = page.last().map(|row| row.name.clone());
        for row in page.into_iter().filter(|row| under_review.reaches(row)) {
            count += 1;
            if named.len() < MAX_NAMED {
                named.push(row.name);
            }
        }
        if is_last {
            return Ok((named, count));
        }
    }
}

pub(super) fn unknown(manifest: &str) -> ApiError {
    let shown: String = manifest.chars().filter(char::is_ascii_hexdigit).take(64).collect();
    ApiError::not_found(
        format!("no update has the manifest digest {shown:?}"),
        "`distributor updates list` shows what there is; `distributor pull` looks for new ones",
    )
}
