//! Fetching a delta, continuing where an earlier try ended.
//!
//! Invariant: the file never gets longer than allowed. A delta is not signed, so the bytes of two tries may not belong
//! together; then applying it fails, and the payload is fetched.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use futures_util::StreamExt;
use reqwest::header::{AUTHORIZATION, CONTENT_RANGE, HeaderValue, RANGE};
use reqwest::{Response, StatusCode};
use sealpost_manifests::wire::report::ReasonCode;
use sealpost_repository::{TransportError, retry_after};

use crate::domain::release::Refusal;

use super::meter::Meter;
use super::origin::Origin;
use super::reason::{file_refusal, refusal};

/// Fetches once; `false` if the server has none. What was received of an answer that is cut off stays in the file.
pub(super) async fn fetch(
    origin: &Origin,
    meter: &Meter,
    url: &str,
    (destination, max_bytes): (&Path, u64),
) -> Result<bool, Refusal> {
    let mut file = open(destination).map_err(|error| file_refusal(&error))?;
    let kept = file.metadata().map_err(|error| file_refusal(&error))?.len();
    let response = ask(origin, url, kept).await?;
    let mut received = match response.status() {
        StatusCode::OK => 0,
        StatusCode::PARTIAL_CONTENT if kept > 0 && first_byte(&response) == Some(kept) => kept,
        status => {
            if let Some(after) = retry_after(&response) {
                return Err(Refusal::later("the link to the server is in use by other computers", after));
            }
            // The answer is not the rest of what is kept: the next try asks for the whole.
            file.set_len(0).map_err(|error| file_refusal(&error))?;
            if status == StatusCode::NOT_FOUND {
                return Ok(false);
            }
            let detail = format!("the server answered a request for a delta with status {status}");
            return Err(Refusal::new(ReasonCode::NetworkFailed, detail));
        }
    };
    file.set_len(received).map_err(|error| file_refusal(&error))?;
    file.seek(SeekFrom::Start(received)).map_err(|error| file_refusal(&error))?;
    let unreachable = {
        let url = url.to_owned();
        move |error: reqwest::Error| TransportError::Unreachable {
            location: url.clone(),
            source: error.without_url(),
        }
    };
    let body =
        response.bytes_stream().map(move |chunk| chunk.map(|bytes| bytes.to_vec()).map_err(&unreachable));
    let mut chunks = origin.pace.keep(url.to_owned(), body.boxed());
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|error| refusal(of_body(&error), &error))?;
        meter.add_payload(chunk.len());
        received = received.saturating_add(u64::try_from(chunk.len()).unwrap_or(u64::MAX));
        if received > max_bytes {
            file.set_len(0).map_err(|error| file_refusal(&error))?;
            let detail = format!("the delta is longer than the payload of {max_bytes} bytes");
            return Err(Refusal::new(ReasonCode::PayloadInvalid, detail));
        }
        file.write_all(&chunk).map_err(|error| file_refusal(&error))?;
    }
    Ok(true)
}

/// A server or line that is too slow is as slow for the payload, which is larger: what came is gone on with later.
const fn of_body(error: &TransportError) -> ReasonCode {
    match error {
        TransportError::TooSlow { .. } => ReasonCode::Interrupted,
        _ => ReasonCode::NetworkFailed,
    }
}

async fn ask(origin: &Origin, url: &str, from: u64) -> Result<Response, Refusal> {
    let mut request = origin.client.get(url);
    if from > 0 {
        request = request.header(RANGE, format!("bytes={from}-"));
    }
    if let Some(token) = &origin.token {
        let mut bearer = HeaderValue::try_from(format!("Bearer {token}"))
            .map_err(|error| refusal(ReasonCode::NetworkFailed, &error))?;
        bearer.set_sensitive(true);
        request = request.header(AUTHORIZATION, bearer);
    }
    request.send().await.map_err(|error| refusal(ReasonCode::NetworkFailed, &error.without_url()))
}

/// The offset at which a partial answer begins.
fn first_byte(response: &Response) -> Option<u64> {
    let range = response.headers().get(CONTENT_RANGE)?.to_str().ok()?;
    range.strip_prefix("bytes ")?.split_once('-')?.0.parse().ok()
}

pub(super) fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}
