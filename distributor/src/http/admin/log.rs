//! `GET /api/v1/log` and `…/log/verify`: what happened, one JSON object per line, and whether the log is intact.

use std::convert::Infallible;
use std::sync::Arc;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use sealpost_admin_api::log::{LogCheck, LogEntry, LogQuery};
use sealpost_site::changes::chain::LoggedEntry;
use sealpost_site::changes::summary::KINDS;
use sealpost_site::queries::Activity;
use tokio::sync::watch;

use crate::http::Site;
use crate::http::problem::{ApiError, bad_query};

/// Entries that are read at a time.
const PAGE: u32 = 500;

struct Cursor {
    site: Arc<Site>,
    filter: Activity,
    commits: Option<watch::Receiver<u64>>,
    done: bool,
}

/// Streams the entries, oldest first; with `follow` it goes on until the caller or the server ends it.
pub(crate) async fn log(
    State(site): State<Arc<Site>>,
    query: Result<Query<LogQuery>, QueryRejection>,
) -> Result<Response, ApiError> {
    let Query(query) = query.map_err(|error| bad_query(&error.body_text()))?;
    if let Some(kind) = &query.kind
        && !KINDS.contains(&kind.as_str())
    {
        // An empty answer would read as: it never happened.
        return Err(bad_query(&format!(
            "no entries are of the kind {kind:?}; kinds are {}",
            KINDS.join(", ")
        )));
    }
    let filter = Activity {
        after: query.after.unwrap_or(0),
        client: query.client,
        kind: query.kind,
        since: query.since,
        limit: Some(PAGE),
    };
    // Subscribed before the first read, so that nothing falls between.
    let commits = query.follow.unwrap_or(false).then(|| site.parts.ledger.subscribe());
    let mut cursor = Cursor { site, filter, commits, done: false };
    // The first page is read before the answer begins, so that its errors have a status.
    let first = page(&mut cursor).await?;
    let lines = stream::unfold((Some(first), cursor), |(first, mut cursor)| async move {
        if let Some(first) = first {
            return Some((Ok::<_, Infallible>(first), (None, cursor)));
        }
        let text = more(&mut cursor).await?;
        Some((Ok(text), (None, cursor)))
    });
    let mut response = Body::from_stream(lines).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
    Ok(response)
}

/// Re-computes the whole chain.
pub(crate) async fn verify(State(site): State<Arc<Site>>) -> Result<Json<LogCheck>, ApiError> {
    Ok(Json(site.parts.ledger.verify_log().await?.into()))
}

/// The next lines; `None` at the end.
async fn more(cursor: &mut Cursor) -> Option<Bytes> {
    loop {
        if cursor.done {
            cursor.commits.as_mut()?.changed().await.ok()?;
            cursor.done = false;
        }
        match page(cursor).await {
            Ok(lines) if lines.is_empty() => {}
            Ok(lines) => return Some(lines),
            // Logged where it was made; a cut stream tells the caller.
            Err(_logged) => return None,
        }
    }
}

async fn page(cursor: &mut Cursor) -> Result<Bytes, ApiError> {
    let head = cursor.site.parts.ledger.head();
    let entries = cursor.site.parts.ledger.query(cursor.filter.clone()).await?;
    cursor.done = entries.len() < PAGE as usize;
    if let Some(last) = entries.last() {
        cursor.filter.after = last.entry.sequence;
    }
    if cursor.done {
        // What the filter left out is not looked through again at each commit.
        cursor.filter.after = cursor.filter.after.max(head.sequence);
    }
    lines(entries)
}

fn lines(entries: Vec<LoggedEntry>) -> Result<Bytes, ApiError> {
    let mut text = Vec::new();
    for logged in entries {
        LogEntry::try_from(logged)
            .and_then(|entry| serde_json::to_writer(&mut text, &entry))
            .map_err(|error| ApiError::internal("write a log entry", &error))?;
        text.push(b'\n');
    }
    Ok(Bytes::from(text))
}
