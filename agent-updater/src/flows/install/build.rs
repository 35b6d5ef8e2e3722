//! Building the slot of a new release: by delta from the old slot, else from the whole payload; the agent's first one from its
//! own program, if that is the release.
//!
//! Invariant: none of them is trusted. A slot counts as built only if it is, path by path, what the signed manifest says.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sealpost_manifests::payload::read_gzip;
use sealpost_manifests::release::{FileKind, ReleaseManifest};
use sealpost_manifests::wire::report::{InstallStep, ReasonCode};

use crate::domain::record::{Change, Installed};
use crate::domain::release::Refusal;
use crate::flows::context::Host;
use crate::platform::program;
use crate::ports::Source;
use crate::slots::Slots;

use super::checks::{download_bytes, payload_path};
use super::delta::apply_delta;
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
    Delta,
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
    if let Some(base) = change.from.clone() {
        let applied = match fetch_delta(host, &base, change, new) {
            Ok(true) => {
                ask()?;
                let whole = whole_delta_path(host, &base, change);
                let applied = apply_delta(host, &whole, &base, change, slots, new.vetted);
                let _ = fs::remove_file(&whole);
                applied.map(|()| true)
            }
            other => other,
        };
        match applied {
            Ok(true) => return Ok(BuiltFrom::Delta),
            Ok(false) => {}
            // The payload takes more room, and as long; a delta that made way for a contact or was too slow is gone on with.
            Err(refusal) if matches!(refusal.reason, ReasonCode::DiskFull | ReasonCode::Interrupted) => {
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
    if let Some(base) = &change.from {
        // A part of a delta is of no use any more.
        let _ = fs::remove_file(delta_path(host, base, change));
    }
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

/// Fetches the delta, unless it was fetched whole before; `false` if the server has none.
fn fetch_delta(
    host: &Host,
    base: &Installed,
    change: &Change,
    new: &mut NewRelease<'_>,
) -> Result<bool, Refusal> {
    let whole = whole_delta_path(host, base, change);
    if fs::symlink_metadata(&whole).is_ok() {
        return Ok(true);
    }
    let manifest = new.vetted.manifest();
    let path = delta_path(host, base, change);
    // A delta that is larger than the payload is of no use.
    let most = download_bytes(manifest);
    let fetched = new.timed(|source| source.delta(&base.manifest, &change.to.manifest, &path, most));
    if !fetched? {
        let _ = fs::remove_file(&path);
        return Ok(false);
    }
    // A delta has no signed length, so its name says that nothing is missing.
    fs::rename(&path, &whole).map_err(|error| refusal_of_file("cannot keep the delta", &error))?;
    Ok(true)
}

fn delta_path(host: &Host, base: &Installed, change: &Change) -> PathBuf {
    host.home.download(&format!("{}.{}.delta", base.manifest.short(), change.to.manifest))
}

fn whole_delta_path(host: &Host, base: &Installed, change: &Change) -> PathBuf {
    delta_path(host, base, change).with_extension("whole-delta")
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
