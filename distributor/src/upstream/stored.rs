//! Which stored files are needed, which are missing, and since when the others are not needed.
//!
//! Pure, but for the note and its file. Invariants: documents of releases that the ledger knows stay for ever, they are small and a
//! reviewer reads them; a payload, an attachment or a delta of a release that the site needs is never unneeded; a packed
//! release, which is another form of its payload, only makes way; what is not needed stays for the configured time, counted from when that was first found; who changes the note begins with
//! what is in its file, and nobody else changes it meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};
use sealpost_files::{PRIVATE, read_bounded, replace};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::release::{Blob, ReleaseManifest};
use serde::{Deserialize, Serialize};

use crate::ports::staging::{NOTHING, StoredDelta};
use crate::ports::upstream::{TargetClass, TargetEntry};

/// Largest note, in bytes: some 100,000 files.
const MAX_NOTE_BYTES: u64 = 16 * 1024 * 1024;
/// Version of the note.
const VERSION: u32 = 2;

/// The stored files that are needed.
#[derive(Debug, Default)]
pub(super) struct Needed {
    keep: BTreeSet<Sha256Digest>,
    /// What has to be there, by name.
    required: BTreeMap<Sha256Digest, String>,
}

impl Needed {
    /// Takes in the targets of the generations that agents read, the current one first. `releases` are the manifests of
    /// the releases that the site needs.
    pub(super) fn listed(&mut self, generations: &[Vec<TargetEntry>], releases: &BTreeSet<Sha256Digest>) {
        for (age, entries) in generations.iter().enumerate() {
            for entry in entries {
                let (is_document, is_needed) = match &entry.class {
                    TargetClass::Trust | TargetClass::Channels { .. } => (true, age == 0),
                    TargetClass::Release { release, manifest } => {
                        let documents = [release.manifest_target(), release.minisig_target()];
                        let is_document = documents.iter().flatten().any(|name| *name == entry.name);
                        (is_document, releases.contains(manifest))
                    }
                };
                if is_document || is_needed {
                    self.keep.insert(entry.sha256);
                }
                if is_needed {
                    self.required.insert(entry.sha256, entry.name.to_string());
                }
            }
        }
    }

    /// Takes in the manifest of a known release, by its digest.
    pub(super) fn manifest(&mut self, digest: Sha256Digest) {
        self.keep.insert(digest);
    }

    /// Takes in the files of a needed release that agents cannot be given now, because the vendor lists it no longer.
    pub(super) fn unlisted(&mut self, manifest: &ReleaseManifest) {
        self.keep.extend(manifest.payload.encodings.values().map(|blob| blob.sha256));
        self.keep.extend(manifest.attachments.iter().map(|attachment| attachment.blob.sha256));
    }

    /// Takes in deltas. A delta between two releases is needed while both are; a packed release while computers may fetch it
    /// now: those in `fetched`.
    pub(super) fn deltas(
        &mut self,
        deltas: Vec<StoredDelta>,
        releases: &BTreeSet<Sha256Digest>,
        fetched: &BTreeSet<Sha256Digest>,
    ) -> DeltasByNeed {
        let mut by_need = DeltasByNeed::default();
        for delta in deltas {
            let is_packed = delta.base == NOTHING;
            let is_needed = match is_packed {
                true => fetched.contains(&delta.target),
                false => releases.contains(&delta.base) && releases.contains(&delta.target),
            };
            if !is_needed {
                by_need.unneeded.push(delta);
                continue;
            }
            self.keep.insert(delta.blob.sha256);
            if is_packed {
                by_need.spare.push(delta);
            }
        }
        by_need
    }

    pub(super) fn keeps(&self, sha256: &Sha256Digest) -> bool {
        self.keep.contains(sha256)
    }

    /// Whether it has to be there.
    pub(super) fn requires(&self, sha256: &Sha256Digest) -> bool {
        self.required.contains_key(sha256)
    }

    /// What has to be there and is not among `stored`, by name.
    pub(super) fn missing(&self, stored: &[Blob]) -> Vec<(Sha256Digest, String)> {
        let stored: BTreeSet<Sha256Digest> = stored.iter().map(|blob| blob.sha256).collect();
        let missing = self.required.iter().filter(|(sha256, _)| !stored.contains(sha256));
        missing.map(|(sha256, name)| (*sha256, name.clone())).collect()
    }
}

/// Deltas that may be removed.
#[derive(Debug, Default)]
pub(super) struct DeltasByNeed {
    /// Those between releases, or packed ones, that nobody needs any more.
    pub(super) unneeded: Vec<StoredDelta>,
    /// Somebody may need them, and has the payload too: they make way for what has no room, and are made again.
    pub(super) spare: Vec<StoredDelta>,
}

