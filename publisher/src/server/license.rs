//! `POST /license/v1/register`: a registration in, a grant out.
//!
//! The database is asked on a blocking thread, one registration at a time.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::Request;
use axum::response::Json;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use sealpost_files::with_causes;
use sealpost_keys::{SigningKey, Verified};
use sealpost_manifests::document::DocumentError;
use sealpost_manifests::grant::Registration;
use sealpost_manifests::wire::MAX_REQUEST_BYTES;
use sealpost_manifests::wire::problem::{Problem, ProblemCode};
use sealpost_manifests::wire::sync::{RegisterAnswer, RegisterRequest};
use sealpost_serving::{FailedAttempts, Peer};
use tokio::sync::Mutex;

use super::limits::wrong_registrations;
use super::proxy::caller;
use super::refused::Refused;
use crate::authority::{
    Answer, Authority, Issuer, Outcome, RegisterError, RegistrationError, verify_registration,
};

/// Time for a whole request to arrive; it is a few hundred bytes.
const BODY_TIME: Duration = Duration::from_secs(30);

/// What grants are made of.
#[derive(Debug)]
pub struct Licensing {
    /// The vendor's name, for the grants.
    pub vendor: String,
    pub key: SigningKey,
    pub authority: Authority,
    /// Days that a grant is valid, and then until the end of the day.
    pub grant_days: u32,
    /// Where that day ends.
    pub time_zone: TimeZone,
}

/// The state of the license endpoint.
#[derive(Debug)]
pub(super) struct Endpoint {
    /// Waited for without holding a thread, so that registrations never keep downloads from the blocking threads.
    licensing: Arc<Mutex<Licensing>>,
    wrong: FailedAttempts,
}

impl Endpoint {
    pub(super) fn new(licensing: Licensing) -> Self {
        Self { licensing: Arc::new(Mutex::new(licensing)), wrong: wrong_registrations() }
    }
}

impl Licensing {
    fn register(
        &mut self,
        registration: &Verified<Registration>,
        now: Timestamp,
    ) -> Result<Answer, RegisterError> {
        let Self { vendor, key, authority, grant_days, time_zone } = self;
        let issuer = Issuer { vendor, key, grant_days: *grant_days, time_zone };
        authority.register(registration, &issuer, now)
    }
}

/// Only wrong registrations count against a source, so that a site which retries a good one is never held up.
pub(super) async fn register(
    State(endpoint): State<Arc<Endpoint>>,
    request: Request<Body>,
) -> Result<Json<RegisterAnswer>, Refused> {
    let caller = caller(&request);
    if let Some(caller) = &caller {
        check_wait(&endpoint, caller)?;
    }
    let body = tokio::time::timeout(BODY_TIME, to_bytes(request.into_body(), MAX_REQUEST_BYTES)).await;
    let body = body.ok().and_then(Result::ok).ok_or_else(|| {
        Refused(Problem::new(
            ProblemCode::TooLarge,
            format!(
                "cannot read the registration: it is cut, too slow, or longer than {MAX_REQUEST_BYTES} bytes"
            ),
            "send the registration as the Primary Server made it",
        ))
    })?;
    let answer = answer(&endpoint, &body).await;
    if let (Err(refused), Some(caller)) = (&answer, &caller)
        && counts_as_wrong(refused.0.code)
    {
        endpoint.wrong.note(caller, Timestamp::now());
    }
    answer.map(Json)
}

async fn answer(endpoint: &Endpoint, body: &[u8]) -> Result<RegisterAnswer, Refused> {
    let request: RegisterRequest = serde_json::from_slice(body).map_err(|error| {
        Refused(Problem::new(
            ProblemCode::BadRequest,
            format!("cannot read the registration: {error}"),
            "update the Primary Server, or send the registration code by hand",
        ))
    })?;
    let registration = verify_registration(&request).map_err(|error| {
        let code = match &error {
            RegistrationError::Document(DocumentError::Signature { .. }) | RegistrationError::OtherKey => {
                ProblemCode::BadSignature
            }
            _ => ProblemCode::BadRequest,
        };
        Refused(Problem::new(code, with_causes(&error), "make a new registration on the server"))
    })?;
    let (serial, server) = (registration.serial.clone(), registration.server_id.clone());
    let reason = registration.reason;
    // A panic while it is held rolls the transaction back, so the authority is still whole.
    let mut licensing = Arc::clone(&endpoint.licensing).lock_owned().await;
    let result =
        tokio::task::spawn_blocking(move || licensing.register(&registration, Timestamp::now())).await;
    match result {
        Ok(Ok(answer)) => {
            let (serial, repeated) = (masked(serial.as_str()), answer.outcome == Outcome::Repeated);
            tracing::info!(%server, %serial, %reason, repeated, "registration answered");
            for remark in &answer.remarks {
                tracing::warn!(%server, %serial, "{remark}; see `publisher serial show`");
            }
            Ok(RegisterAnswer { grant: answer.grant, renewable_from: Some(answer.renewable_from) })
        }
        Ok(Err(error)) => Err(refusal(&error, server.as_str(), serial.as_str())),
        Err(error) => {
            tracing::error!(%error, "the license authority stopped");
            Err(internal())
        }
    }
}

fn refusal(error: &RegisterError, server: &str, serial: &str) -> Refused {
    let (code, hint) = match error {
        RegisterError::UnknownSerial => (ProblemCode::SerialUnknown, "compare it with the delivery note"),
        RegisterError::BoundToOtherServer | RegisterError::OtherSiteKey => {
            (ProblemCode::SerialBound, "use the server that registered first, or ask the vendor")
        }
        RegisterError::NotItsOwnId
        | RegisterError::UnknownReason { .. }
        | RegisterError::RequestIdUsed
        | RegisterError::NoHigherEpoch { .. }
        | RegisterError::EpochNotGranted { .. }
        | RegisterError::Head { .. } => (ProblemCode::BadRequest, "ask the vendor, and name this message"),
        RegisterError::TooMany => (ProblemCode::Busy, "the same registration will get the same answer"),
        RegisterError::Sign(_) | RegisterError::Storage(_) => {
            tracing::error!(error = %with_causes(error), "cannot answer a registration");
            return internal();
        }
    };
    tracing::warn!(%server, serial = %masked(serial), %code, "registration refused");
    Refused(Problem::new(code, error.to_string(), hint))
}

fn check_wait(endpoint: &Endpoint, caller: &Peer) -> Result<(), Refused> {
    match endpoint.wrong.must_wait(caller, Timestamp::now()) {
        None => Ok(()),
        Some(wait) => Err(Refused(Problem::new(
            ProblemCode::Busy,
            "too many wrong registrations came from this address",
            format!("check the serial number and try again in {wait} s"),
        ))),
    }
}

const fn counts_as_wrong(code: ProblemCode) -> bool {
    matches!(
        code,
        ProblemCode::BadRequest
            | ProblemCode::BadSignature
            | ProblemCode::SerialUnknown
            | ProblemCode::SerialBound
    )
}

fn internal() -> Refused {
    Refused(Problem::new(
        ProblemCode::Internal,
        "the vendor's server could not answer the registration",
        "try again later; the same registration will get the same answer",
    ))
}

/// A serial number is worth money: logs show its first group only.
fn masked(serial: &str) -> String {
    format!("{}-…", serial.split('-').next().unwrap_or_default())
}
