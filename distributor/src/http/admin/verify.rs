//! `POST /api/v1/clients/verify`: calls computers, and waits until they came.
//!
//! A call is the wake that every agent knows: it makes a contact, and with that its license is verified. Invariant: the wait is
//! bounded, and few wait at once; a place is kept for a while also by who does not wait, so that nobody calls computers and reads
//! their rows without a pause; a contact that is only repeated counts for nobody.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use jiff::Timestamp;
use sealpost_admin_api::verifying::{
    MAX_VERIFIED, MAX_WAIT_SECS, VerifiedComputer, VerifiedMany, VerifyOutcome, VerifyRequest, WAIT_SECS,
};
use sealpost_ledger::Ledger;
use sealpost_manifests::ids::{ComputerName, SerialNumber};
use sealpost_manifests::wire::problem::ProblemCode;
use sealpost_site::queries::{ClientLineByName, Licenses};
use sealpost_site::rows::ClientLineRow;
use sealpost_site::rules::names::canonical;
use sealpost_site::rules::seats::all_ended;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, sleep, timeout_at};

use crate::http::Site;
use crate::http::body::JsonBody;
use crate::http::heard::Listening;
use crate::http::problem::ApiError;

/// For how long a call keeps its place at the least, however soon it is answered.
const LEAST: Duration = Duration::from_secs(3);
/// When to come again who finds that too many wait.
const COME_AGAIN: Duration = Duration::from_secs(5);

/// Calls the computers that listen, and answers for each whether it came, or since when it is silent.
pub(crate) async fn verify(
    State(site): State<Arc<Site>>,
    JsonBody(request): JsonBody<VerifyRequest>,
) -> Result<Json<VerifiedMany>, ApiError> {
    let wait = checked(&request)?;
    let place = Arc::clone(&site.verifying).try_acquire_owned().map_err(|_| {
        let hint = "try again in some seconds";
        ApiError::new(ProblemCode::Busy, "others wait for computers just now, and no more may", hint)
            .retry_after(COME_AGAIN)
    })?;
    let _place = kept(place);
    let ledger = &site.parts.ledger;
    let mut rows: Vec<(ComputerName, Option<ClientLineRow>)> = Vec::new();
    for name in request.names {
        let row = line(ledger, &name).await?;
        rows.push((row.as_ref().map_or(name, |row| row.name.clone()), row));
    }
    let callable = rows.iter().filter(|(_, row)| row.as_ref().is_some_and(|row| row.forked == Some(false)));
    let callable: BTreeSet<ComputerName> = callable.map(|(name, _)| name.clone()).collect();
    // First, so that no contact is missed that the call brings.
    let listening = site.heard.listen();
    let called = site.parts.push.call(&callable);
    let came = came(listening, called.clone(), Instant::now() + wait).await;
    let mut looked_again: BTreeMap<&ComputerName, Option<ClientLineRow>> = BTreeMap::new();
    for name in &callable {
        looked_again.insert(name, ledger.query(ClientLineByName { name: name.clone() }).await?);
    }
    let licenses = ledger.query(Licenses {}).await?;
    let now = site.now();
    let ended = |serial: &SerialNumber| {
        let license = licenses.iter().find(|license| license.serial == *serial)?;
        license.ends_at.filter(|end| *end < now)
    };
    let computers = rows.iter().map(|(name, before)| {
        let now = looked_again.get(name).and_then(Option::as_ref).or(before.as_ref());
        VerifiedComputer {
            name: name.clone(),
            outcome: outcome(before.as_ref(), now, came.contains(name)),
            last_contact: now.and_then(|row| row.last_contact),
            lease_until: now.and_then(|row| row.lease_until),
            serial_ended: now.and_then(|row| all_ended(&row.serials, ended)),
            listens: called.contains(name),
        }
    });
    Ok(Json(VerifiedMany { computers: computers.collect() }))
}

/// A place that is given back with the last of its two holders: the request, and a while.
fn kept(place: OwnedSemaphorePermit) -> Arc<OwnedSemaphorePermit> {
    let place = Arc::new(place);
    let held = Arc::clone(&place);
    tokio::spawn(async move {
        sleep(LEAST).await;
        drop(held);
    });
    place
}

fn checked(request: &VerifyRequest) -> Result<Duration, ApiError> {
    if request.names.is_empty() || request.names.len() > MAX_VERIFIED {
        return Err(ApiError::new(
            ProblemCode::BadRequest,
            format!("cannot verify {} computers at once", request.names.len()),
            format!("name 1 to {MAX_VERIFIED}, and the others after them"),
        ));
    }
    let wait_secs = request.wait_secs.unwrap_or(WAIT_SECS);
    if wait_secs > MAX_WAIT_SECS {
        return Err(ApiError::new(
            ProblemCode::BadRequest,
            format!("cannot wait {wait_secs} seconds for computers"),
            format!("wait {MAX_WAIT_SECS} seconds at the most"),
        ));
    }
    Ok(Duration::from_secs(wait_secs.into()))
}

/// The line of a name, in whatever spelling.
async fn line(ledger: &Ledger, name: &ComputerName) -> Result<Option<ClientLineRow>, ApiError> {
    if let Some(row) = ledger.query(ClientLineByName { name: name.clone() }).await? {
        return Ok(Some(row));
    }
    // A dot at the end is the same name; an older ledger may hold a name with one.
    Ok(ledger.query(ClientLineByName { name: canonical(name) }).await?)
}

/// Which of these came until then. Where some were missed, the ledger says more.
async fn came(
    mut listening: Listening,
    mut waits_for: BTreeSet<ComputerName>,
    until: Instant,
) -> BTreeSet<ComputerName> {
    let mut came = BTreeSet::new();
    while !waits_for.is_empty() {
        let Ok(heard) = timeout_at(until, listening.next()).await else { break };
        if let Some(name) = heard
            && waits_for.remove(&name)
        {
            came.insert(name);
        }
    }
    came
}

/// What became of a name that stood so before the call, and stands so now.
fn outcome(before: Option<&ClientLineRow>, now: Option<&ClientLineRow>, came: bool) -> VerifyOutcome {
    let contact = |row: Option<&ClientLineRow>| row.and_then(|row| row.last_contact);
    let is_later = |one: Option<Timestamp>, other: Option<Timestamp>| one > other;
    match now.map(|row| row.forked) {
        None => VerifyOutcome::NotReserved,
        Some(None) => VerifyOutcome::NotEnrolled,
        Some(Some(true)) => VerifyOutcome::TwoComputers,
        Some(Some(false)) if came || is_later(contact(now), contact(before)) => VerifyOutcome::Verified,
        Some(Some(false)) => VerifyOutcome::Silent,
    }
}
