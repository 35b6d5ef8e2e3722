//! `GET /api/v1/updates`: releases with their state, a page at a time.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use sealpost_admin_api::updates::{MAX_UPDATES, Update, UpdatesPage, UpdatesQuery};
use sealpost_manifests::channels::ChannelsDocument;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::ChannelName;
use sealpost_manifests::release::ReleaseId;
use sealpost_site::commands::settings::LoadPlan;
use sealpost_site::queries::{ApprovedReleases, MAX_PAGE, Recipients, Releases, VoidedReleases};
use sealpost_site::rows::{RecipientRow, ReleaseRow};
use sealpost_site::rules::leaving::Leaving as Judge;
use sealpost_site::rules::recipients::{Reach, UnderReview};
use sealpost_site::rules::release::{KnownRelease, ReleaseState};

use crate::http::Site;
use crate::http::admin::test_load::shown;
use crate::http::leaving::known;
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
    let to_come = if query.to_come.unwrap_or(false) { to_come(&site, &rows).await? } else { BTreeMap::new() };
    let (plan, now) = (site.parts.ledger.query(LoadPlan {}).await?, site.now());
    let updates = rows.into_iter().map(|row| {
        let test_load = shown(&site, &row);
        Update { test_load, ..Update::from(row).with_approvals(&plan.approvals, now) }
    });
    let updates = updates.map(|update| Update {
        offered: offered_as(&update.release, offered.as_deref()),
        to_come: to_come.get(&update.manifest).copied(),
        ..update
    });
    Ok(Json(UpdatesPage { updates: updates.collect(), next }))
}

/// How many enrolled computers are to run each approved release of a page and do not say that they do. All computers are looked
/// through once, by the rule that decides at their contact: who was not in contact since the approval counts too.
async fn to_come(site: &Site, rows: &[ReleaseRow]) -> Result<BTreeMap<Sha256Digest, u64>, ApiError> {
    let ledger = &site.parts.ledger;
    if !rows.iter().any(|row| row.state == ReleaseState::Approved) {
        return Ok(BTreeMap::new());
    }
    let approved = ledger.query(ApprovedReleases {}).await?;
    let voided = ledger.query(VoidedReleases {}).await?;
    let known = known(ledger).await?;
    let judge = Judge::new(&approved, &known, &voided);
    let is_shown = |release: &&KnownRelease| rows.iter().any(|row| row.manifest == release.manifest);
    let shown: Vec<(Sha256Digest, UnderReview)> = approved
        .iter()
        .filter(is_shown)
        .map(|release| {
            (release.manifest, UnderReview::new(release.clone(), approved.clone(), voided.clone()))
        })
        .collect();
    let mut counts: BTreeMap<Sha256Digest, u64> = shown.iter().map(|(manifest, _)| (*manifest, 0)).collect();
    let each = |row: RecipientRow| {
        // Of a computer that never enrolled nothing is to be expected.
        if row.platform.is_none() {
            return;
        }
        for (manifest, review) in &shown {
            let runs_it = row.installed.iter().any(|runs| runs.manifest == *manifest);
            if !runs_it && (review.reach(&row) == Reach::Gets || judge.goes_back_to(*manifest, &row)) {
                *counts.entry(*manifest).or_default() += 1;
            }
        }
    };
    let page = |after| Recipients { after, running: None, limit: MAX_PAGE };
    ledger.each(page, |row| row.name.clone(), each).await?;
    Ok(counts)
}

/// The channels that point to a release.
fn offered_as(release: &ReleaseId, offered: Option<&[ChannelsDocument]>) -> Option<Vec<ChannelName>> {
    let of_package = offered?.iter().filter(|offered| offered.package == release.package);
    Some(of_package.flat_map(|offered| offered.channels_of(&release.version).cloned()).collect())
}
