//! Files as answers: whole or from a byte on, in constant memory.
//!
//! One range per request (RFC 9110, section 14); a request for several gets the whole file, which is allowed. What is
//! sent was verified when it was stored, and the client checks it again: this module only carries bytes.

use std::fs::File;
use std::io::SeekFrom;
use std::ops::Range;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use sealpost_manifests::digest::{Sha256Digest, Sha256Hasher};
use sealpost_manifests::wire::problem::ProblemCode;
use tokio::io::{AsyncReadExt, AsyncSeekExt};

use super::links::{Passage, Wanted};
use super::problem::ApiError;

/// Bytes that are read and sent at once: large enough for a full line, small enough for many clients.
const CHUNK_BYTES: usize = 128 * 1024;

/// What a `Range` header asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Asked {
    Whole,
    Part(Range<u64>),
    Unsatisfiable,
}

/// What a file must be, and who hears that it is not.
pub(crate) struct Expected {
    pub(crate) sha256: Sha256Digest,
    pub(crate) damaged: Box<dyn FnOnce() + Send>,
}

/// Digests what is sent of a whole file.
struct Check {
    hasher: Sha256Hasher,
    expected: Expected,
}

/// What a request asks for of a file of this length.
pub(crate) fn wanted(length: u64, request: &HeaderMap) -> Wanted {
    let bytes = match asked(range_of(request), length) {
        Asked::Whole => length,
        Asked::Part(range) => range.end - range.start,
        Asked::Unsatisfiable => 0,
    };
    Wanted { length, bytes }
}

fn range_of(request: &HeaderMap) -> Option<&str> {
    request.get(header::RANGE).and_then(|value| value.to_str().ok())
}

/// Sends a file that is open at its beginning. A whole one is digested on the way; if it is not what is expected, the
/// answer is cut before its end, so that nobody takes it for whole. With a passage it goes as the link lets it.
pub(crate) async fn file(
    file: File,
    length: u64,
    expected: Option<Expected>,
    passage: Option<Passage>,
    request: &HeaderMap,
) -> Result<Response, ApiError> {
    // Content here never changes under one name, so an `If-Range` could only say the same.
    match asked(range_of(request), length) {
        Asked::Whole => {
            let check = expected.map(|expected| Check { hasher: Sha256Hasher::new(), expected });
            part(file, 0..length, length, (check, passage), StatusCode::OK).await
        }
        Asked::Part(range) => part(file, range, length, (None, passage), StatusCode::PARTIAL_CONTENT).await,
        Asked::Unsatisfiable => {
            let problem = ApiError::new(
                ProblemCode::BadRequest,
                format!("the asked range lies outside of the {length} bytes"),
                "throw away what was downloaded, and begin anew",
            );
            let mut response = problem.with_status(StatusCode::RANGE_NOT_SATISFIABLE).into_response();
            insert(&mut response, header::CONTENT_RANGE, &format!("bytes */{length}"));
            Ok(response)
        }
    }
}

/// Sends bytes that are in memory.
pub(crate) fn bytes(content: Vec<u8>, content_type: &'static str) -> Response {
    ([(header::CONTENT_TYPE, HeaderValue::from_static(content_type))], content).into_response()
}

