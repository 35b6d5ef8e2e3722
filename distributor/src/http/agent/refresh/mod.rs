//! `POST /agent/v1/tuf/refresh`: the metadata and documents that a client does not hold yet, and its ways by deltas, in one
//! answer.
//!
//! Invariant: nothing is in an answer that the client could not ask for by itself. What does not fit, is not here or is not
//! for this client is left out: asked for by itself, it is answered with the reason.

mod newer;
mod room;
mod way;
mod ways;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use sealpost_manifests::wire::refresh::{
    FilePatch, MAX_DOCUMENTS, MAX_FILES_BYTES, MAX_ROLES, RefreshAnswer, RefreshRequest,
};
use sealpost_site::rules::admission::{Admission, Identity, decide};

use self::newer::{Newer, NewerRole};
use self::room::Room;
use self::ways::{takes_deltas, ways};
use super::targets::waits_for_link;
use crate::http::Site;
use crate::http::admission::{Caller, holder_of, resource_of};
use crate::http::body::JsonBody;
use crate::http::coding;
use crate::http::problem::ApiError;
use crate::ports::blobs::BlobStore;
use crate::ports::upstream::{TargetClass, TargetEntry, Upstream};

/// Longest time that an answer waits for deltas of metadata to be made; then it has the files.
const PATCHES_WITHIN: Duration = Duration::from_secs(5);

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
    let newer = request.metadata.as_ref().and_then(|held| {
        let names = site.parts.upstream.metadata_names();
        Newer::of(&names, held, &packages)
    });
    let patches = match &newer {
        Some(newer) if takes_deltas(&request) => patches(&site, newer.roles()).await,
        _ => BTreeMap::new(),
    };
    let (upstream, blobs) = (Arc::clone(&site.parts.upstream), Arc::clone(&site.parts.blobs));
    let gathered = tokio::task::spawn_blocking(move || {
        let mut room = Room::of(MAX_FILES_BYTES);
        let metadata = newer.zip(request.metadata);
        let metadata =
            metadata.map(|(newer, held)| newer.gather(&*upstream, &held, patches, &mut room)).transpose()?;
        let documents = documents(&*blobs, entries, &mut room);
        Ok::<_, ApiError>(RefreshAnswer { metadata: metadata.flatten(), documents, ways })
    });
    let answer = gathered.await.map_err(|error| ApiError::internal("gather what is newer", &error))??;
    coding::json(&headers, &answer, Some(&site.packed_answers)).await
}

/// The files that are sent as deltas from what is held, by their names.
async fn patches(site: &Site, roles: &[NewerRole]) -> BTreeMap<String, FilePatch> {
    let mut patches = BTreeMap::new();
    // Before any file is read: a delta of newer ones is dropped with the older generation.
    let Some(generation) = site.parts.upstream.generation() else { return patches };
    let until = tokio::time::Instant::now() + PATCHES_WITHIN;
    for NewerRole { name, held } in roles {
        let Some((base, version)) = held else { continue };
        // What somebody made up, or held long ago, takes nothing from anybody.
        if !site.parts.upstream.is_recent(base) {
            continue;
        }
        let upstream = Arc::clone(&site.parts.upstream);
        let read = move |name: &str| upstream.metadata(name).ok().flatten();
        if let Some(delta) = site.patches.between(generation, base, name, until, read).await {
            patches.insert(name.clone(), FilePatch { from: *version, delta: delta.to_string() });
        }
    }
    patches
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

/// The documents, as they are stored. One that is damaged or not there is left out.
fn documents(blobs: &dyn BlobStore, entries: Vec<TargetEntry>, room: &mut Room) -> BTreeMap<String, String> {
    let mut documents = BTreeMap::new();
    for entry in entries {
        if usize::try_from(entry.length).map_or(true, |length| length > room.left()) {
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
