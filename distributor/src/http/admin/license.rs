//! `POST /api/v1/register` and `…/unlock`: from a serial number to seats.
//!
//! Invariant: a grant counts when a license key of the vendor's TUF-verified trust document signed it, and it names
//! this server and this site key. It does not matter by which way it came.

use std::sync::Arc;

use axum::extract::State;
use axum::{Extension, Json};
use sealpost_admin_api::licenses::{
    License, RegisterRequest, RegisterWay, Registered, UnlockRequest, Unlocked,
};
use sealpost_keys::Verified;
use sealpost_keys::token::random_bytes;
use sealpost_manifests::document::{DocumentError, SignedDocument};
use sealpost_manifests::grant::{Grant, Registration, RegistrationReason};
use sealpost_manifests::ids::{RequestId, SerialNumber};
use sealpost_manifests::text_code;
use sealpost_manifests::wire::problem::ProblemCode;
use sealpost_manifests::wire::sync;
use sealpost_site::changes::Actor;
use sealpost_site::commands::licenses::{AcceptGrant, GrantAnswer, RegisterSerial};
use sealpost_site::queries::{Licenses, Restores};
use sealpost_site::rules::grants::seats_said;

use crate::http::Site;
use crate::http::body::JsonBody;
use crate::http::problem::ApiError;
use crate::ports::authority::AuthorityError;

/// Makes a registration; online the vendor answers with the grant at once.
pub(crate) async fn register(
    State(site): State<Arc<Site>>,
    Extension(actor): Extension<Actor>,
    JsonBody(request): JsonBody<RegisterRequest>,
) -> Result<Json<Registered>, ApiError> {
    let serial = request.serial;
    let site_key = site.parts.site_key.public();
    let registration = registration(&site, serial.clone(), request.reason).await?;
    let (reason, request_id) = (registration.reason, registration.request_id.clone());
    let registration = SignedDocument::sign(&registration, &site.parts.site_key)
        .map_err(|error| ApiError::internal("sign the registration", &error))?;
    let command = RegisterSerial { actor: actor.clone(), serial: serial.clone(), reason, request_id };
    site.parts.ledger.execute(site.now(), command).await?;
    let code = text_code::encode(&registration);
    if request.way == RegisterWay::Offline {
        return Ok(Json(Registered::Code { code, reason: None }));
    }
    match site.parts.authority.register(sync::RegisterRequest { site_key, registration }).await {
        Ok(answer) => {
            let Accepted { license, answer: accepted, seats_before } =
                accept(&site, actor, answer.grant, Some(serial)).await?;
            let ends = accepted.came.said(Some(reason), answer.renewable_from, site.now());
            let seats = seats_said(seats_before, license.licenses, license.used, Some(reason));
            let (unconfirmed, notice) = (accepted.unconfirmed, both(seats, ends));
            Ok(Json(Registered::Granted { license, unconfirmed, notice, seats_before }))
        }
        Err(error @ AuthorityError::Unreachable { .. }) => {
            Ok(Json(Registered::Code { code, reason: Some(error.to_string()) }))
        }
        Err(AuthorityError::Refused(problem)) => Err(problem.into()),
    }
}

/// What the vendor is told: who asks, why, how many seats are in use, and the head of the log, which it witnesses.
async fn registration(
    site: &Site,
    serial: SerialNumber,
    reason: Option<RegistrationReason>,
) -> Result<Registration, ApiError> {
    let ledger = &site.parts.ledger;
    if let Err(damage) = ledger.token_changes() {
        return Err(ApiError::new(
            ProblemCode::WrongState,
            format!("the log is damaged at entry {}: no grant can confirm it", damage.sequence),
            "run `distributor log verify`, and restore a backup",
        ));
    }
    let licenses = ledger.query(Licenses {}).await?;
    let restore = ledger.query(Restores {}).await?;
    let known = licenses.iter().any(|license| license.serial == serial);
    let reason = match reason {
        _ if restore.unconfirmed().is_some() => RegistrationReason::Restored,
        Some(RegistrationReason::Restored) => {
            return Err(ApiError::new(
                ProblemCode::WrongState,
                "there is no restore that the vendor has to confirm",
                "register without a reason",
            ));
        }
        Some(reason) => reason,
        None if known => RegistrationReason::Renew,
        None => RegistrationReason::First,
    };
    let granted = licenses.iter().map(|license| license.epoch).max().unwrap_or_default();
    let epoch = restore.restored.map_or(granted, |restored| granted.max(restored.epoch));
    let random = random_bytes::<16>().map_err(|error| ApiError::internal("draw a request id", &error))?;
    Ok(Registration {
        request_id: RequestId::from_random(random),
        serial,
        server_id: ledger.server_id(),
        site_key: site.parts.site_key.public(),
        sealing_key: site.parts.sealing_key,
        reason,
        epoch,
        ledger_head: ledger.head(),
        used: licenses.into_iter().map(|license| (license.serial, license.used)).collect(),
    })
}

