//! Building the slot of a new release: by delta from the old slot, else from the whole payload; the agent's first one from its
//! own program, if that is the release.
//!
//! Invariant: none of them is trusted. A slot counts as built only if it is, path by path, what the signed manifest says.

use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, Instant};

use sealpost_manifests::payload::read_gzip;
use sealpost_manifests::release::{FileKind, ReleaseManifest};
use sealpost_manifests::wire::report::{InstallStep, ReasonCode, Way};

use crate::domain::record::{Change, Installed};
use crate::domain::release::Refusal;
use crate::domain::way::{Hop, hops};
use crate::flows::context::Host;
use crate::platform::program;
use crate::ports::Source;
use crate::records::tries;
use crate::slots::Slots;

use super::checks::{download_bytes, payload_path};
use super::delta::apply_all;
use super::downloads;
use super::fault::{ActionFault, NotNow};
use super::finished::{finish, invalid_or_full, refusal_of_file, refusal_of_slot};
use super::vetted::VettedRelease;

/// A release whose slot is still to be built.
pub(super) struct NewRelease<'r> {
    pub(super) vetted: &'r VettedRelease,
    pub(super) source: &'r mut dyn Source,
    /// How long fetching took.
    pub(super) fetching: Duration,
}

impl<'r> NewRelease<'r> {
    pub(super) const fn new(vetted: &'r VettedRelease, source: &'r mut dyn Source) -> Self {
        Self { vetted, source, fetching: Duration::ZERO }
    }

    fn timed<T>(&mut self, fetch: impl FnOnce(&mut dyn Source) -> T) -> T {
        let began = Instant::now();
        let fetched = fetch(self.source);
        self.fetching = self.fetching.saturating_add(began.elapsed());
        fetched
    }
}

/// What a slot was built from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BuiltFrom {
    Deltas(Way),
    Payload,
    /// The program of this process, which came with an install file or the operating system's package.
    OwnProgram,
    /// Nothing: the slot existed, and is what was signed.
    ExistingSlot,
}

/// Asks the product whether what was fetched may be applied now.
pub(super) type Ask<'a> = &'a mut dyn FnMut() -> Result<(), ActionFault>;

/// Builds and digests the slot. The product is asked once the download is there: what it declines is kept, and is not fetched
/// again.
pub(super) fn build(
    host: &Host,
    change: &Change,
    slots: &Slots,
    new: &mut NewRelease<'_>,
    ask: Ask<'_>,
) -> Result<BuiltFrom, ActionFault> {
    let built_from = build_somehow(host, change, slots, new, ask)?;
    // Also what came on a way that was told before, and parts of a payload that was not needed after all.
    downloads::forget_all(&host.home, &change.to.manifest);
    Ok(built_from)
}

fn build_somehow(
    host: &Host,
    change: &Change,
    slots: &Slots,
    new: &mut NewRelease<'_>,
    ask: Ask<'_>,
) -> Result<BuiltFrom, ActionFault> {
    let failed = |refusal| ActionFault::Failed(InstallStep::Build, refusal);
    let manifest = new.vetted.manifest();
    new.vetted
        .keep(&host.home, &change.to)
        .map_err(|error| failed(refusal_of_file("cannot keep the manifest", &error)))?;
    if slots.has(&change.to.slot).map_err(|error| failed(refusal_of_slot(&error)))? {
        if slots.check(&change.to.slot, manifest).is_ok() {
            return Ok(BuiltFrom::ExistingSlot);
        }
        slots.remove(&change.to.slot).map_err(|error| failed(refusal_of_slot(&error)))?;
    }
    let own = Path::new(program::OWN_PROGRAM);
    if change.from.is_none() && change.to.release.package.is_agent() && is_all(own, manifest) {
        ask()?;
        match from_program(own, change, slots, manifest) {
            Ok(()) => return Ok(BuiltFrom::OwnProgram),
            Err(refusal) if refusal.reason == ReasonCode::DiskFull => return Err(failed(refusal)),
            Err(refusal) => tracing::warn!(release = %change.to.release, "fetching the payload: {refusal}"),
        }
    }
    let (hops, base) = hops_of(host, change, new);
    if let Some(first) = hops.first() {
        let way = match (first.from, hops.len()) {
            (None, _) => Way::Packed,
            (Some(_), 1) => Way::Delta,
            (Some(_), _) => Way::Chain,
        };
        let built = match fetch_deltas(host, &hops, new) {
            Ok(true) => {
                ask()?;
                apply_all(host, &hops, base.as_ref(), change, slots, new.vetted, new.source).map(|()| true)
            }
            other => other,
        };
        // What made way for a contact, was too slow or was cut off is gone on with.
        let goes_on = built.as_ref().err().is_some_and(|refusal| {
            let passes = matches!(refusal.reason, ReasonCode::Interrupted | ReasonCode::NetworkFailed);
            passes || refusal.again_in().is_some()
        });
        if !goes_on {
            downloads::forget_others(&host.home, &change.to.manifest, &[]);
        }
        match built {
            Ok(true) => return Ok(BuiltFrom::Deltas(way)),
            Ok(false) => {}
            // The payload takes as long, and more room than one delta. Several took room for what they pass, too, which is
            // gone again.
            Err(refusal)
                if refusal.reason == ReasonCode::Interrupted
                    || (refusal.reason == ReasonCode::DiskFull && way != Way::Chain) =>
            {
                return Err(failed(refusal));
            }
            Err(refusal) => {
                if let Some(again_in) = refusal.again_in() {
                    return Err(link_busy(again_in));
                }
                tracing::info!(release = %change.to.release, "the delta is of no use, fetching the payload: {refusal}");
            }
        }
    }
    by_payload(host, change, slots, new, ask)?;
    Ok(BuiltFrom::Payload)
}

