//! Checks before anything is fetched, and again before the product is stopped: `current`, hooks, disk space.

use std::io;
use std::path::Path;

use sealpost_manifests::release::{Encoding, ReleaseManifest};
use sealpost_manifests::wire::report::ReasonCode;

use crate::domain::record::Change;
use crate::domain::release::Refusal;
use crate::flows::context::Host;
use crate::hooks::ensure_all_runnable;
use crate::slots::Slots;

use super::fault::local_fault;

/// Free bytes that are not used on either disk: for the agent's own records, and for other programs.
const DISK_RESERVE_BYTES: u64 = 16 * 1024 * 1024;
/// Upper bound on the bytes that a file takes beyond its content: its last block and its inode.
const FILE_OVERHEAD_BYTES: u64 = 8 * 1024;

/// Checks that the link and the record agree: if not, somebody else changed the link, and nothing is installed.
pub(super) fn ensure_current_is_ours(host: &Host, change: &Change) -> Result<(), Refusal> {
    let package = &change.to.release.package;
    let current = Slots::open(&host.settings.install_root, package)
        .and_then(|slots| slots.current())
        .map_err(|error| local_fault("cannot use the slots", &error))?;
    if current == change.from.as_ref().map(|from| from.slot.clone()) {
        return Ok(());
    }
    Err(Refusal::new(
        ReasonCode::LocalFault,
        format!("`current` of {package} is not what the agent set; put it back, see `agent-updater audit`"),
    ))
}

/// Checks that every hook that the change may need can be run now.
pub(super) fn ensure_hooks_can_run(host: &Host, change: &Change) -> Result<(), Refusal> {
    let package = &change.to.release.package;
    let slots = Slots::open(&host.settings.install_root, package)
        .map_err(|error| local_fault("cannot use the slots", &error))?;
    ensure_all_runnable(host.settings.package(package), slots.path())
        .map_err(|fault| Refusal::new(fault.reason, fault.detail))
}

/// Checks that both disks have room for the download and the new slot.
pub(super) fn ensure_room(host: &Host, manifest: &ReleaseManifest) -> Result<(), Refusal> {
    let files = u64::try_from(manifest.files.len()).unwrap_or(u64::MAX);
    let installed = manifest.installed_bytes().saturating_add(files.saturating_mul(FILE_OVERHEAD_BYTES));
    let fetched = download_bytes(manifest);
    let needs = [(host.settings.install_root.as_path(), installed), (host.home.path(), fetched)];
    for (path, bytes) in needs {
        // Both may be on the same disk. Asking each for the sum is simpler than finding out, and asks for too much at most.
        let needed = bytes.max(installed).saturating_add(fetched).saturating_add(DISK_RESERVE_BYTES);
        let free = free_at(host, path).map_err(|error| {
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

/// Length of the payload as it is fetched.
pub(super) fn download_bytes(manifest: &ReleaseManifest) -> u64 {
    manifest.payload.encoding(Encoding::Gzip).map_or(0, |blob| blob.length)
}

fn free_at(host: &Host, path: &Path) -> io::Result<u64> {
    let existing = path.ancestors().find(|ancestor| ancestor.exists()).unwrap_or(path);
    host.disk.free_bytes(existing)
}
