//! `POST /agent/v1/enroll`: a computer binds its key to its reservation.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};
use jiff::Timestamp;
use sealpost_keys::token::random_bytes;
use sealpost_manifests::ids::{ClientId, SetupId};
use sealpost_manifests::wire::enroll::{self, EnrollAnswer, EnrollRequest, Enrollment};
use sealpost_manifests::wire::problem::ProblemCode;
use sealpost_serving::Peer;
use sealpost_site::commands::clients::Enroll;
use sealpost_site::queries::SetupOf;
use sealpost_site::rules::enrollment::{SetupState, wrong_server};

use super::{access_token, copy, sign};
use crate::http::Site;
use crate::http::admission::too_many_failures;
use crate::http::asker::Asker;
use crate::http::body::JsonBody;
use crate::http::problem::ApiError;
use crate::http::token::TokenOrigin;

/// Answers an enrollment; the same key with the same code gets the same bytes again.
pub(crate) async fn enroll(
    State(site): State<Arc<Site>>,
    Extension(peer): Extension<Peer>,
    Extension(asker): Extension<Asker>,
    JsonBody(request): JsonBody<EnrollRequest>,
) -> Result<Json<EnrollAnswer>, ApiError> {
    answered(&site, &peer, Some(&asker), &request).await.map(|answered| Json(answered.answer))
}

/// What every door answers to an enrollment.
pub(super) struct Answered {
    pub(super) answer: EnrollAnswer,
    /// What was proven to come from the computer, for who seals the answer.
    pub(super) enrollment: Enrollment,
}

/// Answers an enrollment, and counts a wrong one. `asker` is its place of work, if it came over the network.
pub(super) async fn answered(
    site: &Site,
    peer: &Peer,
    asker: Option<&Asker>,
    request: &EnrollRequest,
) -> Result<Answered, ApiError> {
    let now = site.now();
    let answer = answer(site, peer, asker, request, now).await;
    if let Err(error) = &answer
        && is_a_guess(error.code())
    {
        // Only now: nobody guesses a code, and a stranger behind the same address must not keep a computer out.
        if let Some(wait) = site.failed_enrollments.must_wait(peer, now) {
            return Err(too_many_failures(wait));
        }
        site.failed_enrollments.note(peer, now);
    }
    answer
}

async fn answer(
    site: &Site,
    peer: &Peer,
    asker: Option<&Asker>,
    request: &EnrollRequest,
    now: Timestamp,
) -> Result<Answered, ApiError> {
    let enrollment = verified(site, request)?;
    let copy = match &request.branch {
        Some(contact) => Some(copy::proven(site, contact, &enrollment, now).await?),
        None => None,
    };
    let proven = if copy.is_some() { None } else { proven(site, request, &enrollment).await? };
    match (proven.is_some() || copy.is_some(), site.failed_enrollments.must_wait(peer, now)) {
        (true, _) => {
            if let Some(asker) = asker {
                asker.has_shown(site).await?;
            }
        }
        // The ledger is not asked for each guess.
        (false, Some(wait)) => return Err(too_many_failures(wait)),
        (false, None) => {}
    }
    let random = random_bytes::<16>().map_err(|error| ApiError::internal("make a client id", &error))?;
    if let Some(setup) = &proven {
        site.enrollment_budgets.spend(setup, 1, now).map_err(too_often)?;
    }
    let (name, new_id) = (enrollment.computer_name.clone(), ClientId::from_random(random));
    let command = Enroll {
        source: peer.source(),
        enrollment: enrollment.clone(),
        proven,
        copy,
        new_id: new_id.clone(),
    };
    let outcome = site.parts.ledger.execute(now, command).await;
    let outcome = outcome.map_err(|error| ApiError::from(error).about(Some(name)))?;
    // The same enrollment once more can be somebody else's who has seen it, at any later time.
    let origin =
        if outcome.enrolled.client_id == new_id { TokenOrigin::First } else { TokenOrigin::Repeated };
    if origin == TokenOrigin::First
        && let Some(asker) = asker
    {
        asker.is_accepted(new_id.as_str());
    }
    let answer = EnrollAnswer {
        enrolled: sign(site, &outcome.enrolled)?,
        grants: outcome.grants,
        log_key: site.parts.log_certificate.clone(),
        access_token: access_token(site, &outcome.enrolled.client_id, origin, now)?,
    };
    Ok(Answered { answer, enrollment })
}

fn too_often(wait_secs: i64) -> ApiError {
    ApiError::new(
        ProblemCode::Busy,
        "this computer enrolls far too often with one setup file",
        format!("try again in {wait_secs} seconds; look what makes its agent do so"),
    )
    .with_status(StatusCode::TOO_MANY_REQUESTS)
}

/// The newest setup of the name, if the computer proved to know its code.
async fn proven(
    site: &Site,
    request: &EnrollRequest,
    enrollment: &Enrollment,
) -> Result<Option<SetupId>, ApiError> {
    let Some(proof) = request.proof else { return Ok(None) };
    let setup = site.parts.ledger.query(SetupOf { name: enrollment.computer_name.clone() }).await?;
    let SetupState::Issued(issued) = setup else { return Ok(None) };
    let code = site.parts.enrollment_codes.of(&issued.setup);
    let right = enroll::proof(&code, &request.enrollment.document);
    Ok(right.matches(&proof).then_some(issued.setup))
}

/// Whoever asks holds the key that it names, and means this server. More the signature does not show.
fn verified(site: &Site, request: &EnrollRequest) -> Result<Enrollment, ApiError> {
    let enrollment = request
        .enrollment
        .verify::<Enrollment>(std::slice::from_ref(&request.client_key))
        .map_err(|error| bad_signature(&error.to_string()))?;
    if enrollment.client_key != request.client_key {
        return Err(bad_signature("the enrollment names another key than the one that signed it"));
    }
    if enrollment.server_id != site.parts.ledger.server_id() {
        return Err(wrong_server().into());
    }
    Ok(enrollment.into_inner())
}

fn bad_signature(why: &str) -> ApiError {
    ApiError::new(
        ProblemCode::BadSignature,
        format!("cannot accept the enrollment: {why}"),
        "try again; if it stays, enroll with a new setup file",
    )
}

const fn is_a_guess(code: ProblemCode) -> bool {
    matches!(
        code,
        ProblemCode::EnrollmentCodeWrong
            | ProblemCode::EnrollmentCodeExpired
            | ProblemCode::EnrollmentCodeUsed
            | ProblemCode::UnknownComputer
            | ProblemCode::NotReserved
            | ProblemCode::BadSignature
    )
}
