//! Answers packed with gzip, for who takes them so, and what this server says that it takes.
//!
//! Left out on purpose: files, which are sent in parts and digested on the way.

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use sealpost_manifests::wire::coding::{self, GZIP};
use serde::Serialize;

use super::problem::ApiError;

/// A longer answer is packed on a thread for work that takes time.
const SHORT_BYTES: usize = 16 * 1024;

/// An answer as JSON, packed if the client takes that; it says that requests may be packed too.
pub(crate) async fn json<T: Serialize>(request: &HeaderMap, answer: &T) -> Result<Response, ApiError> {
    let plain = serde_json::to_vec(answer).map_err(|error| ApiError::internal("write its answer", &error))?;
    let is_taken = request.get_all(header::ACCEPT_ENCODING).iter().any(is_accepted);
    let (body, is_packed) = match is_taken {
        true if plain.len() <= SHORT_BYTES => packed(plain),
        true => tokio::task::spawn_blocking(move || packed(plain))
            .await
            .map_err(|error| ApiError::internal("pack its answer", &error))?,
        false => (plain, false),
    };
    let mut response = (StatusCode::OK, body).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(GZIP));
    if is_packed {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(GZIP));
    }
    Ok(response)
}

fn packed(plain: Vec<u8>) -> (Vec<u8>, bool) {
    match coding::pack(&plain) {
        Some(packed) => (packed, true),
        None => (plain, false),
    }
}

fn is_accepted(value: &HeaderValue) -> bool {
    value.to_str().is_ok_and(coding::is_accepted)
}