/// What is remembered of stored files between starts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct StorageNote {
    version: u32,
    /// Since when a stored file is not needed.
    unneeded_since: BTreeMap<Sha256Digest, Timestamp>,
    /// When all stored files were last compared with their digests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) scrubbed_at: Option<Timestamp>,
}

impl StorageNote {
    /// Reads the note. One that is missing, damaged or of another version is as good as none: then files that are not
    /// needed stay for longer, and nothing else happens.
    fn read(path: &Path) -> Self {
        let read = read_bounded(path, MAX_NOTE_BYTES).ok().flatten();
        let note: Option<Self> = read.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        note.filter(|note| note.version == VERSION).unwrap_or_default()
    }

    fn write(&self, path: &Path) -> io::Result<()> {
        let note = Self { version: VERSION, ..self.clone() };
        replace(path, &serde_json::to_vec(&note)?, PRIVATE)
    }

    /// Notes which of the stored files are not needed now; answers those that were not for longer than `keep`.
    pub(super) fn due(
        &mut self,
        unneeded: &[Blob],
        keep: SignedDuration,
        now: Timestamp,
    ) -> BTreeSet<Sha256Digest> {
        let before = std::mem::take(&mut self.unneeded_since);
        for blob in unneeded {
            // A clock that was ahead must not keep a file for ever.
            let since = before.get(&blob.sha256).copied().unwrap_or(now).min(now);
            self.unneeded_since.insert(blob.sha256, since);
        }
        let due = self.unneeded_since.iter().filter(|(_, since)| now.duration_since(**since) >= keep);
        due.map(|(sha256, _)| *sha256).collect()
    }
}

/// The file of the note, which several tasks change.
#[derive(Debug)]
pub(super) struct NoteFile {
    path: PathBuf,
    changing: Mutex<()>,
}

impl NoteFile {
    pub(super) fn at(path: PathBuf) -> Self {
        Self { path, changing: Mutex::default() }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn read(&self) -> StorageNote {
        StorageNote::read(&self.path)
    }

    /// Changes what is in the file; answers what is there then.
    pub(super) fn change(&self, change: impl FnOnce(&mut StorageNote)) -> io::Result<StorageNote> {
        let _one_at_a_time = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut note = self.read();
        change(&mut note);
        note.write(&self.path)?;
        Ok(note)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blob(name: &str) -> Blob {
        Blob { sha256: Sha256Digest::of(name.as_bytes()), length: 1 }
    }

    fn at(day: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + day * 86_400).unwrap()
    }

    #[test]
    fn what_is_not_needed_stays_for_the_time_and_begins_anew_once_it_was_needed_again() {
        let keep = SignedDuration::from_hours(24 * 90);
        let mut note = StorageNote::default();
        let (a, b) = (blob("a"), blob("b"));
        assert!(note.due(&[a, b], keep, at(0)).is_empty());
        // Needed again for a day.
        assert!(note.due(&[b], keep, at(60)).is_empty());
        assert_eq!(note.due(&[a, b], keep, at(90)), BTreeSet::from([b.sha256]));
        assert_eq!(note.due(&[a], keep, at(180)), BTreeSet::from([a.sha256]));
    }

    #[test]
    fn two_who_change_the_note_at_once_lose_nothing_of_each_other() {
        let folder = tempfile::tempdir().unwrap();
        let file = NoteFile::at(folder.path().join("storage.json"));
        let unneeded = |note: &mut StorageNote, name: &str| {
            note.unneeded_since.insert(blob(name).sha256, at(0));
        };
        std::thread::scope(|scope| {
            for half in 0..2 {
                let file = &file;
                scope.spawn(move || {
                    for number in 0..20 {
                        file.change(|note| unneeded(note, &format!("{half} {number}"))).unwrap();
                    }
                });
            }
        });
        assert_eq!(file.read().unneeded_since.len(), 40);
    }

    #[test]
    fn a_damaged_note_only_delays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("storage.json");
        let mut note = StorageNote::default();
        note.due(&[blob("a")], SignedDuration::ZERO, at(0));
        note.write(&path).unwrap();
        assert_eq!(StorageNote::read(&path).unneeded_since, note.unneeded_since);
        std::fs::write(&path, "{").unwrap();
        assert_eq!(StorageNote::read(&path), StorageNote::default());
    }

    /// Frozen: a note that is on disk today must be readable for ever.
    #[test]
    fn a_note_of_the_first_format_is_read_and_written_as_it_is() {
        let golden = include_str!("../../tests/golden/storage.v2.json").trim_end();
        let note: StorageNote = serde_json::from_str(golden).unwrap();
        assert_eq!(note.unneeded_since.len(), 1);
        assert_eq!(serde_json::to_string(&note).unwrap(), golden);
    }
}
