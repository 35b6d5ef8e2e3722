//! A refusal as an HTTP answer: a status and a [`Problem`] with a stable code.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Json, Response};
use sealpost_manifests::wire::problem::{Problem, ProblemCode};

#[derive(Debug)]
pub(super) struct Refused(pub(super) Problem);

impl Refused {
    /// The status of an answer that refuses, whatever form it has.
    pub(super) const fn status(&self) -> StatusCode {
        match self.0.code {
            ProblemCode::BadRequest | ProblemCode::BadSignature => StatusCode::BAD_REQUEST,
            ProblemCode::Forbidden => StatusCode::FORBIDDEN,
            ProblemCode::NotFound | ProblemCode::SerialUnknown => StatusCode::NOT_FOUND,
            ProblemCode::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            ProblemCode::Busy => StatusCode::TOO_MANY_REQUESTS,
            ProblemCode::SerialBound | ProblemCode::SerialEnded => StatusCode::CONFLICT,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        (self.status(), Json(self.0)).into_response()
    }
}
