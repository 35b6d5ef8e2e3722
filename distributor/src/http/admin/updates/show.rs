//! `GET /api/v1/updates/{manifest}`: what a release changes, and who gets it, before anybody decides.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::ComputerName;

use crate::http::Site;
use crate::http::problem::ApiError;
use crate::http::views::{ReviewContent, ReviewView};
use crate::ports::ledger::ReleaseRow;

/// Names in the answer; the count is always whole.
const MAX_NAMED: usize = 100;
/// Clients that are read at a time.
const PAGE: u32 = 500;

/// The review.
pub(crate) async fn show(
    State(site): State<Arc<Site>>,
    Path(manifest): Path<String>,
) -> Result<Json<ReviewView>, ApiError> {
    let digest = manifest.parse::<Sha256Digest>().map_err(|_| unknown(&manifest))?;
    let update = site.ledger.release(digest).await?.ok_or_else(|| unknown(&manifest))?;
    let review = site
        .staging
        .review(digest)
        .await
        .map_err(|error| ApiError::internal("read the release's manifest", &error))?;
    let content = review.map(|review| ReviewContent {
        notes: review.manifest.notes,
        built_at: review.manifest.built_at,
        requires: review.manifest.requires,
        files: review.manifest.files.len() as u64,
        compared_with: review.base,
        difference: review.difference,
    });
    let (recipients, recipient_count) = recipients(&site, &update).await?;
    Ok(Json(ReviewView { update, content, recipients, recipient_count }))
}

/// Clients of the release's channels whose platform it fits; a computer that has not come yet counts as fitting.
async fn recipients(site: &Site, update: &ReleaseRow) -> Result<(Vec<ComputerName>, u64), ApiError> {
    let (mut named, mut count) = (Vec::new(), 0u64);
    let mut after = None;
    loop {
        let page = site.ledger.clients(after, PAGE).await?;
        for client in &page {
            let fits = client.platform.as_ref().is_none_or(|platform| update.release.platform.fits(platform));
            if !fits || !update.channels.contains(&client.channel) {
                continue;
            }
            count += 1;
            if named.len() < MAX_NAMED {
                named.push(client.name.clone());
            }
        }
        match page.last() {
            Some(last) if page.len() == PAGE as usize => after = Some(last.name.clone()),
            _ => return Ok((named, count)),
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
