//! `GET /api/v1/updates/{manifest}`: what a release changes, and who gets it, before anybody decides.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use jiff::Timestamp;
use sealpost_admin_api::approvals::Wanted;
use sealpost_admin_api::rollouts::Preview;
use sealpost_admin_api::updates::{Downgrade, Leaving, Review, ReviewContent, ReviewQuery, Update};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::wire::report::ReasonCode;
use sealpost_manifests::word::Word;
use sealpost_site::commands::releases::no_such_strategy;
use sealpost_site::commands::settings::LoadPlan;
use sealpost_site::queries::{
    ApprovedReleases, KnownReleaseOf, MAX_PAGE, Recipients, ReleaseByManifest, Trying, VoidedReleases,
};
use sealpost_site::rows::{RecipientRow, ReleaseRow, TryingRow};
use sealpost_site::rules::approvals::rule::{About, demands};
use sealpost_site::rules::downgrade::{self, LeadsDown};
use sealpost_site::rules::leaving::{Leaving as Judge, Named, Runners};
use sealpost_site::rules::recipients::{Reach, UnderReview};
use sealpost_site::rules::release::ReleaseState;
use sealpost_site::rules::rollouts::links::load::travels;
use sealpost_site::rules::rollouts::plan::Plan;

use crate::http::Site;
use crate::http::admin::test_load::shown;
use crate::http::leaving::{known, leaving_of};
use crate::http::problem::{ApiError, bad_query};
use crate::http::would_be::would_be;

pub(crate) async fn show(
    State(site): State<Arc<Site>>,
    Path(manifest): Path<String>,
    query: Result<Query<ReviewQuery>, QueryRejection>,
) -> Result<Json<Review>, ApiError> {
    let Query(query) = query.map_err(|error| bad_query(&error.body_text()))?;
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
    let approved_at = update.decided.as_ref().filter(|_| update.state == ReleaseState::Approved);
    let found = computers(&site, &update, approved_at.map(|decided| decided.at)).await?;
    let test_load = shown(&site, &update);
    let preview = preview(&site, &update, query.strategy, found.bytes).await?;
    let plan = site.parts.ledger.query(LoadPlan {}).await?;
    let wanted = wanted(&update, &plan);
    Ok(Json(Review {
        wanted,
        update: Update { test_load, ..Update::from(update).with_approvals(&plan.approvals, site.now()) },
        content,
        recipients: found.recipients.names,
        recipient_count: found.recipients.count,
        reserved_count: found.reserved,
        pending_count: Some(found.pending),
        silent_count: found.silent,
        silent_since: found.silent_since,
        waiting_count: found.waiting,
        not_kept_count: not_kept(&site, digest).await?,
        runners: found.runners.names,
        runner_count: found.runners.count,
        leaving: found.leaving.map(Leaving::from),
        downgrade: found.downgrade.map(|down| Downgrade { from: down.from, computers: down.computers }),
        preview,
    }))
}

/// What the rules want before a staged release is approved for all its channels.
fn wanted(update: &ReleaseRow, plan: &Plan) -> Option<Wanted> {
    let about = About {
        package: &update.release.package,
        kind: update.kind,
        severity: update.severity,
        channels: &update.channels,
    };
    let demands = demands(&plan.settings.approvals, about);
    (update.state == ReleaseState::Staged).then(|| Wanted::new(&demands, update.staged_at))
}

/// How a staged release goes out if it is approved now: each ring with its computers.
async fn preview(
    site: &Site,
    update: &ReleaseRow,
    strategy: Option<Word>,
    bytes: u64,
) -> Result<Option<Preview>, ApiError> {
    let ledger = &site.parts.ledger;
    if update.state != ReleaseState::Staged {
        return Ok(None);
    }
    let Some(release) = ledger.query(KnownReleaseOf { manifest: update.manifest }).await? else {
        return Ok(None);
    };
    let plan = ledger.query(LoadPlan {}).await?;
    let settings = &plan.settings;
    let name = strategy.unwrap_or_else(|| settings.strategy_of(&release.release.package, release.kind));
    let rings = settings.strategy(&name).ok_or_else(|| no_such_strategy(&name, settings))?;
    let now = site.now();
    let rollout = would_be(&release, name, rings.clone(), now);
    let looks = ledger.what_if(&plan, rollout, update, now).await?;
    Ok(Some(Preview::new(name, &rings, looks, bytes, now)))
}

