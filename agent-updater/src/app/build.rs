//! Bringing the bytes of a release into a slot: by delta from the old slot, else by the whole payload.
//!
//! Neither is believed. What counts is that the finished slot is, path by path, what the signed manifest says.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use sealpost_deltas::Limits;
use sealpost_manifests::payload::read_gzip;
use sealpost_manifests::release::{Encoding, ReleaseManifest};
use sealpost_manifests::wire::report::{InstallStep, ReasonCode};

use crate::domain::record::{Change, Installed};
use crate::domain::release::Refusal;
use crate::slots::beneath::BeneathError;
use crate::slots::{SlotBuilder, Slots};

use super::engine::{Brings, Engine, StepFault, local_fault};
use super::vetted::Vetted;
use super::with_causes;

/// Free bytes that are left alone on either disk: for the agent's own records, and for everybody else.
const DISK_RESERVE_BYTES: u64 = 16 * 1024 * 1024;
/// Bytes that a file takes beyond its content, at most: its last block and its inode.
const FILE_OVERHEAD_BYTES: u64 = 8 * 1024;

/// How the bytes came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Brought {
    ByDelta,
    ByPayload,
    AlreadyThere,
}

/// Looks for room before anything is fetched.
pub(super) fn ensure_room(engine: &Engine<'_>, vetted: &Vetted) -> Result<(), Refusal> {
    let manifest = vetted.manifest();
    let files = u64::try_from(manifest.files.len()).unwrap_or(u64::MAX);
    let installed = manifest.installed_bytes().saturating_add(files.saturating_mul(FILE_OVERHEAD_BYTES));
    let fetched = gzip_bytes(manifest);
    let ground = &engine.ground;
    let needs = [(ground.settings.install_root.as_path(), installed), (ground.home.path(), fetched)];
    for (path, bytes) in needs {
        // The same disk may hold both; asking each for both is simpler than finding out, and errs on the safe side.
        let needed = bytes.max(installed).saturating_add(fetched).saturating_add(DISK_RESERVE_BYTES);
        let free = free_at(engine, path).map_err(|error| {
            local_fault(&format!("cannot see how much room {} has", path.display()), &error)
        })?;
        if free < needed {
            return Err(Refusal::new(
                ReasonCode::DiskFull,
                format!(
                    "{} needs {needed} bytes at {}, and {free} are free; make room, it is tried again at the next \
                     contact",
                    manifest.release,
                    path.display()
                ),
            ));
        }
    }
    Ok(())
}

fn free_at(engine: &Engine<'_>, path: &Path) -> io::Result<u64> {
    let there = path.ancestors().find(|ancestor| ancestor.exists()).unwrap_or(path);
    engine.ground.disk.free_bytes(there)
}

fn gzip_bytes(manifest: &ReleaseManifest) -> u64 {
    manifest.payload.encoding(Encoding::Gzip).map_or(0, |blob| blob.length)
}

/// Builds and digests the slot.
pub(super) fn build(
    engine: &Engine<'_>,
    change: &Change,
    slots: &Slots,
    brings: &mut Brings<'_>,
) -> Result<Brought, StepFault> {
    let failed = |refusal| StepFault::Failed(InstallStep::Build, refusal);
    let manifest = brings.vetted.manifest();
    brings
        .vetted
        .keep(engine.ground.home, &change.to)
        .map_err(|error| failed(refusal_of_io("cannot keep the manifest", &error)))?;
    if slots.has(&change.to.slot).map_err(|error| failed(refusal_of(&error)))? {
        if slots.check(&change.to.slot, manifest).is_ok() {
            return Ok(Brought::AlreadyThere);
        }
        slots.remove(&change.to.slot).map_err(|error| failed(refusal_of(&error)))?;
    }
    if let Some(base) = change.from.clone() {
        match by_delta(engine, &base, change, slots, brings) {
            Ok(true) => return Ok(Brought::ByDelta),
            Ok(false) => {}
            Err(refusal) if refusal.reason == ReasonCode::DiskFull => return Err(failed(refusal)),
            Err(refusal) => {
                tracing::info!(release = %change.to.release, "no use in the delta, fetching the payload: {refusal}");
            }
        }
    }
    by_payload(engine, change, slots, brings)?;
    if let Some(base) = &change.from {
        // What came of a delta that was cut is of no use any more.
        let _ = fs::remove_file(delta_path(engine, base, change));
    }
    Ok(Brought::ByPayload)
}

