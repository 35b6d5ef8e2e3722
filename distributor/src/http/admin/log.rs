//! `GET /api/v1/log` and what is below it: what happened, one JSON object per line, whether the log is intact, and what
//! auditors keep of it.

use std::io;
use std::sync::Arc;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use sealpost_admin_api::log::{LogCheck, LogEntry, LogQuery, MAX_LAST, MAX_WITNESSED, VerifyRequest};
use sealpost_files::with_causes;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::ComputerName;
use sealpost_manifests::log::{Checkpoint, LogProof, ProofPlan, leaf_of};
use sealpost_manifests::wire::problem::ProblemCode;
use sealpost_site::changes::chain::LoggedEntry;
use sealpost_site::changes::summary::KINDS;
use sealpost_site::queries::{
    Activity, ClientByName, KnownReleases, LogEnd, LogEntry as EntryBytes, MAX_PAGE, Only,
};
use sealpost_site::rules::account::{AccountKind, ByAccount};
use sealpost_site::rules::names::canonical;
use sealpost_site::rules::release::KnownRelease;
use tokio::sync::watch;

use crate::http::Site;
use crate::http::body::JsonBody;
use crate::http::problem::{ApiError, bad_query};

/// Shortest beginning of a digest by which a release is named.
const MIN_DIGEST_CHARS: usize = 12;
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
    let follow = query.follow.unwrap_or(false);
    let filter = filter(&site, query).await?;
    // Subscribed before the first read, so that nothing falls between.
    let commits = follow.then(|| site.parts.ledger.subscribe());
    let mut cursor = Cursor { site, filter, commits, done: false };
    // The first page is read before the answer begins, so that its errors have a status.
    let first = page(&mut cursor).await?;
    let lines = stream::unfold((Some(first), cursor), |(first, mut cursor)| async move {
        if let Some(first) = first {
            return Some((Ok::<_, io::Error>(first), (None, cursor)));
        }
        let text = more(&mut cursor).await?;
        Some((text, (None, cursor)))
    });
    let mut response = Body::from_stream(lines).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
    Ok(response)
}

/// What is wanted, checked: an empty answer would read as "it never happened".
async fn filter(site: &Site, query: LogQuery) -> Result<Activity, ApiError> {
    let kinds: Vec<String> =
        query.kind.iter().flat_map(|kinds| kinds.split(',')).map(|kind| kind.trim().to_owned()).collect();
    if let Some(kind) = kinds.iter().find(|kind| !KINDS.contains(&kind.as_str())) {
        return Err(ApiError::new(
            ProblemCode::BadRequest,
            format!("no entries are of the kind {kind:?}"),
            format!("kinds are {}", KINDS.join(", ")),
        ));
    }
    if query.since.zip(query.until).is_some_and(|(since, until)| since > until) {
        return Err(ApiError::new(ProblemCode::BadRequest, "`until` is before `since`", "swap them"));
    }
    let limit = match query.last {
        Some(last) if last > MAX_LAST => {
            let most = format!("at most the last {MAX_LAST} entries can be asked for; --since goes further");
            return Err(bad_query(&most));
        }
        last => last,
    };
    let client = match query.client {
        Some(name) => Some(known_computer(site, name).await?),
        None => None,
    };
    let releases = match &query.release {
        Some(reference) => known_releases(site, reference).await?,
        None => Vec::new(),
    };
    let by = match &query.by {
        Some(by) => Some(known_admin(site, by).await?),
        None => None,
    };
    let only = match (query.failed, query.without_absent_hooks) {
        (Some(true), _) => Only::Failures,
        (_, Some(true)) => Only::WithoutAbsentHooks,
        _ => Only::Everything,
    };
    let wanted = Activity {
        after: query.after.unwrap_or(0),
        client,
        kind: None,
        kinds,
        releases,
        by,
        only,
        since: query.since,
        until: query.until,
        end: LogEnd::Oldest,
        limit: Some(PAGE),
    };
    match limit {
        None => Ok(wanted),
        // The head as it is now: what comes later is later than the last ones.
        Some(0) => Ok(Activity { after: site.parts.ledger.head().size, ..wanted }),
        Some(_) => {
            let newest = Activity { end: LogEnd::Newest, limit, ..wanted.clone() };
            let first = site.parts.ledger.query(newest).await?.first().map(|logged| logged.entry.sequence());
            Ok(match first {
                Some(first) => Activity { after: first.saturating_sub(1), ..wanted },
                None => wanted,
            })
        }
    }
}

