//! `GET /api/v1/log/export`: the whole log, as a file that can be checked without the server.
//!
//! Invariant: the head that is signed is that of the moment of the request, and exactly its entries follow. What fails on
//! the way ends the answer early, and the reader finds that by the head.

use std::io;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use sealpost_manifests::log::{Checkpoint, LogExport};
use sealpost_site::queries::Activity;

use crate::http::Site;
use crate::http::problem::ApiError;

/// Entries that are read at a time.
const PAGE: u32 = 500;

/// How far an answer is.
struct Cursor {
    site: Arc<Site>,
    after: u64,
    /// The last entry that is asked for.
    end: u64,
}

pub(crate) async fn export(State(site): State<Arc<Site>>) -> Result<Response, ApiError> {
    let head = site.parts.ledger.head();
    let checkpoint = Checkpoint::sign(&head, &site.parts.log_key)
        .map_err(|error| ApiError::internal("sign a checkpoint", &error))?;
    let first = LogExport {
        server_id: site.parts.ledger.server_id(),
        site_key: site.parts.site_key.public(),
        log_key: site.parts.log_certificate.clone(),
        checkpoint,
    };
    let first = first.write().map_err(|error| ApiError::internal("write the export", &error))?;
    let cursor = Cursor { site, after: 0, end: head.size };
    let lines = stream::unfold((Some(first + "\n"), cursor), |(first, mut cursor)| async move {
        let lines = match first {
            Some(first) => Ok(Bytes::from(first)),
            None => more(&mut cursor).await?,
        };
        Some((lines, (None, cursor)))
    });
    let mut response = Body::from_stream(lines).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
    Ok(response)
}

/// The next lines; `None` at the end. Where it cannot go on an error ends the answer, so that nobody takes it for whole.
async fn more(cursor: &mut Cursor) -> Option<io::Result<Bytes>> {
    if cursor.after >= cursor.end {
        return None;
    }
    let page = Activity { after: cursor.after, limit: Some(PAGE), ..Activity::default() };
    // Logged where it is made an answer; here the cut answer tells the caller.
    let entries = cursor.site.parts.ledger.query(page).await.map_err(ApiError::from).unwrap_or_default();
    let mut lines = Vec::new();
    for entry in entries.into_iter().filter(|entry| entry.entry.sequence() <= cursor.end) {
        cursor.after = entry.entry.sequence();
        lines.extend_from_slice(&entry.bytes);
        lines.push(b'\n');
    }
    if lines.is_empty() {
        cursor.after = cursor.end;
        return Some(Err(io::Error::other("the log cannot be read further")));
    }
    Some(Ok(Bytes::from(lines)))
}
