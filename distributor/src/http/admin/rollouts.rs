//! `/api/v1/rollouts`: how releases go out, and what a person does about that.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::{Extension, Json};
use sealpost_admin_api::approvals::Waiting;
use sealpost_admin_api::rollouts::{
    Delivered, DeliveredPage, DeliveredQuery, MAX_DELIVERED, MAX_EXPLAINED, MAX_ROLLOUTS, Rollout,
    RolloutsPage, RolloutsQuery, SteerRequest, What,
};
use sealpost_ledger::LedgerError;
use sealpost_site::changes::Actor;
use sealpost_site::commands::rollouts::{AdvancingFacts, LoadAdvance, Steer, SteerRollout};
use sealpost_site::commands::settings::LoadPlan;
use sealpost_site::queries::{DeliveriesOf, ReleaseByManifest, RolloutByNumber, Rollouts};
use sealpost_site::rules::approvals::proposal::{Proposal, Proposed};
use sealpost_site::rules::release::is_mandatory;
use sealpost_site::rules::rollouts::links::load::LinkLoad;
use sealpost_site::rules::rollouts::progress::{self, AdvanceFacts, Population, RolloutState, advance};
use sealpost_site::rules::rollouts::strategy::Takes;

use super::clients::explained;
use crate::http::Site;
use crate::http::body::JsonBody;
use crate::http::problem::{ApiError, bad_query};

/// A page of the list. Nobody looks at all computers for it.
pub(crate) async fn list(
    State(site): State<Arc<Site>>,
    query: Result<Query<RolloutsQuery>, QueryRejection>,
) -> Result<Json<RolloutsPage>, ApiError> {
    let Query(query) = query.map_err(|error| bad_query(&error.body_text()))?;
    let limit = query.limit.unwrap_or(MAX_ROLLOUTS).clamp(1, MAX_ROLLOUTS);
    let (before, open) = (query.before, query.open.unwrap_or(false));
    let rows = site.parts.ledger.query(Rollouts { before, open, limit }).await?;
    let more = rows.len() >= limit as usize;
    let next = rows.last().filter(|_| more).map(|row| row.number);
    let others = others(&site, &rows).await?;
    let rollouts = rows.iter().map(|row| shown(&site, row, None, &others)).collect();
    Ok(Json(RolloutsPage { rollouts, next }))
}

pub(crate) async fn show(
    State(site): State<Arc<Site>>,
    Path(number): Path<String>,
) -> Result<Json<Rollout>, ApiError> {
    let rollout = found(&site, &number).await?;
    view(&site, &rollout).await.map(Json).map_err(ApiError::from)
}

/// A page of the computers that were told.
pub(crate) async fn report(
    State(site): State<Arc<Site>>,
    Path(number): Path<String>,
    query: Result<Query<DeliveredQuery>, QueryRejection>,
) -> Result<Json<DeliveredPage>, ApiError> {
    let Query(query) = query.map_err(|error| bad_query(&error.body_text()))?;
    let rollout = found(&site, &number).await?;
    let is_first = query.after.is_none();
    let limit = query.limit.unwrap_or(MAX_DELIVERED).clamp(1, MAX_DELIVERED);
    let rows =
        site.parts.ledger.query(DeliveriesOf { rollout: rollout.number, after: query.after, limit }).await?;
    let more = rows.len() >= limit as usize;
    let next = rows.last().filter(|_| more).map(|row| row.name.clone());
    let mut computers: Vec<Delivered> = rows.into_iter().map(Delivered::from).collect();
    if is_first {
        explain_some(&site, &rollout, &mut computers).await?;
    }
    Ok(Json(DeliveredPage { computers, next }))
}

/// The first ones that have not finished say what they wait for. Of all of them it would be a look at the whole fleet.
async fn explain_some(
    site: &Site,
    rollout: &progress::Rollout,
    computers: &mut [Delivered],
) -> Result<(), ApiError> {
    let under_way = computers.iter_mut().filter(|one| one.state.is_under_way());
    for one in under_way.take(MAX_EXPLAINED) {
        let Some((_, explanations)) = explained(site, &one.computer).await? else { continue };
        one.why = explanations.into_iter().find(|found| found.package == rollout.release.package);
    }
    Ok(())
}

/// A person does something with a rollout; again the same answers the same.
pub(crate) async fn steer(
    State(site): State<Arc<Site>>,
    Extension(actor): Extension<Actor>,
    Path(number): Path<String>,
    JsonBody(request): JsonBody<SteerRequest>,
) -> Result<Json<Rollout>, ApiError> {
    let rollout = found(&site, &number).await?;
    let number = rollout.number;
    let SteerRequest { what, comment } = request;
    let what = match what {
        What::Pause => Steer::Pause,
        What::Resume => Steer::Resume,
        What::Next { ring } => Steer::Next { ring, populations: looked_at(&site, &rollout, ring).await? },
        What::Abort { roll_back } => Steer::Abort { roll_back },
        What::Edit { strategy, emergency } => Steer::Edit { strategy, emergency },
    };
    site.parts
        .ledger
        .execute(site.now(), SteerRollout { actor, number, what, comment, confirms: None })
        .await?;
    let unread = |error| ApiError::done_but_unread(&error, "it is done", "distributor rollouts show");
    let after = site.parts.ledger.query(RolloutByNumber { number }).await.map_err(unread)?;
    let after = after.ok_or_else(|| unknown(&number.to_string()))?;
    view(&site, &after).await.map(Json).map_err(unread)
}

