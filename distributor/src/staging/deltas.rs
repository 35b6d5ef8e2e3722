//! Which deltas are worth having, and which blob each one is.
//!
//! Planning is pure. A delta between two releases is noted in `staging/deltas/<base>-<target>.json`, written after
//! the blob is on disk, so that a note never promises what is not there.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::release::Blob;

use super::unpack::sync_folder;
use super::{failed, is_offered};
use crate::ports::ledger::{ReleaseRow, ReleaseState};
use crate::ports::staging::StagingError;

/// Deltas to one release: from the newest releases that clients run. Whoever runs an older one gets the payload.
const BASES_PER_RELEASE: usize = 3;
/// Largest note, in bytes.
const MAX_NOTE_BYTES: u64 = 4096;

/// Pairs (base, target) between which this site needs deltas, by the releases that it knows.
pub(super) fn wanted(rows: &[ReleaseRow]) -> Vec<(&ReleaseRow, &ReleaseRow)> {
    let mut pairs = Vec::new();
    for target in rows.iter().filter(|row| is_offered(row.state)) {
        let mut bases: Vec<&ReleaseRow> = rows.iter().filter(|base| is_base(base, target)).collect();
        bases.sort_by_key(|base| std::cmp::Reverse(base.counter));
        pairs.extend(bases.into_iter().take(BASES_PER_RELEASE).map(|base| (base, target)));
    }
    pairs
}

/// Whether clients run the release now, or are about to.
fn is_base(base: &ReleaseRow, target: &ReleaseRow) -> bool {
    base.release.package == target.release.package
        && base.release.platform == target.release.platform
        && base.counter < target.counter
        && base.state != ReleaseState::Refused
        && (base.installed > 0 || base.assigned > 0 || base.state == ReleaseState::Approved)
}

/// Releases that are kept unpacked.
pub(super) fn trees_to_keep(rows: &[ReleaseRow]) -> BTreeSet<Sha256Digest> {
    let offered = rows.iter().filter(|row| is_offered(row.state)).map(|row| row.manifest);
    let bases = wanted(rows).into_iter().map(|(base, _)| base.manifest);
    offered.chain(bases).collect()
}

