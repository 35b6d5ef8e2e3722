//! The repository's files over HTTP: strict names, single ranges, bounded chunks from disk.
//!
//! Invariant: a request names one file directly in one of the two folders; a name is used only if it is of the shape
//! that the publisher writes, so it has no separator, is not `.` or `..`, and does not begin with a dot (which also
//! hides unfinished files). Links are not followed.
//! Left out on purpose: listings, compression, several ranges at once (the standard allows the whole file as
//! the answer).

use std::io::{self, SeekFrom};
use std::path::PathBuf;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use sealpost_manifests::wire::problem::{Problem, ProblemCode};
use tokio::fs::{File, OpenOptions};
use tokio::io::{AsyncReadExt, AsyncSeekExt};

use super::refused::Refused;

/// Bytes per chunk that is read from disk: what one slow reader holds in memory.
const CHUNK_BYTES: usize = 64 * 1024;
/// Longest file name that file systems take, in bytes.
const MAX_NAME_BYTES: usize = 255;

/// One of the two folders, with the content type of its files.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    content_type: &'static str,
}

impl Folder {
    pub(super) const fn metadata(path: PathBuf) -> Self {
        Self { path, content_type: "application/json" }
    }

    pub(super) const fn targets(path: PathBuf) -> Self {
        Self { path, content_type: "application/octet-stream" }
    }
}

pub(super) async fn file(
    State(folder): State<Arc<Folder>>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    send(&folder, &name, &headers).await
}

async fn send(folder: &Folder, name: &str, headers: &HeaderMap) -> Result<Response, Refused> {
    if !is_repository_name(name) {
        return Err(absent());
    }
    let mut file = open(folder, name).await?;
    let length = file.metadata().await.map_err(|error| unreadable(name, &error))?.len();
    let range = match requested_range(headers, length) {
        Requested::Whole => None,
        Requested::Part { first, last } => Some((first, last)),
        Requested::Beyond => return Ok(beyond(length)),
    };
    let (first, count) = range.map_or((0, length), |(first, last)| (first, last - first + 1));
    if first > 0 {
        file.seek(SeekFrom::Start(first)).await.map_err(|error| unreadable(name, &error))?;
    }
    let mut response = Body::from_stream(chunks(file, count)).into_response();
    let answer = response.headers_mut();
    answer.insert(header::CONTENT_TYPE, HeaderValue::from_static(folder.content_type));
    answer.insert(header::CONTENT_LENGTH, HeaderValue::from(count));
    answer.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    // The timestamp changes; everything else has its version or digest in its name.
    let caching = if name == "timestamp.json" { "no-cache" } else { "public, max-age=31536000, immutable" };
    answer.insert(header::CACHE_CONTROL, HeaderValue::from_static(caching));
    if let Some((first, last)) = range
        && let Ok(value) = HeaderValue::try_from(format!("bytes {first}-{last}/{length}"))
    {
        answer.insert(header::CONTENT_RANGE, value);
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
    Ok(response)
}

async fn open(folder: &Folder, name: &str) -> Result<File, Refused> {
    // `O_NONBLOCK`: a FIFO that somebody put there must not hold a thread.
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let flags = i32::try_from(flags.bits()).unwrap_or_default();
    let file = match OpenOptions::new().read(true).custom_flags(flags).open(folder.path.join(name)).await {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(absent()),
        // A link, which is not followed.
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => {
            return Err(absent());
        }
        Err(error) => return Err(unreadable(name, &error)),
    };
    match file.metadata().await {
        Ok(metadata) if metadata.is_file() => Ok(file),
        Ok(_) => Err(absent()),
        Err(error) => Err(unreadable(name, &error)),
    }
}

/// Exactly `count` bytes of the file. An error cuts the connection, so that nobody takes a short file for a whole one.
fn chunks(file: File, count: u64) -> impl stream::Stream<Item = io::Result<Bytes>> + Send {
    stream::try_unfold((file, count), |(mut file, left)| async move {
        if left == 0 {
            return Ok(None);
        }
        let want = usize::try_from(left).unwrap_or(CHUNK_BYTES).min(CHUNK_BYTES);
        let mut chunk = vec![0; want];
        let got = file.read(&mut chunk).await?;
        if got == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
        }
        chunk.truncate(got);
        Ok(Some((Bytes::from(chunk), (file, left - got as u64))))
    })
}

/// The shapes that the publisher writes: letters, digits and `._+-`, not beginning with a dot.
fn is_repository_name(name: &str) -> bool {
    name.len() <= MAX_NAME_BYTES
        && name.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'+' | b'-'))
}

#[derive(Debug, PartialEq, Eq)]
enum Requested {
    Whole,
    Part { first: u64, last: u64 },
    Beyond,
}