/// A ring that takes the first computers is opened by a look at all of them.
pub(super) async fn looked_at(
    site: &Site,
    rollout: &progress::Rollout,
    ring: u32,
) -> Result<Option<Vec<Population>>, LedgerError> {
    let ring = usize::try_from(ring).ok().and_then(|ring| rollout.strategy.rings().get(ring));
    if !ring.is_some_and(|ring| matches!(ring.takes, Takes::First(_))) {
        return Ok(None);
    }
    populations(site, rollout).await.map(Some)
}

async fn populations(site: &Site, rollout: &progress::Rollout) -> Result<Vec<Population>, LedgerError> {
    let ledger = &site.parts.ledger;
    let plan = ledger.query(LoadPlan {}).await?;
    let mut found = ledger.survey(&plan, std::slice::from_ref(rollout), site.now()).await?;
    Ok(found.remove(&rollout.number).unwrap_or_default())
}

/// One rollout, with a look at all computers while it can go on.
async fn view(site: &Site, rollout: &progress::Rollout) -> Result<Rollout, LedgerError> {
    let (populations, links) = match rollout.state {
        RolloutState::Completed => (None, still_to_travel(site, rollout).await?),
        state if state.has_ended() => (None, Vec::new()),
        _ => {
            let (populations, links) = looked_at_with_links(site, rollout).await?;
            (Some(populations), links)
        }
    };
    let others = others(site, std::slice::from_ref(rollout)).await?;
    let plan = site.parts.ledger.query(LoadPlan {}).await?;
    let is_about = |proposal: &&Proposal| matches!(&proposal.what, Proposed::SteerRollout { rollout: number, .. } if *number == rollout.number);
    let proposal = plan.approvals.open(site.now()).find(is_about).map(Waiting::from);
    Ok(Rollout { proposal, links, ..shown(site, rollout, populations.as_deref(), &others) })
}

/// What computers still download of a release that all of them get. Nobody looks at them where no link is set.
async fn still_to_travel(site: &Site, rollout: &progress::Rollout) -> Result<Vec<LinkLoad>, LedgerError> {
    let plan = site.parts.ledger.query(LoadPlan {}).await?;
    if plan.settings.links.is_empty() {
        return Ok(Vec::new());
    }
    Ok(looked_at_with_links(site, rollout).await?.1)
}

async fn looked_at_with_links(
    site: &Site,
    rollout: &progress::Rollout,
) -> Result<(Vec<Population>, Vec<LinkLoad>), LedgerError> {
    let ledger = &site.parts.ledger;
    let plan = ledger.query(LoadPlan {}).await?;
    match ledger.query(ReleaseByManifest { manifest: rollout.manifest }).await? {
        Some(release) => ledger.survey_with_links(&plan, rollout, &release, site.now()).await,
        None => Ok((populations(site, rollout).await?, Vec::new())),
    }
}

/// The rollouts by which others may be overtaken.
async fn others(site: &Site, shown: &[progress::Rollout]) -> Result<AdvancingFacts, LedgerError> {
    if !shown.iter().any(|rollout| rollout.state == RolloutState::Running) {
        return Ok(AdvancingFacts::default());
    }
    site.parts.ledger.query(LoadAdvance { now: site.now(), after: BTreeMap::new() }).await
}

fn shown(
    site: &Site,
    rollout: &progress::Rollout,
    populations: Option<&[Population]>,
    others: &AdvancingFacts,
) -> Rollout {
    let passed_through = is_mandatory(&rollout.manifest, &others.releases);
    let overtaken_by = rollout.overtaken_by(&others.rollouts).filter(|_| !passed_through);
    let facts = AdvanceFacts { populations, overtaken_by };
    Rollout::new(rollout, advance(rollout, &facts).err(), populations, site.now())
}

async fn found(site: &Site, number: &str) -> Result<progress::Rollout, ApiError> {
    let parsed: u64 = number.parse().map_err(|_| unknown(number))?;
    let rollout = site.parts.ledger.query(RolloutByNumber { number: parsed }).await?;
    rollout.ok_or_else(|| unknown(number))
}

fn unknown(number: &str) -> ApiError {
    let shown: String = number.chars().filter(char::is_ascii_digit).take(20).collect();
    ApiError::not_found(format!("there is no rollout {shown}"), "`distributor rollouts list` shows all")
}
