//! Checks before anything is fetched, and again before the product is stopped: `current`, hooks, disk space.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use sealpost_manifests::ids::PackageName;
use sealpost_manifests::release::{Encoding, ReleaseManifest};
use sealpost_manifests::wire::report::ReasonCode;

use crate::domain::record::{Change, ChangeKind, Installed, PackageRecord, SlotId};
use crate::domain::release::Refusal;
use crate::flows::context::Host;
use crate::hooks::ensure_all_runnable;
use crate::platform::disk::is_one_file_system;
use crate::slots::beneath::BeneathError;
use crate::slots::{Current, Slots};

use super::fault::local_fault;

/// Free bytes that are not used on either disk: for the agent's own records, and for other programs.
const DISK_RESERVE_BYTES: u64 = 16 * 1024 * 1024;
/// Upper bound on the bytes that a file takes beyond its content: its last block and its inode.
const FILE_OVERHEAD_BYTES: u64 = 8 * 1024;

/// From which release a change goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ground {
    /// The release that can be gone back to: its slot is there.
    pub(super) from: Option<Installed>,
    /// The installed release, if its slot is gone.
    pub(super) lost: Option<Installed>,
}

/// Finds out what is really there of what the record says. A link that is missing or was set by somebody else is
/// replaced by the switch, and a missing slot by the new one; only what would be lost by that is refused.
pub(super) fn ground(host: &Host, package: &PackageName, record: &PackageRecord) -> Result<Ground, Refusal> {
    let unusable = |error: BeneathError| local_fault("cannot use the slots", &error);
    let slots = Slots::open(&host.settings.install_root, package).map_err(unusable)?;
    let current = slots.find_current().map_err(unusable)?;
    if current == Current::NoLink {
        return Err(Refusal::new(
            ReasonCode::LocalFault,
            format!(
                "somebody put a file or folder in the place of the link {}; look at it, and have it put aside by \
                 `agent-updater repair {package}`",
                slots.current_path().display()
            ),
        ));
    }
    let Some(recorded) = record.current.clone() else { return Ok(Ground { from: None, lost: None }) };
    if slots.has(&recorded.slot).map_err(unusable)? {
        return Ok(Ground { from: Some(recorded), lost: None });
    }
    tracing::warn!(release = %recorded.release, "the slot of the installed release is gone");
    // Somebody may have set the link to the release before, so that the product runs.
    let is_used = |kept: &Installed| current == Current::Slot(kept.slot.clone());
    let from = match record.previous.clone().filter(is_used) {
        Some(kept) if slots.has(&kept.slot).map_err(unusable)? => Some(kept),
        _ => None,
    };
    Ok(Ground { from, lost: Some(recorded) })
}

/// Checks that every hook that the change may need can be run now.
pub(super) fn ensure_hooks_can_run(host: &Host, change: &Change) -> Result<(), Refusal> {
    let package = &change.to.release.package;
    let slots = Slots::open(&host.settings.install_root, package)
        .map_err(|error| local_fault("cannot use the slots", &error))?;
    ensure_all_runnable(host.settings.package(package), slots.path())
        .map_err(|fault| Refusal::new(fault.reason, fault.detail))
}

/// Checks that the disks have room for what is still to be downloaded, and for the new slot, before anything is fetched.
pub(super) fn ensure_room(host: &Host, change: &Change, manifest: &ReleaseManifest) -> Result<(), Refusal> {
    let (products, home) = (existing(&host.settings.install_root), existing(host.home.path()));
    let slots = match change.kind {
        ChangeKind::Install => Slots::find(&host.settings.install_root, &change.to.release.package),
        _ => Ok(None),
    };
    let slots = slots.ok().flatten();
    let is_built = slots.as_ref().is_some_and(|slots| slots.has(&change.to.slot).unwrap_or(false));
    // What was made ready before counts as there. If it is damaged it is removed before it is built again.
    let slot = if is_built { 0 } else { slot_bytes(slots.as_ref(), &change.to.slot, manifest) };
    let kept = fs::symlink_metadata(payload_path(host, change)).map_or(0, |kept| kept.len());
    let fetched = if is_built { 0 } else { download_bytes(manifest).saturating_sub(kept) };
    let needs = match is_one_file_system(products, home) {
        true => vec![(products, slot.saturating_add(fetched))],
        false => vec![(products, slot), (home, fetched)],
    };
    for (path, bytes) in needs {
        let needed = bytes.saturating_add(DISK_RESERVE_BYTES);
        let free = host.disk.free_bytes(path).map_err(|error| {
            local_fault(&format!("cannot see how much room {} has", path.display()), &error)
        })?;
        if free < needed {
            return Err(Refusal::new(
                ReasonCode::DiskFull,
                format!(
                    "{} needs {needed} bytes at {}, and {free} are free; nothing was fetched; make room, then run \
                     `agent-updater check`",
                    manifest.release,
                    path.display()
                ),
            ));
        }
    }
    Ok(())
}

/// Bytes that a slot takes until it is whole. What a crash left of it is gone on with, or is removed before it is built again.
fn slot_bytes(slots: Option<&Slots>, slot: &SlotId, manifest: &ReleaseManifest) -> u64 {
    let begun = slots.and_then(|slots| slots.bytes_beside(slot).ok()).unwrap_or(0);
    manifest.installed_bytes().saturating_sub(begun).saturating_add(overhead_bytes(manifest))
}

fn overhead_bytes(manifest: &ReleaseManifest) -> u64 {
    u64::try_from(manifest.files.len()).unwrap_or(u64::MAX).saturating_mul(FILE_OVERHEAD_BYTES)
}

/// Checks that the disk has room for a release that is only passed on the way to another, and for that one beside it.
///
/// # Errors
/// When it has not.
pub(super) fn ensure_room_between(
    host: &Host,
    slots: &Slots,
    passed: &ReleaseManifest,
    (slot, end): (&SlotId, &ReleaseManifest),
) -> io::Result<()> {
    let passed = passed.installed_bytes().saturating_add(overhead_bytes(passed));
    let needed = passed.saturating_add(slot_bytes(Some(slots), slot, end));
    let free = host.disk.free_bytes(existing(&host.settings.install_root))?;
    if free < needed.saturating_add(DISK_RESERVE_BYTES) {
        return Err(io::Error::from(io::ErrorKind::StorageFull));
    }
    Ok(())
}

/// Whether the disk of the agent's home has room for so many bytes of downloads.
#[must_use]
pub fn has_room_for(host: &Host, bytes: u64) -> bool {
    let free = host.disk.free_bytes(existing(host.home.path())).unwrap_or(0);
    bytes.checked_add(DISK_RESERVE_BYTES).is_some_and(|needed| needed <= free)
}

/// Length of the payload as it is fetched.
pub(super) fn download_bytes(manifest: &ReleaseManifest) -> u64 {
    manifest.payload.encoding(Encoding::Gzip).map_or(0, |blob| blob.length)
}

/// Where the payload of a change is kept while it is fetched.
pub(super) fn payload_path(host: &Host, change: &Change) -> PathBuf {
    host.home.download(&format!("{}.tar.gz", change.to.manifest))
}

/// The lowest folder of a path that is there: the others will lie on its file system.
fn existing(path: &Path) -> &Path {
    path.ancestors().find(|ancestor| ancestor.exists()).unwrap_or(path)
}