/// Accepts an unlock code, or a grant file.
pub(crate) async fn unlock(
    State(site): State<Arc<Site>>,
    Extension(actor): Extension<Actor>,
    JsonBody(request): JsonBody<UnlockRequest>,
) -> Result<Json<Unlocked>, ApiError> {
    let grant = read(&request.code)?;
    let Accepted { license, answer, seats_before } = accept(&site, actor, grant, None).await?;
    let ends = answer.came.said(None, None, site.now());
    let seats = seats_said(seats_before, license.licenses, license.used, None);
    let (unconfirmed, notice) = (answer.unconfirmed, both(seats, ends));
    Ok(Json(Unlocked { license, unconfirmed, notice, seats_before }))
}

/// Two notices in one line.
fn both(seats: Option<String>, ends: Option<String>) -> Option<String> {
    match (seats, ends) {
        (Some(seats), Some(ends)) => Some(format!("{seats}; {ends}")),
        (seats, ends) => seats.or(ends),
    }
}

/// A grant that was accepted, and what there was before.
struct Accepted {
    license: License,
    answer: GrantAnswer,
    seats_before: Option<u32>,
}

fn read(code: &str) -> Result<SignedDocument, ApiError> {
    let bad = |why: String| {
        ApiError::new(
            ProblemCode::BadRequest,
            format!("cannot read the unlock code: {why}"),
            "copy the whole code again",
        )
    };
    if code.trim_start().starts_with('{') {
        return serde_json::from_str(code).map_err(|error| bad(error.to_string()));
    }
    text_code::decode(code).map_err(|error| bad(error.to_string()))
}

async fn accept(
    site: &Site,
    actor: Actor,
    document: SignedDocument,
    asked_for: Option<SerialNumber>,
) -> Result<Accepted, ApiError> {
    let grant = verified(site, &document).await?.into_inner();
    let serial = grant.serial.clone();
    let ledger = &site.parts.ledger;
    let before = ledger.query(Licenses {}).await?;
    let seats_before = before.iter().find(|row| row.serial == serial).map(|row| row.licenses);
    let answer = ledger.execute(site.now(), AcceptGrant { actor, grant, document, asked_for }).await?;
    site.adopt_time().await;
    let licenses = ledger
        .query(Licenses {})
        .await
        .map_err(|error| ApiError::done_but_unread(&error, "the grant is accepted", "distributor status"))?;
    let license = licenses.into_iter().find(|row| row.serial == serial);
    license.map(|license| Accepted { license: license.into(), answer, seats_before }).ok_or_else(|| {
        ApiError::new(
            ProblemCode::Internal,
            "the accepted grant is not in the ledger",
            "run `distributor log verify`",
        )
    })
}

/// Verified with the license keys that the vendor's trust document lists. They may be newer than the last pull, so
/// there is one more pull before a signature is refused.
async fn verified(site: &Site, document: &SignedDocument) -> Result<Verified<Grant>, ApiError> {
    if let Some(trust) = site.parts.upstream.trust()
        && let Ok(grant) = document.verify::<Grant>(&trust.license_keys(document.digest()))
    {
        return Ok(grant);
    }
    let pulled = site.parts.upstream.pull_now().await;
    let Some(trust) = site.parts.upstream.trust() else {
        return Err(match pulled {
            Err(problem) => {
                let message = format!(
                    "cannot check the grant, because the vendor's list of license keys was never pulled: {}",
                    problem.message
                );
                ApiError::new(problem.code, message, problem.hint)
            }
            Ok(_) => refused("the vendor publishes no trust document", "ask the vendor"),
        });
    };
    document.verify::<Grant>(&trust.license_keys(document.digest())).map_err(|error| match error {
        DocumentError::Signature { source, .. } => refused(
            &format!("no license key of the vendor signed the grant: {source}"),
            "ask the vendor for a new unlock code; if keys were renewed, pull first",
        ),
        other => {
            refused(&format!("the grant cannot be accepted: {other}"), "ask the vendor for a new unlock code")
        }
    })
}

fn refused(message: &str, hint: &str) -> ApiError {
    ApiError::new(ProblemCode::GrantRefused, message, hint)
}
