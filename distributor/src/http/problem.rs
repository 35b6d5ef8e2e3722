//! Errors as HTTP answers: `{code, message, hint}` for every one of them, also for 404, 405 and 413.
//!
//! A code has one status everywhere. What went wrong inside is logged by `failures`, and not shown to the caller.

use std::error::Error;
use std::num::NonZeroU32;
use std::time::Duration;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use sealpost_ledger::LedgerError;
use sealpost_manifests::ids::ComputerName;
use sealpost_manifests::wire::problem::{Problem, ProblemCode};

use crate::failures;

/// Marks an answer as a refusal, so that the layer in front can count it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RefusedWith(pub(crate) ProblemCode);

/// The computer that a refused request was about, as it proved or said.
#[derive(Debug, Clone)]
pub(crate) struct RefusedComputer(pub(crate) ComputerName);

/// An error that becomes an answer.
#[derive(Debug)]
pub(crate) struct ApiError {
    status: StatusCode,
    problem: Problem,
    computer: Option<Box<ComputerName>>,
    retry_after_secs: Option<NonZeroU32>,
}

impl ApiError {
    pub(crate) fn new(code: ProblemCode, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Problem::new(code, message, hint).into()
    }

    /// The same problem under another status, for 405 and the like.
    pub(crate) fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// The same, about a computer: the log says which.
    pub(crate) fn about(mut self, computer: Option<ComputerName>) -> Self {
        self.computer = computer.map(Box::new);
        self
    }

    /// Something inside failed: logged in full, shown without detail.
    pub(crate) fn internal(attempted: &'static str, error: &(dyn Error + 'static)) -> Self {
        failures::internal(attempted, error).into()
    }

    /// What was asked for is done and on disk, and only its result cannot be read back.
    pub(crate) fn done_but_unread(error: &LedgerError, done: &str, look: &str) -> Self {
        failures::done_but_unread(error, done, look).into()
    }

    pub(crate) fn not_found(what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(ProblemCode::NotFound, what, hint)
    }

    /// The same, with when to come again.
    pub(crate) fn retry_after(mut self, after: Duration) -> Self {
        let secs = u32::try_from(after.as_secs()).unwrap_or(u32::MAX);
        self.retry_after_secs = Some(NonZeroU32::new(secs).unwrap_or(NonZeroU32::MIN));
        self
    }

    pub(crate) fn code(&self) -> ProblemCode {
        self.problem.code
    }

    /// What is told, for who is answered by other means than HTTP.
    pub(crate) fn into_problem(self) -> Problem {
        self.problem
    }
}

impl From<Problem> for ApiError {
    fn from(problem: Problem) -> Self {
        Self { status: status_of(problem.code), problem, computer: None, retry_after_secs: None }
    }
}

impl From<LedgerError> for ApiError {
    fn from(error: LedgerError) -> Self {
        failures::of_ledger(error).into()
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let refused = RefusedWith(self.problem.code);
        let mut response = (self.status, Json(self.problem)).into_response();
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if self.status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(secs) = self.retry_after_secs {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(secs.get()));
        }
        response.extensions_mut().insert(refused);
        if let Some(computer) = self.computer {
            response.extensions_mut().insert(RefusedComputer(*computer));
        }
        response
    }
}

/// The one status of a code.
pub(crate) const fn status_of(code: ProblemCode) -> StatusCode {
    match code {
        ProblemCode::BadRequest | ProblemCode::Other(_) => StatusCode::BAD_REQUEST,
        ProblemCode::NotFound | ProblemCode::SerialUnknown => StatusCode::NOT_FOUND,
        ProblemCode::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        ProblemCode::Busy | ProblemCode::LinkBusy => StatusCode::SERVICE_UNAVAILABLE,
        ProblemCode::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        ProblemCode::Unauthenticated | ProblemCode::TokenExpired => StatusCode::UNAUTHORIZED,
        ProblemCode::PullFailed => StatusCode::BAD_GATEWAY,
        ProblemCode::UnknownComputer
        | ProblemCode::EnrollmentCodeWrong
        | ProblemCode::EnrollmentCodeExpired
        | ProblemCode::WrongServer
        | ProblemCode::BadSignature
        | ProblemCode::NotReserved
        | ProblemCode::NoLease
        | ProblemCode::NotEntitled
        | ProblemCode::NotAssigned
        | ProblemCode::WaitsForAdmission
        | ProblemCode::Forbidden => StatusCode::FORBIDDEN,
        ProblemCode::EnrollmentCodeUsed
        | ProblemCode::ContactForked
        | ProblemCode::NonceUnknown
        | ProblemCode::LedgerBehind
        | ProblemCode::Displaced
        | ProblemCode::Unconfirmed
        | ProblemCode::NoSeatFree
        | ProblemCode::NotUnlocked
        | ProblemCode::GrantExpired
        | ProblemCode::GrantRefused
        | ProblemCode::SerialBound
        | ProblemCode::SerialEnded
        | ProblemCode::DigestMismatch
        | ProblemCode::WrongState
        | ProblemCode::AlreadyExists
        | ProblemCode::CopyKept
        | ProblemCode::CopyGivenUp => StatusCode::CONFLICT,
    }
}

/// A query of a URL that cannot be read.
pub(crate) fn bad_query(why: &str) -> ApiError {
    ApiError::new(
        ProblemCode::BadRequest,
        format!("cannot read the query: {why}"),
        "see `--help` for the values",
    )
}

/// The answer to a path that is nowhere.
pub(crate) async fn no_such_path() -> ApiError {
    ApiError::not_found("there is nothing under this path", "see the documentation of the API for its paths")
}

/// The answer to a path with another method.
pub(crate) async fn no_such_method() -> ApiError {
    ApiError::new(
        ProblemCode::BadRequest,
        "this path does not take this method",
        "see the documentation of the API for its methods",
    )
    .with_status(StatusCode::METHOD_NOT_ALLOWED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_an_error_status() {
        for code in ProblemCode::KNOWN {
            let status = status_of(*code);
            assert!(status.is_client_error() || status.is_server_error(), "{code} is {status}");
        }
    }
}
