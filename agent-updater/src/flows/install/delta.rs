//! Applying a delta: the old slot and a delta give the new one.
//!
//! Invariant: the delta's list of files is the manifest that was vetted, byte by byte, else nothing is written; and it takes a
//! bounded time of the processor.

use std::fs::File;
use std::io;
use std::path::Path;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use sealpost_deltas::{Base, Entry, EntryKind, Limits, Lists, Progress};
use sealpost_files::with_causes;
use sealpost_manifests::document::MAX_DOCUMENT_BYTES;
use sealpost_manifests::release::{FileEntry, FileKind};
use sealpost_manifests::wire::report::ReasonCode;

use crate::domain::record::{Change, Installed};
use crate::domain::release::Refusal;
use crate::flows::context::Host;
use crate::records::manifests;
use crate::slots::Slots;

use super::finished::{finish, invalid_or_full, refusal_of_file, refusal_of_slot};
use super::vetted::VettedRelease;

/// Time of the processor that a delta may take however small its target is.
const CPU_TIME: Duration = Duration::from_secs(30);
/// Bytes of the target for which it may take one second more: an old computer makes ten times as many.
const BYTES_PER_SECOND: u64 = 1024 * 1024;

/// Builds the slot of a release out of the old one and a delta.
pub(super) fn apply_delta(
    host: &Host,
    path: &Path,
    base: &Installed,
    change: &Change,
    slots: &Slots,
    vetted: &VettedRelease,
) -> Result<(), Refusal> {
    let manifest = vetted.manifest();
    let delta = File::open(path).map_err(|error| refusal_of_file("cannot read the delta", &error))?;
    let (base_manifest, list) = manifests::read_exact(&host.home, base).map_err(|error| {
        let detail = format!("cannot read what the delta is based on: {}", with_causes(&error));
        Refusal::new(ReasonCode::LocalFault, detail)
    })?;
    let files = slots.base(&base.slot).map_err(|error| refusal_of_slot(&error))?;
    let mut builder = slots.begin(&change.to.slot).map_err(|error| refusal_of_slot(&error))?;
    let limits = Limits {
        entries: manifest.files.len(),
        list_bytes: MAX_DOCUMENT_BYTES,
        target_bytes: manifest.installed_bytes(),
        ..Limits::default()
    };
    let mut vet = |list: &[u8]| {
        if list == vetted.bytes() {
            return Ok(entries(&manifest.files));
        }
        Err("it leads to another release than the approved one".into())
    };
    let entries_of_base = entries(&base_manifest.files);
    let base = Base { files: &files, list: &list, entries: &entries_of_base };
    let most = CPU_TIME.saturating_add(Duration::from_secs(manifest.installed_bytes() / BYTES_PER_SECOND));
    let began = cpu_time();
    let mut in_time = |_: Progress| cpu_time().saturating_sub(began) <= most;
    let lists = &mut Lists::Manifest(&mut vet);
    let delta = io::BufReader::new(delta);
    match sealpost_deltas::apply(&base, delta, lists, &mut builder, &limits, &mut in_time) {
        Ok(_) => finish(builder, change, slots, manifest),
        Err(error) => Err(invalid_or_full(&builder, "the delta cannot be applied", &error)),
    }
}

/// What this thread has taken of the processor.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let secs = u64::try_from(time.tv_sec).unwrap_or_default();
    let nanos = u32::try_from(time.tv_nsec).unwrap_or_default();
    Duration::from_secs(secs).saturating_add(Duration::from_nanos(nanos.into()))
}

/// A manifest's files, as deltas take them.
fn entries(files: &[FileEntry]) -> Vec<Entry> {
    let entry = |entry: &FileEntry| {
        let kind = match &entry.kind {
            FileKind::File { executable, length, sha256 } => EntryKind::File {
                length: *length,
                sha256: *sha256.as_bytes(),
                mode: if *executable { 0o755 } else { 0o644 },
            },
            FileKind::Symlink { target } => EntryKind::Symlink { target: target.clone() },
        };
        Entry { path: entry.path.as_str().to_owned(), kind }
    };
    files.iter().map(entry).collect()
}
