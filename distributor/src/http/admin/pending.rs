//! `/api/v1/pending` and `/api/v1/clients/{name}/admit`: who waits to be enrolled, and who is admitted by its key.

use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::{Extension, Json};
use sealpost_admin_api::pending::{
    AdmitAnswer, AdmitRequest, MAX_PENDING_ROWS, PendingComputer, PendingPage, PendingQuery,
};
use sealpost_keys::Fingerprint;
use sealpost_ledger::LedgerError;
use sealpost_manifests::ids::ComputerName;
use sealpost_site::changes::Actor;
use sealpost_site::commands::clients::{Admission, Admit, Admitted};
use sealpost_site::queries::Waiting;

use super::clients::bad_name;
use super::reserve::{asked_back, close, mixed};
use super::setups::new_setup;
use crate::http::Site;
use crate::http::body::JsonBody;
use crate::http::problem::{ApiError, bad_query};

/// A page of computers that wait, the first first.
pub(crate) async fn list(
    State(site): State<Arc<Site>>,
    query: Result<Query<PendingQuery>, QueryRejection>,
) -> Result<Json<PendingPage>, ApiError> {
    let Query(PendingQuery { after, limit }) = query.map_err(|error| bad_query(&error.body_text()))?;
    let limit = limit.unwrap_or(MAX_PENDING_ROWS).clamp(1, MAX_PENDING_ROWS);
    let rows = site.parts.ledger.query(Waiting { after, limit }).await?;
    let more = rows.len() >= limit as usize;
    let next = rows.last().filter(|_| more).map(|row| row.sequence);
    Ok(Json(PendingPage { pending: rows.into_iter().map(PendingComputer::new).collect(), next }))
}

/// Admits a computer by its key; the same again answers the same.
pub(crate) async fn admit(
    State(site): State<Arc<Site>>,
    Extension(actor): Extension<Actor>,
    Path(name): Path<String>,
    JsonBody(request): JsonBody<AdmitRequest>,
) -> Result<Json<AdmitAnswer>, ApiError> {
    let name = ComputerName::new(name).map_err(bad_name)?;
    let AdmitRequest { key, public_key: whole, channel, serial, mixed_scripts, similar } = request;
    if let Some((_, problem)) = asked_back(&site, [&name], close(similar)).await?.into_iter().next() {
        return Err(problem.into());
    }
    let asked = serial.clone();
    let (mixed, setup) = (mixed(mixed_scripts), new_setup()?);
    let command = Admit { actor, name, key, whole, channel, mixed, serial, setup };
    let admitted = site.parts.ledger.execute(site.now(), command).await.inspect_err(|error| {
        if let LedgerError::Refused(problem) = error {
            site.seat_refusals.note(problem, asked.as_ref(), site.now());
        }
    })?;
    let Admitted { name, client_key, admission, took, replaces } = admitted;
    let expires_at = match admission {
        Admission::Until { expires_at } => Some(expires_at),
        Admission::Used => None,
    };
    Ok(Json(AdmitAnswer { name, key: Fingerprint::of(&client_key), expires_at, took, replaces }))
}
