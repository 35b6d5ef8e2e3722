//! `POST /api/v1/clients/{name}/installer`: an install file for a computer.
//!
//! Invariants: nothing is issued for which no file can be made: it is put together first. The answer is the signature's
//! four lines and then the file.

use std::io;
use std::sync::Arc;

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt, stream};
use jiff::{SignedDuration, Timestamp};
use sealpost_admin_api::setups::{
    EXPIRES_HEADER, HOLDS_HEADER, InstallerRequest, SITE_KEY_HEADER, VOIDS_HEADER,
};
use sealpost_manifests::ids::ComputerName;
use sealpost_manifests::wire::problem::ProblemCode;
use sealpost_site::changes::Actor;
use sealpost_site::commands::clients::{HasSetup, IssueSetups, Issued, LoadSchedule, SetupWanted};
use sealpost_site::queries::ApprovedReleases;
use sealpost_site::rules::installer::{agent_for, hooks_problem, waits_too_long};
use sealpost_site::rules::setups::{days, role};
use tokio::io::AsyncReadExt;

use super::clients::{bad_name, reserved};
use super::setups::{Files, NO_STORE, holds, new_setup};
use crate::http::Site;
use crate::http::body::JsonBody;
use crate::http::payload::payload;
use crate::http::problem::ApiError;
use crate::ports::installers::{Installer, InstallerError, InstallerOrder};

/// Bytes that are sent at once.
const PART: usize = 64 * 1024;

/// Makes an install file with a new enrollment code; codes that were issued for the name before are void.
pub(crate) async fn make(
    State(site): State<Arc<Site>>,
    Extension(actor): Extension<Actor>,
    Path(name): Path<String>,
    JsonBody(request): JsonBody<InstallerRequest>,
) -> Result<Response, ApiError> {
    let InstallerRequest { platform, valid_days, role: wanted_role, has_of, not_before, config, hooks } =
        request;
    let name = ComputerName::new(name).map_err(bad_name)?;
    let (valid_days, role) = (days(valid_days)?, role(wanted_role)?);
    let files = Files::new(&site, role)?;
    let good_for = SignedDuration::from_hours(24 * i64::from(valid_days));
    let ends_at = files.now.checked_add(good_for).unwrap_or(Timestamp::MAX);
    let row = reserved(&site, name).await?;
    let ledger = &site.parts.ledger;
    let not_before = match not_before {
        Some(not_before) => Some(not_before),
        // What is planned for the computer, if that is still to come.
        None => {
            let planned = ledger.query(LoadSchedule { name: row.name.clone() }).await?.planned;
            planned.map(|planned| planned.schedule.at).filter(|at| *at > files.now)
        }
    };
    let problem = hooks_problem(hooks.iter().map(|hook| hook.name.as_str()))
        .or_else(|| waits_too_long(not_before, ends_at));
    if let Some(problem) = problem {
        return Err(problem.into());
    }
    let approved = ledger.query(ApprovedReleases {}).await?;
    let agent = agent_for(&approved, &row.channel, platform.as_ref())?;
    let payload = payload(&site, agent.manifest).await;
    let payload = payload.map_err(|error| ApiError::internal("look for the agent's release", &error))?;
    if payload.and_then(|payload| payload.place).is_none() {
        return Err(ApiError::new(
            ProblemCode::WrongState,
            format!("no install file can be made: {} is not stored here", agent.release),
            "run `distributor pull`",
        ));
    }
    // Put together first: a code that was issued for no file would only make those of before void.
    let setup = new_setup()?;
    let order = InstallerOrder {
        name: row.name.clone(),
        server: ledger.server_id(),
        agent: agent.manifest,
        platform: agent.release.platform.clone(),
        setup: files.text(&site, row.name.clone(), &setup, ends_at)?,
        config,
        hooks,
        not_before,
        made_at: files.now,
    };
    let installer = site.parts.installers.make(order).await;
    let Installer { file, signature, place } = installer.map_err(|error| not_made(&error))?;
    let held_by = holds(&site, &row.name).await?;
    let has = has_of.map(|server| HasSetup { server, expires_at: None });
    let wanted = vec![SetupWanted { name: row.name, setup, has }];
    let command = IssueSetups { actor, wanted, valid_days, again: true };
    let (expires_at, voids) = match ledger.execute(site.now(), command).await?.into_iter().next() {
        Some(Issued::New { expires_at, voids, .. }) => (expires_at, voids),
        Some(Issued::Refused { problem, .. }) => return Err(problem.into()),
        Some(Issued::Good { .. } | Issued::Enrolled { .. }) | None => {
            let other = io::Error::other("the ledger answered something else than was asked for");
            return Err(ApiError::internal("issue a setup file", &other));
        }
    };
    let length = file.metadata().map_err(|error| ApiError::internal("read an install file", &error))?.len();
    let signature = signature.as_str().to_owned();
    let whole = length.saturating_add(u64::try_from(signature.len()).unwrap_or(u64::MAX));
    let file = tokio::fs::File::from_std(file);
    let parts = stream::try_unfold((file, place), async |(mut file, place)| {
        let mut part = vec![0; PART];
        let read = file.read(&mut part).await?;
        part.truncate(read);
        Ok::<_, io::Error>((read > 0).then(|| (Bytes::from(part), (file, place))))
    });
    let body = stream::once(async { Ok(Bytes::from(signature)) }).chain(parts);
    let key = HeaderValue::from_str(&site.parts.site_key.public().to_string())
        .map_err(|error| ApiError::internal("name the site's key", &error))?;
    let ends = HeaderValue::from_str(&expires_at.to_string())
        .map_err(|error| ApiError::internal("name the end of a code", &error))?;
    let mut headers = HeaderMap::from_iter([
        (HeaderName::from_static(SITE_KEY_HEADER), key),
        (HeaderName::from_static(EXPIRES_HEADER), ends),
        (header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream")),
        (header::CONTENT_LENGTH, HeaderValue::from(whole)),
        NO_STORE,
    ]);
    if voids {
        headers.insert(VOIDS_HEADER, HeaderValue::from_static("1"));
    }
    if let Some(held_by) = held_by {
        headers.insert(HOLDS_HEADER, HeaderValue::from_static(held_by.word()));
    }
    Ok((headers, Body::from_stream(body)).into_response())
}

fn not_made(error: &InstallerError) -> ApiError {
    match error {
        InstallerError::Absent(why) => ApiError::new(
            ProblemCode::WrongState,
            format!("no install file can be made: {why}"),
            "run `distributor storage check`, which looks at what is stored, and then `distributor pull`",
        ),
        InstallerError::Busy(_) => {
            ApiError::new(ProblemCode::Busy, error.to_string(), "try again in a minute")
        }
        error => ApiError::internal("make an install file", error),
    }
}
