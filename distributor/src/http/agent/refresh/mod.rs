//! `POST /agent/v1/tuf/refresh`: the metadata and documents that a client does not hold yet, and its ways by deltas, in one
//! answer.
//!
//! Invariant: nothing is in an answer that the client could not ask for by itself. What does not fit, is not here or is not
//! for this client is left out: asked for by itself, it is answered with the reason.

mod way;
mod ways;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use sealpost_manifests::wire::refresh::{
    HeldMetadata, MAX_DOCUMENTS, MAX_FILES_BYTES, MAX_ROLES, NewMetadata, RefreshAnswer, RefreshRequest,
};
use sealpost_repository::version_of;
use sealpost_site::rules::admission::{Admission, Identity, decide};

use self::ways::ways;
use super::targets::waits_for_link;
use crate::http::Site;
use crate::http::admission::{Caller, holder_of, resource_of};
use crate::http::body::JsonBody;
use crate::http::coding;
use crate::http::problem::ApiError;
use crate::ports::blobs::BlobStore;
use crate::ports::upstream::{TargetClass, TargetEntry, Upstream};

/// Most roots in one answer; who is further behind asks for the others by itself.
const MAX_ROOTS: usize = 32;

/// Answers what is newer than what the client holds.
pub(crate) async fn refresh(
    State(site): State<Arc<Site>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    JsonBody(request): JsonBody<RefreshRequest>,
) -> Result<Response, ApiError> {
    let entries: Vec<TargetEntry> = match &caller {
        Caller::Client(row, _) => {
            let (identity, now) = (Identity::Client(holder_of(row)), site.now());
            let asked = request.documents.iter().take(MAX_DOCUMENTS);
            let known = asked.filter_map(|name| site.parts.upstream.target_named(name.as_str()));
            known
                .filter(|entry| !waits_for_link(entry) && !request.held.contains(&entry.sha256))
                .filter(|entry| decide(identity, resource_of(entry), now) == Admission::Allowed)
                .collect()
        }
        Caller::Unnamed => Vec::new(),
    };
    let ways = match &caller {
        Caller::Client(row, _) => ways(&site, row, &request, site.now()).await?,
        Caller::Unnamed => Vec::new(),
    };
    let packages = packages_of(&request, &*site.parts.upstream);
    let (upstream, blobs) = (Arc::clone(&site.parts.upstream), Arc::clone(&site.parts.blobs));
    let gathered = tokio::task::spawn_blocking(move || {
        let mut room = Room(MAX_FILES_BYTES);
        let metadata =
            request.metadata.map(|held| newer(&*upstream, &held, &packages, &mut room)).transpose()?;
        let documents = documents(&*blobs, entries, &mut room);
        Ok::<_, ApiError>(RefreshAnswer { metadata: metadata.flatten(), documents, ways })
    });
    let answer = gathered.await.map_err(|error| ApiError::internal("gather what is newer", &error))??;
    coding::json(&headers, &answer).await
}

/// The bytes that an answer still has room for.
struct Room(usize);

impl Room {
    /// The text, if it fits.
    fn take(&mut self, bytes: Vec<u8>) -> Option<String> {
        let left = self.0.checked_sub(bytes.len())?;
        let text = String::from_utf8(bytes).ok()?;
        self.0 = left;
        Some(text)
    }
}

/// The packages whose roles list the documents that are asked for.
fn packages_of(request: &RefreshRequest, upstream: &dyn Upstream) -> BTreeSet<String> {
    let asked = request.documents.iter().take(MAX_DOCUMENTS);
    let known = asked.filter_map(|name| upstream.target_named(name.as_str()));
    let packages = known.filter_map(|entry| match entry.class {
        TargetClass::Trust => None,
        TargetClass::Channels { package } => Some(package.to_string()),
        TargetClass::Release { release, .. } => Some(release.package.to_string()),
    });
    packages.take(MAX_ROLES).collect()
}

/// What is newer of the metadata; `None` before the first pull.
fn newer(
    upstream: &dyn Upstream,
    held: &HeldMetadata,
    packages: &BTreeSet<String>,
    room: &mut Room,
) -> Result<Option<NewMetadata>, ApiError> {
    let read =
        |name: &str| upstream.metadata(name).map_err(|error| ApiError::internal("read its metadata", &error));
    let names = upstream.metadata_names();
    let versioned = |name: &String| {
        let (version, role) = name.strip_suffix(".json")?.split_once('.')?;
        Some((role.to_owned(), version.parse::<u64>().ok()?))
    };
    let mut newest: BTreeMap<String, u64> = BTreeMap::new();
    for (role, version) in names.iter().filter_map(versioned) {
        let known = newest.entry(role).or_insert(version);
        *known = (*known).max(version);
    }
    let Some(timestamp_bytes) = read("timestamp.json")? else { return Ok(None) };
    let (Some(root), Some(timestamp)) = (newest.get("root").copied(), version_of(&timestamp_bytes)) else {
        return Ok(None);
    };
    let mut files = BTreeMap::new();
    let mut put = |name: String, bytes: Vec<u8>| {
        if let Some(text) = room.take(bytes) {
            files.insert(name, text);
        }
    };
    for version in (held.root.saturating_add(1)..=root).take(MAX_ROOTS) {
        let name = format!("{version}.root.json");
        if let Some(bytes) = read(&name)? {
            put(name, bytes);
        }
    }
    // Under a new root what is held may count no more.
    if held.timestamp != Some(timestamp) || held.root != root {
        put("timestamp.json".to_owned(), timestamp_bytes);
    }
    let top = ["snapshot", "targets"].into_iter().map(str::to_owned);
    for role in top.chain(packages.iter().cloned()) {
        let Some(version) = newest.get(&role) else { continue };
        if held.root == root && held.roles.get(&role) == Some(version) {
            continue;
        }
        let name = format!("{version}.{role}.json");
        if let Some(bytes) = read(&name)? {
            put(name, bytes);
        }
    }
    Ok(Some(NewMetadata { root, timestamp, files, patches: BTreeMap::new() }))
}

/// The documents, as they are stored. One that is damaged or not there is left out.
fn documents(blobs: &dyn BlobStore, entries: Vec<TargetEntry>, room: &mut Room) -> BTreeMap<String, String> {
    let mut documents = BTreeMap::new();
    for entry in entries {
        if usize::try_from(entry.length).map_or(true, |length| length > room.0) {
            continue;
        }
        if let Ok(Some(bytes)) = blobs.read(&entry.sha256, entry.length)
            && let Some(text) = room.take(bytes)
        {
            documents.insert(format!("{}.{}", entry.sha256, entry.name), text);
        }
    }
    documents
}