/// The name under which a computer is found in the log or in the list, in whatever spelling it was given.
async fn known_computer(site: &Site, name: ComputerName) -> Result<ComputerName, ApiError> {
    let ledger = &site.parts.ledger;
    let plain = canonical(&name);
    for spelling in [&name, &plain] {
        let entries = Activity { client: Some(spelling.clone()), limit: Some(1), ..Activity::default() };
        if !ledger.query(entries).await?.is_empty()
            || ledger.query(ClientByName { name: spelling.clone() }).await?.is_some()
        {
            return Ok(spelling.clone());
        }
    }
    Err(ApiError::not_found(
        format!("nothing is known of a computer named {name}"),
        "`distributor clients list` shows all names",
    ))
}

/// The manifests of the releases that a reference names: of all of a package, or of one version.
async fn known_releases(site: &Site, reference: &str) -> Result<Vec<Sha256Digest>, ApiError> {
    let (ledger, reference) = (&site.parts.ledger, reference.strip_prefix("sha256:").unwrap_or(reference));
    let known = ledger.all(|after| KnownReleases { after, limit: MAX_PAGE }, |known| known.manifest).await?;
    let named = known.into_iter().filter(|known| is_named(reference, known));
    let manifests: Vec<Sha256Digest> = named.map(|known| known.manifest).collect();
    if manifests.is_empty() {
        return Err(ApiError::not_found(
            format!("nothing is known of a release {reference:?}"),
            "name it PACKAGE, PACKAGE:VERSION or by 12 or more digits of its manifest digest; `distributor updates list` \
             shows all",
        ));
    }
    Ok(manifests)
}

fn is_named(reference: &str, known: &KnownRelease) -> bool {
    let is_digest =
        reference.len() >= MIN_DIGEST_CHARS && reference.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_digest && known.manifest.to_string().starts_with(&reference.to_ascii_lowercase()) {
        return true;
    }
    let (release, mut parts) = (&known.release, reference.splitn(3, ':'));
    parts.next() == Some(release.package.as_str())
        && parts.next().is_none_or(|version| version == release.version.as_str())
        && parts.next().is_none_or(|platform| platform == release.platform.as_str())
}

/// A mistyped name is no empty log; and a name that an account and a token have is two admins.
async fn known_admin(site: &Site, typed: &str) -> Result<ByAccount, ApiError> {
    let by = ByAccount::typed(typed);
    let mut kinds = Vec::new();
    for kind in [AccountKind::Socket, AccountKind::Token] {
        let of_kind = ByAccount { kind: Some(kind), name: by.name.clone() };
        let entries = Activity { by: Some(of_kind), limit: Some(1), ..Activity::default() };
        if by.kind.is_none_or(|asked| asked == kind) && !site.parts.ledger.query(entries).await?.is_empty() {
            kinds.push(kind);
        }
    }
    match kinds.as_slice() {
        [] => Err(ApiError::not_found(
            format!("no admin named {typed:?} has done anything"),
            "names are those of accounts of the server and of tokens, or ids of tokens: `distributor log` and \
             `distributor token list` show them",
        )),
        [kind] => Ok(ByAccount { kind: Some(*kind), ..by }),
        _ => Err(ApiError::new(
            ProblemCode::BadRequest,
            format!("{typed:?} is the name of an account of the server and of an admin token"),
            format!("say which is meant: socket:{0} or token:{0}", by.name),
        )),
    }
}

