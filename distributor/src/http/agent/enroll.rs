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
use sealpost_site::rules::enrollment::{Proof, SetupState, wrong_server};

use super::{access_token, budget, copy, sign};
use crate::http::Site;
use crate::http::admission::too_many_failures;
use crate::http::asker::Asker;
use crate::http::body::JsonBody;
use crate::http::limits::EnrollsBy;
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
    if answer.as_ref().is_err_and(|error| error.code() == ProblemCode::WaitsForAdmission) {
        site.knocks.note(peer, now);
    }
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
    // Before it is asked who has to wait, as a code is looked at below: whoever waits behind this address for a stranger's contacts of
    // nobody may be the copy that was kept. A contact of nobody costs one read and one signature more.
    let copy = match &request.branch {
        Some(contact) => Some(copy::proven(site, contact, &enrollment, now).await?),
        None => None,
    };
    // Who was kept shows that in place of a code, and the setup of its name is none of its business.
    let Shown { proof, setup } = match &copy {
        Some(_) => Shown { proof: Proof::None, setup: None },
        None => shown(site, request, &enrollment, now).await?,
    };
    // Who proves nothing guesses nothing: it holds up none of those who mistype a code, and they none of these.
    let failures = if proof == Proof::None { &site.knocks } else { &site.failed_enrollments };
    match (setup.is_some() || copy.is_some(), failures.must_wait(peer, now)) {
        (true, _) => {
            if let Some(asker) = asker {
                asker.has_shown(site).await?;
            }
        }
        // What it shows was found by one read. The ledger's writer, which could note it in the list, is not asked for each guess,
        // nor for each knock. To ask this first would save the read, and let a stranger's guesses keep out a computer behind the
        // same address that has a good code.
        (false, Some(wait)) if proof == Proof::None => return Err(too_many_knocks(wait)),
        (false, Some(wait)) => return Err(too_many_failures(wait)),
        (false, None) => {}
    }
    let random = random_bytes::<16>().map_err(|error| ApiError::internal("make a client id", &error))?;
    if let Some(setup) = setup {
        budget::enroll(site, &EnrollsBy::Setup(setup), now)?;
    }
    let (name, new_id) = (enrollment.computer_name.clone(), ClientId::from_random(random));
    let command =
        Enroll { source: peer.source(), enrollment: enrollment.clone(), proof, copy, new_id: new_id.clone() };
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

/// What an enrollment shows beside its key.
struct Shown {
    proof: Proof,
    /// The setup of the name by which it may enroll: its code was proven, or it stands for the admission of this very key, which is still
    /// good or was used.
    setup: Option<SetupId>,
}

async fn shown(
    site: &Site,
    request: &EnrollRequest,
    enrollment: &Enrollment,
    now: Timestamp,
) -> Result<Shown, ApiError> {
    let state = site.parts.ledger.query(SetupOf { name: enrollment.computer_name.clone() }).await?;
    // The signature, which was verified, shows that it has the key.
    let admission = state.admission_of(&enrollment.client_key, now).map(|admission| admission.setup.clone());
    let Some(proof) = request.proof else { return Ok(Shown { proof: Proof::None, setup: admission }) };
    let wrong = Shown { proof: Proof::Wrong, setup: admission };
    // Nobody has the code of an admission.
    let SetupState::Issued(issued) = state else { return Ok(wrong) };
    if issued.admitted.is_some() {
        return Ok(wrong);
    }
    let code = site.parts.enrollment_codes.of(&issued.setup);
    if !enroll::proof(&code, &request.enrollment.document).matches(&proof) {
        return Ok(wrong);
    }
    Ok(Shown { proof: Proof::Setup(issued.setup.clone()), setup: Some(issued.setup) })
}

fn too_many_knocks(wait_secs: i64) -> ApiError {
    ApiError::new(
        ProblemCode::Busy,
        "too many computers without a setup file of their own asked from this address",
        format!("try again in {wait_secs} seconds; the agent does so by itself"),
    )
    .with_status(StatusCode::TOO_MANY_REQUESTS)
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
            | ProblemCode::NotReserved
            | ProblemCode::BadSignature
    )
}
