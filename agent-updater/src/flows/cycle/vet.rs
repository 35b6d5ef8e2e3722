//! Fetching and vetting the manifest of an assigned release, and choosing the way on which the release comes.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::time::Duration;

use sealpost_deltas::{Limits, Progress, read_list};
use sealpost_files::with_causes;
use sealpost_manifests::assignment::PackageAssignment;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::document::MAX_DOCUMENT_BYTES;
use sealpost_manifests::ids::Platform;
use sealpost_manifests::release::Encoding;
use sealpost_manifests::trust::TrustDocument;
use sealpost_manifests::wire::refresh::DeltaWay;
use sealpost_manifests::wire::report::ReasonCode;
use sealpost_repository::TargetInfo;

use crate::domain::record::{Installed, SlotId};
use crate::domain::release::{Expectation, Refusal};
use crate::domain::way::{Hop, hops};
use crate::download::{VendorMetadata, interrupted};
use crate::flows::context::Context;
use crate::flows::install::budget::Try;
use crate::flows::install::{VettedRelease, downloads, has_room_for};
use crate::flows::linked;
use crate::records::{manifests, tries};
use crate::slots::Slots;

use super::counters::{installed, record_after_reset};

/// Pieces of work that reading a manifest out of a delta may take: each makes up to 64 KiB.
const MAX_STEPS: u32 = 4096;

/// A release that may be installed, and how it comes.
pub(super) struct Vetted {
    pub(super) release: VettedRelease,
    /// Its payload as the metadata list it.
    pub(super) payload: TargetInfo,
    /// The way by deltas, if one was chosen.
    pub(super) way: Option<DeltaWay>,
}

/// How the bytes of a release may come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comes {
    /// By deltas, where that spares enough.
    ByWays,
    /// As its payload alone.
    Whole,
}

/// Vets a release. Where a way by deltas was chosen, its manifest comes with them.
///
/// # Errors
/// [`Refusal`].
pub(super) fn vet(
    context: &Context,
    wanted: &PackageAssignment,
    trust: &TrustDocument,
    metadata: &VendorMetadata,
    comes: Comes,
) -> Result<Vetted, Refusal> {
    let network = &context.network;
    let package = &wanted.release.package;
    metadata.begin_release();
    let channels = network.wait(metadata.channels(package)).map_err(interrupted)??;
    let payload = network.wait(metadata.payload(&wanted.release)).map_err(interrupted)??;
    let runs = linked::load(&context.host, package).ok().and_then(|record| record.current);
    let way = match comes {
        Comes::ByWays => way(context, wanted, metadata, runs.as_ref(), &payload)?,
        Comes::Whole => None,
    };
    let minisig = network.wait(metadata.minisig(&wanted.release)).map_err(interrupted)??;
    let by_deltas = match &way {
        Some(way) => manifest_by_deltas(context, metadata, way, runs.as_ref())?,
        None => None,
    };
    let bytes = match by_deltas {
        Some(bytes) => bytes,
        None => network.wait(metadata.manifest(&wanted.release)).map_err(interrupted)??,
    };
    let record = record_after_reset(&context.host, package, trust)?;
    let is_installed = record.current.as_ref().is_some_and(|current| current.manifest == wanted.manifest);
    let installed = installed(&context.host)?;
    let expected = Expectation {
        wanted,
        platform: &Platform::current(),
        // What is installed already may be built again, also after a rollback below the floor.
        counter_floor: record.counter_floor.filter(|_| !is_installed),
        installed: &installed,
        channels: &channels,
    };
    let release = VettedRelease::verify(bytes, minisig, trust, &expected)?;
    let is_listed = release
        .manifest()
        .payload
        .encoding(Encoding::Gzip)
        .is_some_and(|blob| blob.sha256 == payload.sha256() && blob.length == payload.length());
    if is_listed {
        return Ok(Vetted { release, payload, way });
    }
    let detail =
        format!("manifest and metadata name different payloads of {}; ask the vendor", wanted.release);
    Err(Refusal::new(ReasonCode::ManifestInvalid, detail))
}

/// The way by deltas, if one was told of that may be used. What was fetched on another one makes room.
fn way(
    context: &Context,
    wanted: &PackageAssignment,
    metadata: &VendorMetadata,
    runs: Option<&Installed>,
    payload: &TargetInfo,
) -> Result<Option<DeltaWay>, Refusal> {
    // What is built already is not fetched.
    if may_be_built(context, wanted, runs) {
        return Ok(None);
    }
    let to = wanted.manifest;
    if tries::load(&context.host.home, &to).are_used_up() {
        downloads::forget_others(&context.host.home, &to, &[]);
        return Ok(None);
    }
    let runs = runs.map(|runs| runs.manifest);
    let way = match metadata.way(runs.as_ref(), &wanted.manifest, payload) {
        Some(way) if is_listed(context, wanted, metadata, &way)? => Some(way),
        _ => None,
    };
    // Without a way the one delta from what runs may be had.
    let kept = way.as_ref().map_or_else(|| vec![Hop { from: runs, to, end: to, most_bytes: 0 }], hops);
    downloads::forget_others(&context.host.home, &to, &kept);
    Ok(way)
}

