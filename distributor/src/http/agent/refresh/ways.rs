//! The ways by deltas to what a client is to run.
//!
//! Invariants: a way leads only to what the client may have, and only through releases that the rules let it pass; the ledger is
//! asked once for each release, and not at all for a way that passes none.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::ChannelName;
use sealpost_manifests::wire::refresh::{DELTA_CONTAINER, DeltaWay, Hop, MAX_ROUTES, RefreshRequest, Route};
use sealpost_site::queries::KnownReleaseOf;
use sealpost_site::rows::HolderRow;
use sealpost_site::rules::admission::{Admission, Identity, Resource, decide};
use sealpost_site::rules::passing::may_pass;
use sealpost_site::rules::release::KnownRelease;

use super::way::shortest;
use crate::http::Site;
use crate::http::admission::holder_of;
use crate::http::problem::ApiError;
use crate::ports::staging::{DeltaEdges, NOTHING, release_of};

/// Whether a request takes deltas as they are made today.
pub(super) fn takes_deltas(request: &RefreshRequest) -> bool {
    request.container.is_some_and(|newest| newest >= DELTA_CONTAINER)
}

/// The ways that the client asked for and may go.
pub(super) async fn ways(
    site: &Site,
    row: &HolderRow,
    request: &RefreshRequest,
    now: Timestamp,
) -> Result<Vec<DeltaWay>, ApiError> {
    let mut ways: Vec<DeltaWay> = Vec::new();
    if !takes_deltas(request) {
        return Ok(ways);
    }
    let identity = Identity::Client(holder_of(row));
    let (edges, channel) = (site.parts.staging.edges(), &row.channel);
    let mut map = Map { site, channel, edges, known: BTreeMap::new() };
    let asked = request.routes.iter().take(MAX_ROUTES);
    for Route { from, to } in
        asked.filter(|route| decide(identity, Resource::Delta(&route.to), now) == Admission::Allowed)
    {
        for start in from.filter(|from| *from != NOTHING).map(Some).into_iter().chain([None]) {
            let hops = match start {
                Some(from) => map.best(from, *to).await?,
                None => map.packed(*to).await?,
            };
            let found = hops.map(|hops| DeltaWay { from: start, hops });
            if let Some(way) = found.filter(|way| !ways.contains(way)) {
                ways.push(way);
            }
        }
    }
    Ok(ways)
}

/// What is known of deltas and of the releases between them, for one request.
struct Map<'a> {
    site: &'a Site,
    /// The channel of whoever asks.
    channel: &'a ChannelName,
    edges: Arc<DeltaEdges>,
    known: BTreeMap<Sha256Digest, Option<KnownRelease>>,
}

impl Map<'_> {
    /// The best way from one release to another. What cannot be used of it is taken out, and it is looked for anew.
    async fn best(&mut self, from: Sha256Digest, to: Sha256Digest) -> Result<Option<Vec<Hop>>, ApiError> {
        let mut edges = Arc::clone(&self.edges);
        loop {
            let Some(hops) = shortest(&from, &to, &edges) else { return Ok(None) };
            if let Some(closed) = self.closed(&from, &hops, &to).await? {
                Arc::make_mut(&mut edges).remove(&closed);
            } else if let Some((base, target)) = self.gone(from, &hops).await? {
                let edges = Arc::make_mut(&mut edges).get_mut(&target);
                edges.map(|bases| bases.remove(&base));
            } else {
                return Ok(Some(hops));
            }
        }
    }

    /// The delta from nothing.
    async fn packed(&mut self, to: Sha256Digest) -> Result<Option<Vec<Hop>>, ApiError> {
        let Some(delta) = self.edges.get(&to).and_then(|bases| bases.get(&NOTHING)) else { return Ok(None) };
        let hops = vec![Hop { to, bytes: delta.length }];
        let gone = self.gone(NOTHING, &hops).await?;
        Ok(gone.is_none().then_some(hops))
    }

    /// The first release between that the way may not lead through.
    async fn closed(
        &mut self,
        from: &Sha256Digest,
        hops: &[Hop],
        to: &Sha256Digest,
    ) -> Result<Option<Sha256Digest>, ApiError> {
        let between = hops.split_last().map_or(&[][..], |(_, between)| between);
        let mut base = from;
        for hop in between {
            let (passed, end) = (self.known(hop.to).await?, self.known(*to).await?);
            let is_open = passed
                .zip(end)
                .is_some_and(|(passed, end)| may_pass(release_of(base), &passed, &end, self.channel));
            if !is_open {
                return Ok(Some(hop.to));
            }
            base = &hop.to;
        }
        Ok(None)
    }

    /// The first delta whose blob is not there, or not whole.
    async fn gone(
        &self,
        from: Sha256Digest,
        hops: &[Hop],
    ) -> Result<Option<(Sha256Digest, Sha256Digest)>, ApiError> {
        let bases = std::iter::once(from).chain(hops.iter().map(|hop| hop.to));
        let pairs: Vec<_> = bases.zip(hops.iter().map(|hop| hop.to)).collect();
        let (edges, blobs) = (Arc::clone(&self.edges), Arc::clone(&self.site.parts.blobs));
        let look = move || {
            pairs.into_iter().find(|(base, target)| {
                let delta = edges.get(target).and_then(|bases| bases.get(base));
                !delta.is_some_and(|delta| {
                    blobs.length(&delta.sha256).is_ok_and(|length| length == Some(delta.length))
                })
            })
        };
        tokio::task::spawn_blocking(look).await.map_err(|error| ApiError::internal("look for deltas", &error))
    }

    async fn known(&mut self, manifest: Sha256Digest) -> Result<Option<KnownRelease>, ApiError> {
        if let Some(known) = self.known.get(&manifest) {
            return Ok(known.clone());
        }
        let known = self.site.parts.ledger.query(KnownReleaseOf { manifest }).await?;
        self.known.insert(manifest, known.clone());
        Ok(known)
    }
}