async fn part(
    file: File,
    range: Range<u64>,
    length: u64,
    (check, passage): (Option<Check>, Option<Passage>),
    status: StatusCode,
) -> Result<Response, ApiError> {
    let mut file = tokio::fs::File::from_std(file);
    if range.start > 0 {
        file.seek(SeekFrom::Start(range.start))
            .await
            .map_err(|error| ApiError::internal("read a stored file", &error))?;
    }
    let bytes = range.end - range.start;
    let all = (file, bytes, check, passage);
    let chunks = stream::try_unfold(all, |(mut file, left, mut check, passage)| async move {
        if left == 0 {
            return Ok(None);
        }
        let most = usize::try_from(left).map_or(CHUNK_BYTES, |left| left.min(CHUNK_BYTES));
        let wanted = match &passage {
            Some(passage) => passage.wait_for(most).await?,
            None => most,
        };
        let mut buffer = vec![0; wanted];
        let count = file.read(&mut buffer).await?;
        if count == 0 {
            // Shorter than when it was opened: cut the answer, so that nobody takes it for whole.
            return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof));
        }
        buffer.truncate(count);
        let left = left - count as u64;
        if let Some(check) = &mut check {
            check.hasher.update(&buffer);
        }
        if left == 0
            && let Some(Check { hasher, expected }) = check.take()
            && hasher.finish() != expected.sha256
        {
            (expected.damaged)();
            return Err(std::io::Error::from(std::io::ErrorKind::InvalidData));
        }
        if let Some(passage) = &passage {
            passage.sends();
        }
        Ok(Some((Bytes::from(buffer), (file, left, check, passage))))
    });
    let mut response = (status, Body::from_stream(chunks)).into_response();
    insert(&mut response, header::CONTENT_LENGTH, &bytes.to_string());
    response.headers_mut().insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    if status == StatusCode::PARTIAL_CONTENT {
        let last = range.end.saturating_sub(1);
        insert(&mut response, header::CONTENT_RANGE, &format!("bytes {}-{last}/{length}", range.start));
    }
    Ok(response)
}

fn insert(response: &mut Response, name: HeaderName, value: &str) {
    // Digits and slashes are always a valid header value.
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

/// Malformed headers are ignored, as the standard asks.
fn asked(header: Option<&str>, length: u64) -> Asked {
    let Some(spec) = header.and_then(|text| text.trim().strip_prefix("bytes=")) else { return Asked::Whole };
    let Some((first, last)) = spec.split_once('-') else { return Asked::Whole };
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| text.parse::<u64>().unwrap_or(u64::MAX))
    };
    match (first.trim(), last.trim()) {
        ("", suffix) => match number(suffix) {
            Some(0) => Asked::Unsatisfiable,
            Some(_) if length == 0 => Asked::Unsatisfiable,
            Some(count) => Asked::Part(length.saturating_sub(count)..length),
            None => Asked::Whole,
        },
        (first, last) => {
            let Some(first) = number(first) else { return Asked::Whole };
            let last = match last {
                "" => u64::MAX,
                last => match number(last) {
                    Some(last) if last >= first => last,
                    _ => return Asked::Whole,
                },
            };
            if first >= length {
                return Asked::Unsatisfiable;
            }
            Asked::Part(first..last.saturating_add(1).min(length))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_cut_to_the_file_and_one_outside_is_not_satisfiable() {
        assert_eq!(asked(None, 10), Asked::Whole);
        assert_eq!(asked(Some("bytes=4-"), 10), Asked::Part(4..10));
        assert_eq!(asked(Some("bytes=4-5"), 10), Asked::Part(4..6));
        assert_eq!(asked(Some("bytes=0-99999999999999999999999"), 10), Asked::Part(0..10));
        assert_eq!(asked(Some("bytes=-3"), 10), Asked::Part(7..10));
        assert_eq!(asked(Some("bytes=-30"), 10), Asked::Part(0..10));
        assert_eq!(asked(Some("bytes=10-"), 10), Asked::Unsatisfiable);
        assert_eq!(asked(Some("bytes=0-"), 0), Asked::Unsatisfiable);
        assert_eq!(asked(Some("bytes=-0"), 10), Asked::Unsatisfiable);
    }

    #[test]
    fn a_malformed_or_multiple_range_gets_the_whole_file() {
        for text in ["bytes", "bytes=", "bytes=x-", "bytes=5-4", "bytes=0-1,3-4", "lines=1-2", "bytes=+1-2"] {
            assert_eq!(asked(Some(text), 10), Asked::Whole, "{text}");
        }
    }
}