/// RFC 9110, 14.2: what is not one well-formed byte range is ignored, and the whole file is the answer.
fn requested_range(headers: &HeaderMap, length: u64) -> Requested {
    let mut lines = headers.get_all(header::RANGE).iter();
    let (Some(line), None) = (lines.next(), lines.next()) else { return Requested::Whole };
    let Ok(text) = line.to_str() else { return Requested::Whole };
    // Without validators a condition cannot be checked, so the range is ignored.
    if headers.contains_key(header::IF_RANGE) {
        return Requested::Whole;
    }
    let Some((first, last)) = text.strip_prefix("bytes=").and_then(|range| range.trim().split_once('-'))
    else {
        return Requested::Whole;
    };
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(first) || !digits(last) {
        return Requested::Whole;
    }
    match (first.parse::<u64>(), last.parse::<u64>()) {
        (Ok(first), Ok(last)) if first > last => Requested::Whole,
        (Ok(first), _) if first >= length => Requested::Beyond,
        (Ok(first), Ok(last)) => Requested::Part { first, last: last.min(length - 1) },
        (Ok(first), Err(_)) if last.is_empty() => Requested::Part { first, last: length - 1 },
        (Err(_), Ok(0)) if first.is_empty() => Requested::Beyond,
        (Err(_), Ok(_)) if first.is_empty() && length == 0 => Requested::Beyond,
        (Err(_), Ok(suffix)) if first.is_empty() => {
            Requested::Part { first: length.saturating_sub(suffix), last: length - 1 }
        }
        _ => Requested::Whole,
    }
}

fn beyond(length: u64) -> Response {
    let mut response = StatusCode::RANGE_NOT_SATISFIABLE.into_response();
    if let Ok(value) = HeaderValue::try_from(format!("bytes */{length}")) {
        response.headers_mut().insert(header::CONTENT_RANGE, value);
    }
    response
}

fn absent() -> Refused {
    Refused(Problem::new(ProblemCode::NotFound, "there is no such file in the repository", ""))
}

fn unreadable(name: &str, error: &io::Error) -> Refused {
    tracing::error!(name, %error, "cannot read a file of the repository");
    Refused(Problem::new(
        ProblemCode::Internal,
        "the file cannot be read",
        "try again later, or tell the vendor; the server's log says more",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(text: &str, length: u64) -> Requested {
        let mut headers = HeaderMap::new();
        headers.insert(header::RANGE, HeaderValue::from_str(text).unwrap());
        requested_range(&headers, length)
    }

    #[test]
    fn a_single_range_is_understood_and_everything_else_is_the_whole_file() {
        assert_eq!(range("bytes=0-", 10), Requested::Part { first: 0, last: 9 });
        assert_eq!(range("bytes=4-6", 10), Requested::Part { first: 4, last: 6 });
        assert_eq!(range("bytes=4-600", 10), Requested::Part { first: 4, last: 9 });
        assert_eq!(range("bytes=-3", 10), Requested::Part { first: 7, last: 9 });
        assert_eq!(range("bytes=-30", 10), Requested::Part { first: 0, last: 9 });
        let beyond_numbers = "bytes=99999999999999999999-";
        for odd in [
            "bytes=",
            "bytes=-",
            "bytes=6-4",
            "bytes=0-1,4-5",
            "lines=0-1",
            "bytes=+1-2",
            "bytes=x-",
            beyond_numbers,
        ] {
            assert_eq!(range(odd, 10), Requested::Whole, "{odd}");
        }
        let last = format!("bytes=3-{}", u64::MAX);
        assert_eq!(range(&last, 10), Requested::Part { first: 3, last: 9 });
        let mut twice = HeaderMap::new();
        twice.append(header::RANGE, HeaderValue::from_static("bytes=0-1"));
        twice.append(header::RANGE, HeaderValue::from_static("bytes=4-5"));
        assert_eq!(requested_range(&twice, 10), Requested::Whole);
        for beyond in ["bytes=10-", "bytes=10-12", "bytes=-0"] {
            assert_eq!(range(beyond, 10), Requested::Beyond, "{beyond}");
        }
        for beyond in ["bytes=0-", "bytes=-1"] {
            assert_eq!(range(beyond, 0), Requested::Beyond, "{beyond}");
        }
    }

    #[test]
    fn only_names_that_the_publisher_writes_are_looked_up() {
        for good in ["timestamp.json", "7.acme-av.json", "0ab1.acme_1.0+b_linux-x86_64.tar.gz"] {
            assert!(is_repository_name(good), "{good}");
        }
        for bad in [
            "",
            ".",
            "..",
            "../vendor.toml",
            "..%2f",
            "a/b",
            ".unfinished-x",
            "a\\b",
            "a\0",
            &"a".repeat(256),
        ] {
            assert!(!is_repository_name(bad), "{bad}");
        }
    }
}
