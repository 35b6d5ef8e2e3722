//! Request bodies: bounded in size and time before anything is parsed, and refused as a `Problem` like all else.
//!
//! A client may send a body packed with gzip. It is unpacked once it is all there, within the same bound and the same places in
//! memory as a plain one; another coding, and a packed body of an admin, is refused before it is read.

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::{FromRequest, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use http_body_util::BodyExt;
use sealpost_manifests::wire::MAX_REQUEST_BYTES;
use sealpost_manifests::wire::coding::{self, CodingError, GZIP};
use sealpost_manifests::wire::problem::ProblemCode;
use sealpost_serving::{Peer, Share, Standing};
use serde::de::DeserializeOwned;

use super::Site;
use super::asker::{Shown, stranger, too_much};
use super::problem::ApiError;

/// A body of this size costs no more than its connection does; a larger one needs a place in memory. Contacts without news
/// have some 2 KiB.
pub(super) const SMALL_BODY_BYTES: usize = 16 * 1024;

/// A JSON body of at most [`MAX_REQUEST_BYTES`].
#[derive(Debug)]
pub(crate) struct JsonBody<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<Arc<Site>> for JsonBody<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, site: &Arc<Site>) -> Result<Self, ApiError> {
        check_head(request.headers(), Packed::Refused)?;
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

/// Waits for the body of a request that nobody has vouched for yet. It is read to its end before anything else is done for
/// it; what it takes of memory beyond a small one counts for its source until the answer is there. A packed one is plain from
/// here on.
pub(super) async fn arrive(
    site: &Site,
    peer: &Peer,
    standing: Option<&Standing>,
    parts: &mut Parts,
    mut body: Body,
) -> Result<(Body, Option<Share>), ApiError> {
    check_head(&parts.headers, Packed::Taken)?;
    let (within, place_within) = (site.parts.limits.body_within, site.parts.limits.place_within);
    let room = || async {
        let place = match stranger(peer, standing, Shown::Nothing) {
            Some(source) => site.large_bodies.of(source, place_within).await,
            None => site.large_bodies.proven(place_within).await,
        };
        place.ok_or_else(too_much)
    };
    let is_packed = parts.headers.remove(header::CONTENT_ENCODING).is_some_and(|coding| is_gzip(&coding));
    let whole = async {
        let (mut bytes, mut memory) = (Vec::new(), None);
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.map_err(|_| ended_too_soon())?.into_data() else { continue };
            let length = bytes.len().saturating_add(data.len());
            if length > MAX_REQUEST_BYTES {
                return Err(too_large());
            }
            if length > SMALL_BODY_BYTES && memory.is_none() {
                memory = Some(room().await?);
            }
            bytes.extend_from_slice(&data);
        }
        if !is_packed {
            return Ok((bytes, memory));
        }
        // Most contacts are small; what is not needs its place before it is unpacked.
        match coding::unpack(&bytes, SMALL_BODY_BYTES) {
            Err(CodingError::TooLong { .. }) => {}
            unpacked => return Ok((unpacked.map_err(not_unpacked)?, memory)),
        }
        if memory.is_none() {
            memory = Some(room().await?);
        }
        let unpacked = tokio::task::spawn_blocking(move || coding::unpack(&bytes, MAX_REQUEST_BYTES)).await;
        let unpacked = unpacked.map_err(|error| ApiError::internal("unpack a request", &error))?;
        Ok((unpacked.map_err(not_unpacked)?, memory))
    };
    let (bytes, memory) =
        tokio::time::timeout(within, whole).await.unwrap_or_else(|_elapsed| Err(too_slow()))?;
    parts.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(bytes.len()));
    Ok((Body::from(bytes), memory))
}

/// Whether a body may say that it is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Packed {
    Taken,
    Refused,
}

fn check_head(headers: &HeaderMap, packed: Packed) -> Result<(), ApiError> {
    let length = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    if length
        .and_then(|text| text.parse::<u64>().ok())
        .is_some_and(|length| length > MAX_REQUEST_BYTES as u64)
    {
        return Err(too_large());
    }
    let mut codings = headers.get_all(header::CONTENT_ENCODING).iter();
    let is_taken = match (codings.next(), codings.next()) {
        (None, _) => true,
        (Some(one), None) => {
            one.as_bytes().eq_ignore_ascii_case(b"identity") || packed == Packed::Taken && is_gzip(one)
        }
        // Packed twice: the second bound would be the first one's square.
        (Some(_), Some(_)) => false,
    };
    if is_taken {
        return Ok(());
    }
    let refused = ApiError::new(
        ProblemCode::BadRequest,
        "the request's body is compressed in a way that is not taken here",
        "send it as it is",
    );
    Err(refused.with_status(StatusCode::UNSUPPORTED_MEDIA_TYPE))
}

fn is_gzip(coding: &HeaderValue) -> bool {
    coding.as_bytes().eq_ignore_ascii_case(GZIP.as_bytes())
}

fn not_unpacked(error: CodingError) -> ApiError {
    match error {
        CodingError::TooLong { .. } => too_large(),
        error => ApiError::new(ProblemCode::BadRequest, error.to_string(), "send it again, as it is"),
    }
}

async fn read(body: Body, site: &Site) -> Result<axum::body::Bytes, ApiError> {
    match tokio::time::timeout(site.parts.limits.body_within, to_bytes(body, MAX_REQUEST_BYTES)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(error)) => {
            let over = std::error::Error::source(&error)
                .is_some_and(|source| source.is::<http_body_util::LengthLimitError>());
            Err(if over { too_large() } else { ended_too_soon() })
        }
        Err(_elapsed) => Err(too_slow()),
    }
}

fn ended_too_soon() -> ApiError {
    ApiError::new(ProblemCode::BadRequest, "the request's body ended too soon", "send it again")
}

fn too_slow() -> ApiError {
    ApiError::new(
        ProblemCode::BadRequest,
        "the request's body did not arrive in time",
        "check the line, then send it again",
    )
    .with_status(StatusCode::REQUEST_TIMEOUT)
}

fn too_large() -> ApiError {
    ApiError::new(
        ProblemCode::TooLarge,
        format!("the request's body is over the limit of {MAX_REQUEST_BYTES} bytes"),
        "send fewer reports at once",
    )
}