/// The blob of a delta, if one was made.
pub(super) fn find(
    folder: &Path,
    base: &Sha256Digest,
    target: &Sha256Digest,
) -> Result<Option<Blob>, StagingError> {
    let path = note_path(folder, base, target);
    let length = match fs::metadata(&path) {
        Ok(metadata) => metadata.len(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(failed("read", &path, source)),
    };
    let parsed = if length > MAX_NOTE_BYTES {
        None
    } else {
        let text = fs::read(&path).map_err(|source| failed("read", &path, source))?;
        serde_json::from_slice(&text).ok()
    };
    if parsed.is_none() {
        // A delta is a convenience: without it the payload is delivered, and the next round makes it again.
        tracing::warn!(path = %path.display(), "the note of a delta is damaged; the delta is made again");
    }
    Ok(parsed)
}

/// Notes that a blob is the delta between two releases.
pub(super) fn note(
    folder: &Path,
    base: &Sha256Digest,
    target: &Sha256Digest,
    delta: Blob,
) -> Result<(), StagingError> {
    let path = note_path(folder, base, target);
    let write = || -> io::Result<()> {
        let text = serde_json::to_vec(&delta)?;
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(&text)?;
        file.as_file().sync_all()?;
        file.persist(&path).map_err(|error| error.error)?;
        Ok(())
    };
    write().map_err(|source| failed("write", &path, source))?;
    sync_folder(folder)
}

fn note_path(folder: &Path, base: &Sha256Digest, target: &Sha256Digest) -> PathBuf {
    folder.join(format!("{base}-{target}.json"))
}

#[cfg(test)]
mod tests {
    use sealpost_manifests::ids::{PackageName, Platform};
    use sealpost_manifests::release::{PackageKind, ReleaseId, Severity};
    use sealpost_manifests::version::{ReleaseCounter, Version};

    use super::*;

    fn row(counter: u64, state: ReleaseState, installed: u64) -> ReleaseRow {
        ReleaseRow {
            release: ReleaseId {
                package: PackageName::new("acme-av").unwrap(),
                version: Version::new(format!("{counter}.0")).unwrap(),
                platform: Platform::any(),
            },
            manifest: digest(counter),
            kind: PackageKind::Program,
            counter: ReleaseCounter(counter),
            severity: Severity::Normal,
            state,
            channels: Vec::new(),
            signer: None,
            payload_bytes: 1000,
            staged_at: jiff::Timestamp::UNIX_EPOCH,
            decided: None,
            reason: None,
            rollout: None,
            assigned: 0,
            installed,
            failed: 0,
            deltas: Vec::new(),
        }
    }

    fn digest(counter: u64) -> Sha256Digest {
        Sha256Digest::of(counter.to_string().as_bytes())
    }

    fn pairs(rows: &[ReleaseRow]) -> Vec<(u64, u64)> {
        wanted(rows).into_iter().map(|(base, target)| (base.counter.0, target.counter.0)).collect()
    }

    #[test]
    fn deltas_lead_from_what_clients_run_or_will_run_to_what_is_offered() {
        let rows = [
            row(1, ReleaseState::Superseded, 4),
            row(2, ReleaseState::Approved, 0),
            row(3, ReleaseState::Rejected, 0),
            row(4, ReleaseState::Staged, 0),
        ];
        assert_eq!(pairs(&rows), [(1, 2), (2, 4), (1, 4)]);
        assert_eq!(trees_to_keep(&rows), BTreeSet::from([digest(1), digest(2), digest(4)]));
    }

    #[test]
    fn only_the_three_newest_bases_count_and_never_another_platform() {
        let mut rows: Vec<ReleaseRow> =
            (1..=5).map(|counter| row(counter, ReleaseState::Superseded, 1)).collect();
        rows[3].release.platform = Platform::new("linux-x86_64").unwrap();
        rows.push(row(9, ReleaseState::Staged, 0));
        assert_eq!(pairs(&rows), [(5, 9), (3, 9), (2, 9)]);
    }

    #[test]
    fn no_delta_is_made_to_what_nobody_will_get() {
        for state in
            [ReleaseState::Rejected, ReleaseState::Withdrawn, ReleaseState::Refused, ReleaseState::Superseded]
        {
            assert_eq!(pairs(&[row(1, ReleaseState::Approved, 1), row(2, state, 0)]), []);
        }
    }

    /// Frozen: notes that are on disk today must be readable for ever.
    #[test]
    fn a_note_of_the_first_format_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let delta = Blob { sha256: Sha256Digest::of(b""), length: 3 };
        let text =
            r#"{"sha256":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","length":3}"#;
        fs::write(note_path(folder.path(), &digest(1), &digest(2)), text).unwrap();
        assert_eq!(find(folder.path(), &digest(1), &digest(2)).unwrap(), Some(delta));
        assert_eq!(serde_json::to_string(&delta).unwrap(), text);
    }

    #[test]
    fn a_damaged_note_is_as_good_as_none() {
        let folder = tempfile::tempdir().unwrap();
        let delta = Blob { sha256: digest(7), length: 3 };
        assert_eq!(find(folder.path(), &digest(1), &digest(2)).unwrap(), None);
        note(folder.path(), &digest(1), &digest(2), delta).unwrap();
        assert_eq!(find(folder.path(), &digest(1), &digest(2)).unwrap(), Some(delta));
        assert_eq!(find(folder.path(), &digest(2), &digest(1)).unwrap(), None);
        fs::write(note_path(folder.path(), &digest(1), &digest(2)), b"{").unwrap();
        assert_eq!(find(folder.path(), &digest(1), &digest(2)).unwrap(), None);
    }
}