fn by_delta(
    engine: &Engine<'_>,
    base: &Installed,
    change: &Change,
    slots: &Slots,
    brings: &mut Brings<'_>,
) -> Result<bool, Refusal> {
    let manifest = brings.vetted.manifest();
    let path = delta_path(engine, base, change);
    // A delta that is larger than the payload would be no gain.
    let fetched = brings.source.delta(&base.manifest, &change.to.manifest, &path, gzip_bytes(manifest));
    if !fetched? {
        let _ = fs::remove_file(&path);
        return Ok(false);
    }
    let applied = apply_delta(&path, base, change, slots, manifest);
    let _ = fs::remove_file(&path);
    applied.map(|()| true)
}

fn delta_path(engine: &Engine<'_>, base: &Installed, change: &Change) -> PathBuf {
    engine.ground.home.download(&format!("{}.{}.delta", base.manifest.short(), change.to.manifest))
}

fn apply_delta(
    path: &Path,
    base: &Installed,
    change: &Change,
    slots: &Slots,
    manifest: &ReleaseManifest,
) -> Result<(), Refusal> {
    let delta = File::open(path).map_err(|error| refusal_of_io("cannot read the delta", &error))?;
    let base = slots.base(&base.slot).map_err(|error| refusal_of(&error))?;
    let mut builder = slots.begin(&change.to.slot).map_err(|error| refusal_of(&error))?;
    let limits = Limits {
        entries: manifest.files.len(),
        target_bytes: manifest.installed_bytes(),
        ..Limits::default()
    };
    let applied = sealpost_deltas::apply(&base, io::BufReader::new(delta), &mut builder, &limits);
    match applied {
        Ok(_) => finish(builder, change, slots, manifest),
        Err(error) => Err(invalid_or_full(&builder, "the delta cannot be applied", &error)),
    }
}

fn by_payload(
    engine: &Engine<'_>,
    change: &Change,
    slots: &Slots,
    brings: &mut Brings<'_>,
) -> Result<(), StepFault> {
    let failed = |refusal| StepFault::Failed(InstallStep::Build, refusal);
    let manifest = brings.vetted.manifest();
    let path = engine.ground.home.download(&format!("{}.tar.gz", change.to.manifest));
    brings.source.payload(&path).map_err(|refusal| StepFault::Failed(InstallStep::Download, refusal))?;
    let unpacked = unpack(&path, change, slots, manifest);
    let _ = fs::remove_file(&path);
    unpacked.map_err(failed)
}

fn unpack(path: &Path, change: &Change, slots: &Slots, manifest: &ReleaseManifest) -> Result<(), Refusal> {
    let payload = File::open(path).map_err(|error| refusal_of_io("cannot read the payload", &error))?;
    let mut builder = slots.begin(&change.to.slot).map_err(|error| refusal_of(&error))?;
    match read_gzip(payload, manifest, &mut builder) {
        Ok(()) => finish(builder, change, slots, manifest),
        Err(error) => Err(invalid_or_full(&builder, "the payload is not what was signed", &error)),
    }
}

/// Gives the slot its name, and digests the bytes in it.
fn finish(
    builder: SlotBuilder<'_>,
    change: &Change,
    slots: &Slots,
    manifest: &ReleaseManifest,
) -> Result<(), Refusal> {
    builder.finish().map_err(|error| refusal_of(&error))?;
    let checked = slots.check(&change.to.slot, manifest);
    if let Err(error) = checked {
        slots.remove(&change.to.slot).map_err(|error| refusal_of(&error))?;
        let detail = format!("what was built is not what was signed: {}", with_causes(&error));
        return Err(Refusal::new(ReasonCode::PayloadInvalid, detail));
    }
    Ok(())
}

fn invalid_or_full(builder: &SlotBuilder<'_>, what: &str, error: &dyn std::error::Error) -> Refusal {
    let reason = if builder.disk_was_full() { ReasonCode::DiskFull } else { ReasonCode::PayloadInvalid };
    Refusal::new(reason, format!("{what}: {}", with_causes(error)))
}

fn refusal_of(error: &BeneathError) -> Refusal {
    let reason = if error.is_disk_full() { ReasonCode::DiskFull } else { ReasonCode::LocalFault };
    Refusal::new(reason, format!("the slot cannot be built: {}", with_causes(error)))
}

fn refusal_of_io(what: &str, error: &io::Error) -> Refusal {
    let full = matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
    Refusal::new(if full { ReasonCode::DiskFull } else { ReasonCode::LocalFault }, format!("{what}: {error}"))
}
