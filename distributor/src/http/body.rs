//! Request bodies: bounded in size and time before anything is parsed, and refused as a `Problem` like all else.

use axum::body::{Body, to_bytes};
use axum::extract::{FromRequest, Request};
use axum::http::header;
use sealpost_manifests::wire::MAX_REQUEST_BYTES;
use sealpost_manifests::wire::problem::ProblemCode;
use serde::de::DeserializeOwned;

use super::Site;
use super::problem::ApiError;
use std::sync::Arc;

/// A JSON body of at most [`MAX_REQUEST_BYTES`].
#[derive(Debug)]
pub(crate) struct JsonBody<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<Arc<Site>> for JsonBody<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, site: &Arc<Site>) -> Result<Self, ApiError> {
        let announced = request
            .headers()
            .get(header::CONTENT_LENGTH)
            .and_then(|value| value.to_str().ok())
            .and_then(|text| text.parse::<u64>().ok());
        if announced.is_some_and(|length| length > MAX_REQUEST_BYTES as u64) {
            return Err(too_large());
        }
        let bytes = read(request.into_body(), site).await?;
        serde_json::from_slice(&bytes).map(Self).map_err(|error| {
            ApiError::new(
                ProblemCode::BadRequest,
                format!("cannot read the request's body: {error}"),
                "send the JSON that this version's documentation describes; are both programs up to date?",
            )
        })
    }
}

async fn read(body: Body, site: &Site) -> Result<axum::body::Bytes, ApiError> {
    match tokio::time::timeout(site.parts.limits.body_within, to_bytes(body, MAX_REQUEST_BYTES)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(error)) => {
            let over = std::error::Error::source(&error)
                .is_some_and(|source| source.is::<http_body_util::LengthLimitError>());
            Err(if over {
                too_large()
            } else {
                ApiError::new(ProblemCode::BadRequest, "the request's body ended too soon", "send it again")
            })
        }
        Err(_elapsed) => Err(ApiError::new(
            ProblemCode::BadRequest,
            "the request's body did not arrive in time",
            "check the line, then send it again",
        )
        .with_status(axum::http::StatusCode::REQUEST_TIMEOUT)),
    }
}

fn too_large() -> ApiError {
    ApiError::new(
        ProblemCode::TooLarge,
        format!("the request's body is over the limit of {MAX_REQUEST_BYTES} bytes"),
        "send fewer reports at once",
    )
}