/// Re-computes the whole log.
pub(crate) async fn verify(
    State(site): State<Arc<Site>>,
    JsonBody(request): JsonBody<VerifyRequest>,
) -> Result<Json<LogCheck>, ApiError> {
    let VerifyRequest { mut witnessed, checkpoints } = request;
    if witnessed.len() + checkpoints.len() > MAX_WITNESSED {
        return Err(bad_query(&format!("at most {MAX_WITNESSED} heads are compared at once")));
    }
    let key = site.parts.log_key.public();
    for note in &checkpoints {
        let checkpoint = Checkpoint::verify(note, key, key.name()).map_err(|error| {
            ApiError::new(
                ProblemCode::BadRequest,
                format!("a checkpoint is not one of this server's log: {}", with_causes(&error)),
                "give a file that `distributor log checkpoint` of this server wrote",
            )
        })?;
        witnessed.push(checkpoint.head);
    }
    Ok(Json(site.parts.ledger.verify_log(witnessed).await?.into()))
}

/// The signed head of the log as it is now.
pub(crate) async fn checkpoint(State(site): State<Arc<Site>>) -> Result<Response, ApiError> {
    let note = Checkpoint::sign(&site.parts.ledger.head(), &site.parts.log_key)
        .map_err(|error| ApiError::internal("sign a checkpoint", &error))?;
    Ok(note.as_str().to_owned().into_response())
}

/// A proof that an entry stands in the log, which can be checked without the log.
pub(crate) async fn prove(
    State(site): State<Arc<Site>>,
    Path(sequence): Path<u64>,
) -> Result<Response, ApiError> {
    let ledger = &site.parts.ledger;
    let head = ledger.head();
    let missing = || {
        ApiError::not_found(
            format!("the log has no entry {sequence}; its newest is {}", head.size),
            "see `distributor log` for the numbers",
        )
    };
    let index = leaf_of(sequence).ok_or_else(missing)?;
    let plan = ProofPlan::inclusion(index, head.size).map_err(|_| missing())?;
    let entry = ledger.query(EntryBytes { sequence }).await?.ok_or_else(missing)?;
    let inclusion = ledger.prove(plan).await?.ok_or_else(|| {
        ApiError::new(
            ProblemCode::Internal,
            "the log's tree is not whole",
            "run `distributor log verify`, and restore a backup if it finds damage",
        )
    })?;
    let checkpoint = Checkpoint::sign(&head, &site.parts.log_key)
        .map_err(|error| ApiError::internal("sign a checkpoint", &error))?;
    let certificate = site.parts.log_certificate.clone();
    let text = LogProof::new(entry, index, inclusion, checkpoint, certificate)
        .and_then(|proof| proof.write())
        .map_err(|error| ApiError::internal("write a proof", &error))?;
    let kind = (header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(([kind], text).into_response())
}

/// The next lines; `None` at the end.
async fn more(cursor: &mut Cursor) -> Option<io::Result<Bytes>> {
    loop {
        if cursor.done {
            cursor.commits.as_mut()?.changed().await.ok()?;
            cursor.done = false;
        }
        match page(cursor).await {
            Ok(lines) if lines.is_empty() => {}
            Ok(lines) => return Some(Ok(lines)),
            // Logged where it was made; an answer that breaks off tells the caller.
            Err(_logged) => return Some(Err(io::Error::other("the log cannot be read further"))),
        }
    }
}

async fn page(cursor: &mut Cursor) -> Result<Bytes, ApiError> {
    let head = cursor.site.parts.ledger.head();
    let entries = cursor.site.parts.ledger.query(cursor.filter.clone()).await?;
    cursor.done = entries.len() < PAGE as usize;
    if let Some(last) = entries.last() {
        cursor.filter.after = last.entry.sequence();
    }
    if cursor.done {
        // What the filter left out is not looked through again at each commit.
        cursor.filter.after = cursor.filter.after.max(head.size);
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
