//! `POST /license/v1/register`: a registration in, a grant out.
//!
//! The database is asked on a blocking thread, one registration at a time.

use std::net::IpAddr;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::Request;
use axum::response::Json;
use jiff::Timestamp;
use sealpost_keys::Verified;
use sealpost_manifests::document::SignedDocument;
use sealpost_manifests::grant::Registration;
use sealpost_manifests::wire::MAX_REQUEST_BYTES;
use sealpost_manifests::wire::problem::{Problem, ProblemCode};
use sealpost_manifests::wire::sync::{RegisterAnswer, RegisterRequest};

use super::limiter::Allowance;
use super::{Licensing, Refused, Shared, source_of};
use crate::authority::{Answer, Issuer, RegisterError, verify_registration};
use crate::chain::chain;

/// Time for a whole request to arrive; it is a few hundred bytes.
const BODY_TIME: Duration = Duration::from_secs(30);

/// The license authority with what it signs with.
#[derive(Debug)]
pub(super) struct Desk(Licensing);

impl Desk {
    pub(super) const fn new(licensing: Licensing) -> Self {
        Self(licensing)
    }

    fn register(
        &mut self,
        registration: &Verified<Registration>,
        now: Timestamp,
    ) -> Result<Answer, RegisterError> {
        let Licensing { vendor, key, authority, grant_days } = &mut self.0;
        authority.register(registration, &Issuer { vendor, key, grant_days: *grant_days }, now)
    }
}

pub(super) async fn register(
    State(shared): State<Arc<Shared>>,
    request: Request<Body>,
) -> Result<Json<RegisterAnswer>, Refused> {
    let source = source_of(&request);
    if let Some(source) = source {
        check_allowance(&shared, source)?;
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
    let answer = answer(&shared, &body).await;
    if let (Err(refused), Some(source)) = (&answer, source)
        && counts_as_wrong(refused.0.code)
    {
        shared.limiter.lock().unwrap_or_else(PoisonError::into_inner).wrong(source, Instant::now());
    }
    answer.map(|grant| Json(RegisterAnswer { grant }))
}

async fn answer(shared: &Arc<Shared>, body: &[u8]) -> Result<SignedDocument, Refused> {
    let request: RegisterRequest = serde_json::from_slice(body).map_err(|error| {
        Refused(Problem::new(
            ProblemCode::BadRequest,
            format!("cannot read the registration: {error}"),
            "update the Primary Server, or send the registration code by hand",
        ))
    })?;
    let registration = verify_registration(&request).map_err(|error| {
        Refused(Problem::new(
            ProblemCode::BadSignature,
            error.to_string(),
            "make a new registration on the server",
        ))
    })?;
    let (serial, server) = (registration.serial.clone(), registration.server_id.clone());
    // A panic while it is held leaves the transaction rolled back, so the desk is still whole.
    let mut desk = Arc::clone(&shared.license).lock_owned().await;
    let result = tokio::task::spawn_blocking(move || desk.register(&registration, Timestamp::now())).await;
    match result {
        Ok(Ok(answer)) => {
            let repeated = matches!(answer, Answer::Repeated(_));
            tracing::info!(%server, serial = %masked(serial.as_str()), repeated, "registration answered");
            Ok(answer.into_grant())
        }
        Ok(Err(error)) => Err(refusal(&error, server.as_str(), serial.as_str())),
        Err(error) => {
            tracing::error!(%error, "the license desk stopped");
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
        RegisterError::Sign(_) | RegisterError::Storage(_) => {
            tracing::error!(error = %chain(error), "cannot answer a registration");
            return internal();
        }
    };
    tracing::warn!(%server, serial = %masked(serial), %code, "registration refused");
    Refused(Problem::new(code, error.to_string(), hint))
}

fn check_allowance(shared: &Shared, source: IpAddr) -> Result<(), Refused> {
    let now = Instant::now();
    let allowance = shared.limiter.lock().unwrap_or_else(PoisonError::into_inner).look(source, now);
    match allowance {
        Allowance::Allowed => Ok(()),
        Allowance::NotBefore(at) => Err(Refused(Problem::new(
            ProblemCode::Busy,
            "too many wrong registrations came from this address",
            format!(
                "check the serial number and try again in {} s",
                at.saturating_duration_since(now).as_secs() + 1
            ),
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