/// Builds the slot of a repair beside the damaged one, from the payload alone: the product goes on with what it has until
/// the new slot is whole.
pub(super) fn build_beside(
    host: &Host,
    change: &Change,
    slots: &Slots,
    new: &mut NewRelease<'_>,
) -> Result<BuiltFrom, ActionFault> {
    let failed = |refusal| ActionFault::Failed(InstallStep::Build, refusal);
    let slot = &change.to.slot;
    new.vetted
        .keep(&host.home, &change.to)
        .map_err(|error| failed(refusal_of_file("cannot keep the manifest", &error)))?;
    slots
        .remove_beside(slot)
        .and_then(|()| slots.ensure_replaceable(slot))
        .map_err(|error| failed(refusal_of_slot(&error)))?;
    if slots.has(slot).map_err(|error| failed(refusal_of_slot(&error)))?
        && slots.check(slot, new.vetted.manifest()).is_ok()
    {
        return Ok(BuiltFrom::ExistingSlot);
    }
    // A person asked for the repair, so the product is not asked.
    by_payload(host, change, slots, new, &mut || Ok(()))?;
    Ok(BuiltFrom::Payload)
}

/// Whether a release has no other bytes than those of a program.
fn is_all(program: &Path, manifest: &ReleaseManifest) -> bool {
    let Ok(found) = fs::metadata(program) else { return false };
    let mut digests = manifest.files.iter().filter_map(|entry| match &entry.kind {
        FileKind::File { length, sha256, .. } => Some((*length == found.len(), *sha256)),
        FileKind::Symlink { .. } => None,
    });
    let Some((true, first)) = digests.next() else { return false };
    digests.all(|(_, other)| other == first) && program::digest(program).is_ok_and(|own| own == first)
}

/// Builds the slot from a program that is all of the release.
fn from_program(
    program: &Path,
    change: &Change,
    slots: &Slots,
    manifest: &ReleaseManifest,
) -> Result<(), Refusal> {
    let mut builder = slots.begin(&change.to.slot).map_err(|error| refusal_of_slot(&error))?;
    for entry in &manifest.files {
        let path = entry.path.as_str();
        let written = match &entry.kind {
            FileKind::File { executable, length, .. } => File::open(program)
                .and_then(|mut content| builder.write_file(path, *executable, *length, &mut content)),
            FileKind::Symlink { target } => builder.write_link(path, target),
        };
        written.map_err(|error| {
            invalid_or_full(&builder, "the slot cannot be built from this program", &error)
        })?;
    }
    finish(builder, change, slots, manifest)
}

/// The deltas to be tried, and what they start from. A source that tells of no way may have one from what is installed.
fn hops_of(host: &Host, change: &Change, new: &NewRelease<'_>) -> (Vec<Hop>, Option<Installed>) {
    if tries::load(&host.home, &change.to.manifest).are_used_up() {
        return (Vec::new(), None);
    }
    let installed = change.from.clone();
    let from = installed.as_ref().map(|base| base.manifest);
    match new.source.way() {
        Some(way) if way.from.is_none() => (hops(way), None),
        Some(way) if way.from == from => (hops(way), installed),
        // A way from something else, for example because the slot is gone.
        Some(_) => (Vec::new(), None),
        None => {
            let to = change.to.manifest;
            // A delta that is larger than the payload is of no use.
            let most_bytes = download_bytes(new.vetted.manifest());
            let hop = from.map(|from| Hop { from: Some(from), to, end: to, most_bytes });
            (hop.into_iter().collect(), installed)
        }
    }
}

/// Fetches deltas, unless they were fetched whole before; `false` if the server does not have one of them.
fn fetch_deltas(host: &Host, hops: &[Hop], new: &mut NewRelease<'_>) -> Result<bool, Refusal> {
    for hop in hops {
        if downloads::whole(&host.home, hop).is_some() {
            continue;
        }
        let path = downloads::part(&host.home, hop);
        if !new.timed(|source| source.delta(hop, &path))? {
            return Ok(false);
        }
        downloads::is_whole(&host.home, hop)
            .map_err(|error| refusal_of_file("cannot keep the delta", &error))?;
    }
    Ok(true)
}

fn by_payload(
    host: &Host,
    change: &Change,
    slots: &Slots,
    new: &mut NewRelease<'_>,
    ask: Ask<'_>,
) -> Result<(), ActionFault> {
    let failed = |refusal| ActionFault::Failed(InstallStep::Build, refusal);
    let manifest = new.vetted.manifest();
    let path = payload_path(host, change);
    new.timed(|source| source.payload(&path)).map_err(|refusal| match refusal.again_in() {
        Some(again_in) => link_busy(again_in),
        None => ActionFault::Failed(InstallStep::Download, refusal),
    })?;
    ask()?;
    let unpacked = unpack(&path, change, slots, manifest);
    let _ = fs::remove_file(&path);
    unpacked.map_err(failed)
}

/// Nothing failed: what came is kept, and it goes on there.
const fn link_busy(again_in: Duration) -> ActionFault {
    ActionFault::NotNow(NotNow::LinkBusy { again_in })
}

fn unpack(path: &Path, change: &Change, slots: &Slots, manifest: &ReleaseManifest) -> Result<(), Refusal> {
    let payload = File::open(path).map_err(|error| refusal_of_file("cannot read the payload", &error))?;
    let mut builder = slots.begin(&change.to.slot).map_err(|error| refusal_of_slot(&error))?;
    match read_gzip(payload, manifest, &mut builder) {
        Ok(()) => finish(builder, change, slots, manifest),
        Err(error) => Err(invalid_or_full(&builder, "the payload is not what was signed", &error)),
    }
}