/// The computers that a release concerns.
#[derive(Default)]
struct Concerned {
    /// Those that get it, now or once it is approved.
    recipients: Named,
    /// How many of them never enrolled.
    reserved: u64,
    /// How many of them are enrolled and do not run it.
    pending: u64,
    /// How many of those were not in contact since the decision, and since when one of them was not at all.
    silent: u64,
    silent_since: Option<Timestamp>,
    /// How many get it only once it is approved for more channels.
    waiting: u64,
    /// Bytes that travel to all of them.
    bytes: u64,
    /// Those that said last that they run it.
    runners: Named,
    /// Those by what leads them away from it, if it was stopped.
    leaving: Option<Runners>,
    downgrade: Option<downgrade::Downgrade>,
}

impl Concerned {
    /// Takes in a computer that does not run it yet.
    fn note_silence(&mut self, last_contact: Option<Timestamp>, decided_at: Option<Timestamp>) {
        let Some(decided_at) = decided_at else { return };
        if last_contact.is_some_and(|contact| contact >= decided_at) {
            return;
        }
        let is_first = self.silent == 0;
        self.silent += 1;
        // One that was never in contact has no time, and then there is none to give.
        self.silent_since = if is_first { last_contact } else { self.silent_since.min(last_contact) };
    }
}

/// Looks through all computers once.
async fn computers(
    site: &Site,
    update: &ReleaseRow,
    decided_at: Option<Timestamp>,
) -> Result<Concerned, ApiError> {
    let (ledger, manifest) = (&site.parts.ledger, update.manifest);
    let mut found = Concerned::default();
    let Some(release) = ledger.query(KnownReleaseOf { manifest }).await? else { return Ok(found) };
    let approved = ledger.query(ApprovedReleases {}).await?;
    let mut down = LeadsDown::new(&release, &approved);
    let voided = ledger.query(VoidedReleases {}).await?;
    let known = known(ledger).await?;
    let judge = Judge::new(&approved, &known, &voided);
    let under_review = UnderReview::new(release.clone(), approved.clone(), voided.clone());
    // What was stopped reaches nobody, whatever it would reach.
    let stopped = matches!(release.state, ReleaseState::Halted | ReleaseState::Withdrawn);
    let each = |row: RecipientRow| {
        let runs_it = row.installed.iter().any(|runs| runs.manifest == manifest);
        if runs_it {
            found.runners.add(&row.name);
        }
        if stopped {
            return;
        }
        // Who is told to go back to it is to run it as well, although it never gets it as an install.
        if !runs_it && judge.goes_back_to(manifest, &row) {
            found.recipients.add(&row.name);
            found.pending += 1;
            return;
        }
        match under_review.reach(&row) {
            Reach::Gets => {
                found.recipients.add(&row.name);
                down.recipient(&row);
                // Of a computer that never enrolled no platform is known.
                let is_enrolled = row.platform.is_some();
                found.reserved += u64::from(!is_enrolled);
                if is_enrolled && !runs_it {
                    found.pending += 1;
                    found.bytes = found.bytes.saturating_add(travels(
                        update.payload_bytes,
                        &update.deltas,
                        &row.installed,
                    ));
                    found.note_silence(row.last_contact, decided_at);
                }
            }
            Reach::OnceApproved => {
                found.waiting += 1;
                down.recipient(&row);
            }
            Reach::Not => {}
        }
    };
    let page = |after| Recipients { after, running: None, limit: MAX_PAGE };
    ledger.each(page, |row| row.name.clone(), each).await?;
    found.downgrade = down.finish();
    if stopped {
        found.leaving = Some(leaving_of(ledger, manifest).await?);
    }
    Ok(found)
}

/// How many computers reported last that they do not keep the release.
async fn not_kept(site: &Site, manifest: Sha256Digest) -> Result<u64, ApiError> {
    let mut count = 0;
    let page = |after| Trying { manifests: vec![manifest], after, limit: MAX_PAGE };
    let each = |row: TryingRow| {
        let mut reports = row.last_reports.iter();
        count += u64::from(reports.any(|report| report.reason == ReasonCode::NotKept));
    };
    site.parts.ledger.each(page, |row| row.name.clone(), each).await?;
    Ok(count)
}

pub(super) fn unknown(manifest: &str) -> ApiError {
    let shown: String = manifest.chars().filter(char::is_ascii_hexdigit).take(64).collect();
    ApiError::not_found(
        format!("no update has the manifest digest {shown:?}"),
        "`distributor updates list` shows what there is; `distributor pull` looks for new ones",
    )
}
