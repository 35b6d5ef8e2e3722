//! `/api/v1/schedules`, `/api/v1/clients/{name}/schedule` and `/api/v1/clients/{name}/install`: installs at a time.
//!
//! Invariant: this server plans and counts, and installs nothing: it has no credential, and is asked for none.

use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::{Extension, Json};
use sealpost_admin_api::schedules::{
    InstallAnswer, InstallRequest, MAX_SCHEDULES, ScheduleLine, ScheduleRequest, Scheduled, SchedulesPage,
    SchedulesQuery,
};
use sealpost_manifests::ids::ComputerName;
use sealpost_manifests::wire::problem::ProblemCode;
use sealpost_site::changes::Actor;
use sealpost_site::commands::clients::{
    CallOff, ClaimInstall, Claimed, LoadSchedule, NoteInstall, PlanInstall,
};
use sealpost_site::queries::Schedules;
use sealpost_site::rules::schedule::InstallOutcome;

use super::clients::{bad_name, reserved};
use crate::http::Site;
use crate::http::body::JsonBody;
use crate::http::problem::{ApiError, bad_query};

/// Plans an install, or calls it off.
pub(crate) async fn plan(
    State(site): State<Arc<Site>>,
    Extension(actor): Extension<Actor>,
    Path(name): Path<String>,
    JsonBody(request): JsonBody<ScheduleRequest>,
) -> Result<Json<Scheduled>, ApiError> {
    let name = ComputerName::new(name).map_err(bad_name)?;
    let name = reserved(&site, name).await?.name;
    let (ledger, now) = (&site.parts.ledger, site.now());
    match request.schedule {
        Some(schedule) => {
            ledger.execute(now, PlanInstall { actor, name: name.clone(), schedule }).await?;
        }
        None => ledger.execute(now, CallOff { actor, name: name.clone() }).await?,
    }
    let planned = ledger.query(LoadSchedule { name }).await.map_err(|error| {
        ApiError::done_but_unread(&error, "the plan is changed", "distributor clients schedules")
    })?;
    let schedule = planned.planned.map(|row| ScheduleLine::new(row, now));
    Ok(Json(Scheduled { site_key: site.parts.site_key.public(), schedule }))
}

/// A page of what is planned.
pub(crate) async fn list(
    State(site): State<Arc<Site>>,
    query: Result<Query<SchedulesQuery>, QueryRejection>,
) -> Result<Json<SchedulesPage>, ApiError> {
    let Query(SchedulesQuery { after, limit }) = query.map_err(|error| bad_query(&error.body_text()))?;
    let limit = limit.unwrap_or(MAX_SCHEDULES).clamp(1, MAX_SCHEDULES);
    let now = site.now();
    let rows = site.parts.ledger.query(Schedules { after, limit }).await?;
    let more = rows.len() >= limit as usize;
    let next = rows.last().filter(|_| more).map(|row| row.name.clone());
    let schedules = rows.into_iter().map(|row| ScheduleLine::new(row, now)).collect();
    Ok(Json(SchedulesPage { site_key: site.parts.site_key.public(), now, schedules, next }))
}

/// Begins a try, or notes its end.
pub(crate) async fn install(
    State(site): State<Arc<Site>>,
    Extension(actor): Extension<Actor>,
    Path(name): Path<String>,
    JsonBody(request): JsonBody<InstallRequest>,
) -> Result<Json<InstallAnswer>, ApiError> {
    let InstallRequest { attempt, outcome, reason } = request;
    let name = ComputerName::new(name).map_err(bad_name)?;
    let name = reserved(&site, name).await?.name;
    let (ledger, now) = (&site.parts.ledger, site.now());
    match (attempt, outcome) {
        (None, None) => {
            let Claimed { attempt, schedule } =
                ledger.execute(now, ClaimInstall { actor, name: name.clone() }).await?;
            Ok(Json(InstallAnswer { name, attempt, schedule: Some(schedule) }))
        }
        (Some(attempt), Some(outcome)) if outcome != InstallOutcome::Started => {
            let command = NoteInstall { actor, name: name.clone(), attempt, outcome, reason };
            ledger.execute(now, command).await?;
            Ok(Json(InstallAnswer { name, attempt, schedule: None }))
        }
        _ => Err(ApiError::new(
            ProblemCode::BadRequest,
            "an install cannot be begun and ended at once",
            "send neither `attempt` nor `outcome` to begin one, and both with what became of it",
        )),
    }
}