/// Whether the vendor lists every release of a way: nothing is fetched for one that it does not.
fn is_listed(
    context: &Context,
    wanted: &PackageAssignment,
    metadata: &VendorMetadata,
    way: &DeltaWay,
) -> Result<bool, Refusal> {
    let releases: Vec<Sha256Digest> = way.hops.iter().map(|hop| hop.to).collect();
    let listed = metadata.lists_manifests(&wanted.release.package, &releases);
    match context.network.wait(listed).map_err(interrupted)? {
        Ok(true) => Ok(true),
        Ok(false) => {
            tracing::info!("the server told of a way through a release that the vendor does not list");
            Ok(false)
        }
        Err(refusal) => {
            tracing::info!(%refusal, "no way by deltas is taken");
            Ok(false)
        }
    }
}

/// Whether no delta may be needed: the slot is there, made ready or kept from before, or the agent's own program may be the release.
fn may_be_built(context: &Context, wanted: &PackageAssignment, runs: Option<&Installed>) -> bool {
    let release = &wanted.release;
    if runs.is_none() && release.package.is_agent() {
        return true;
    }
    let slot = SlotId::of(&release.version, &wanted.manifest);
    let slots = Slots::find(&context.host.settings.install_root, &release.package);
    slots.is_ok_and(|slots| slots.is_some_and(|slots| slots.has(&slot).unwrap_or(false)))
}

/// The manifest of a release out of the deltas that lead to it, which are kept for its install. It is nobody's word yet, but it
/// has the digest that was assigned. `None`: it is to be fetched by itself.
///
/// # Errors
/// [`Refusal`] when the deltas are to come later.
fn manifest_by_deltas(
    context: &Context,
    metadata: &VendorMetadata,
    way: &DeltaWay,
    runs: Option<&Installed>,
) -> Result<Option<Vec<u8>>, Refusal> {
    let (host, hops) = (&context.host, hops(way));
    let mut list = match (way.from, runs) {
        (None, _) => Vec::new(),
        (Some(_), Some(runs)) => match manifests::read_exact(&host.home, runs) {
            Ok((_, list)) => list,
            Err(_) => return Ok(None),
        },
        (Some(_), None) => return Ok(None),
    };
    let bytes = hops.iter().fold(0u64, |sum, hop| sum.saturating_add(hop.most_bytes));
    if !has_room_for(host, bytes) {
        return Ok(None);
    }
    for hop in &hops {
        if downloads::whole(&host.home, hop).is_none() {
            let path = downloads::part(&host.home, hop);
            let fetched = context.network.download(metadata.fetch_delta(hop, &path));
            match fetched.map_err(interrupted)? {
                Ok(true) => {}
                Err(refusal) if refusal.again_in().is_some() => return Err(refusal),
                Ok(false) | Err(_) => return Ok(None),
            }
            if downloads::is_whole(&host.home, hop).is_err() {
                return Ok(None);
            }
        }
        match list_of(context, hop, &list) {
            Ok(next) => list = next,
            Err(why) => {
                if let Some(why) = context.network.interruption() {
                    return Err(interrupted(why));
                }
                // What has come stays until the release is built: a delta of no use would be fetched once more then.
                tracing::info!(why, "the manifest does not come out of a delta, and is fetched by itself");
                return Ok(None);
            }
        }
    }
    Ok(Some(list))
}

/// The manifest that a delta makes of another. Reading it is a try of the deltas to the release, as applying them is.
fn list_of(context: &Context, hop: &Hop, base: &[u8]) -> Result<Vec<u8>, String> {
    let home = &context.host.home;
    let path = downloads::whole(home, hop).ok_or("it is gone")?;
    let tried = Try::begin(home, &hop.end).map_err(|refusal| refusal.detail)?.ok_or("no more are tried")?;
    let list = read_list_of(context, &path, base);
    // Few bytes, of which the steps are counted: no time ends it.
    tried.end(Duration::MAX);
    let list = list?;
    if Sha256Digest::of(&list) == hop.to {
        return Ok(list);
    }
    Err("it leads to another release".to_owned())
}

fn read_list_of(context: &Context, path: &Path, base: &[u8]) -> Result<Vec<u8>, String> {
    let delta = BufReader::new(File::open(path).map_err(|error| error.to_string())?);
    let limits = Limits { list_bytes: MAX_DOCUMENT_BYTES, ..Limits::default() };
    let mut steps = 0u32;
    let mut goes_on = |_: Progress| {
        steps = steps.saturating_add(1);
        steps <= MAX_STEPS && context.network.interruption().is_none()
    };
    read_list(base, delta, &limits, &mut goes_on).map_err(|error| with_causes(&error))
}
