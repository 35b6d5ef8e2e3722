//! Which deltas are worth having, and which blob each one is.
//!
//! Planning is pure. A delta between two releases is noted in `staging/deltas/<base>-<target>.json`, written after
//! the blob is on disk, so that a note never promises what is not there.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use sealpost_files::{PRIVATE, read_bounded, remove_durably, replace};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::{PackageName, Platform};
use sealpost_manifests::release::{Blob, PackageKind};

use super::releases::is_offered;
use crate::ports::staging::{StagingError, StoredDelta};
use sealpost_site::rows::DeltaReleaseRow;
use sealpost_site::rules::release::ReleaseState;

/// Deltas to one release: from the newest releases that clients run. Clients of older ones get the payload.
const BASES_PER_RELEASE: usize = 3;
/// Smallest payload, in bytes, for which a delta from nothing is made: what it saves of a smaller one is not worth a file.
const LEAST_PACKED_BYTES: u64 = 64 * 1024;
/// Largest note, in bytes.
const MAX_NOTE_BYTES: u64 = 4096;

/// Pairs (base, target) between which this site needs deltas.
pub(super) fn wanted(releases: &[DeltaReleaseRow]) -> Vec<(&DeltaReleaseRow, &DeltaReleaseRow)> {
    let mut bases: BTreeMap<(&PackageName, &Platform), Vec<&DeltaReleaseRow>> = BTreeMap::new();
    for base in releases.iter().filter(|base| is_base(base)) {
        bases.entry((&base.release.release.package, &base.release.release.platform)).or_default().push(base);
    }
    for of_package in bases.values_mut() {
        of_package.sort_by_key(|base| Reverse(base.release.counter));
    }
    let mut pairs = Vec::new();
    for target in releases.iter().filter(|target| is_offered(target)) {
        let key = (&target.release.release.package, &target.release.release.platform);
        let Some(of_package) = bases.get(&key) else { continue };
        let older = of_package.iter().filter(|base| base.release.counter < target.release.counter);
        pairs.extend(older.take(BASES_PER_RELEASE).map(|base| (*base, target)));
    }
    pairs
}

/// Releases that this site needs packed, as deltas from nothing: for computers that run nothing of the package, or something too
/// old. Whoever asks for an agent runs one, and no computer installs a server.
pub(super) fn packed(releases: &[DeltaReleaseRow]) -> impl Iterator<Item = &DeltaReleaseRow> {
    releases.iter().filter(|release| {
        let is_fetched = !matches!(release.release.kind, PackageKind::Agent | PackageKind::Server);
        is_offered(release) && is_fetched && release.payload_bytes >= LEAST_PACKED_BYTES
    })
}

/// Whether clients run the release now, or are about to.
fn is_base(release: &DeltaReleaseRow) -> bool {
    match release.release.state {
        ReleaseState::Refused => false,
        ReleaseState::Approved => true,
        _ => release.in_use,
    }
}

/// Releases that are kept unpacked.
pub(super) fn trees_to_keep(releases: &[DeltaReleaseRow]) -> BTreeSet<Sha256Digest> {
    let offered =
        releases.iter().filter(|release| is_offered(release)).map(|release| release.release.manifest);
    let bases = wanted(releases).into_iter().map(|(base, _)| base.release.manifest);
    offered.chain(bases).collect()
}

/// The blob of a delta, if one was made.
pub(super) fn find(
    folder: &Path,
    base: &Sha256Digest,
    target: &Sha256Digest,
) -> Result<Option<Blob>, StagingError> {
    let path = note_path(folder, base, target);
    let parsed = match read_bounded(&path, MAX_NOTE_BYTES) {
        Ok(None) => return Ok(None),
        Ok(Some(text)) => serde_json::from_slice(&text).ok(),
        Err(error) if error.kind() == io::ErrorKind::FileTooLarge => None,
        Err(source) => return Err(StagingError::io("read", &path, source)),
    };
    if parsed.is_none() {
        // Without the delta the payload is delivered, and the next reconciliation makes the delta again.
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
    let text = serde_json::to_vec(&delta).map_err(io::Error::from);
    text.and_then(|text| replace(&path, &text, PRIVATE))
        .map_err(|source| StagingError::io("write", &path, source))
}

/// Every delta that is noted; damaged notes are passed over.
pub(super) fn all(folder: &Path) -> Result<Vec<StoredDelta>, StagingError> {
    let failed = |source| StagingError::io("list", folder, source);
    let mut deltas = Vec::new();
    let entries = match std::fs::read_dir(folder) {
        // Somebody removed it, and with it all notes.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(deltas),
        entries => entries.map_err(failed)?,
    };
    for entry in entries {
        let name = entry.map_err(failed)?.file_name();
        let pair = name.to_str().and_then(|name| name.strip_suffix(".json")?.split_once('-'));
        let Some((Ok(base), Ok(target))) = pair.map(|(base, target)| (base.parse(), target.parse())) else {
            continue;
        };
        if let Some(blob) = find(folder, &base, &target)? {
            deltas.push(StoredDelta { base, target, blob });
        }
    }
    Ok(deltas)
}

/// Removes a note, if it is there.
pub(super) fn forget(folder: &Path, base: &Sha256Digest, target: &Sha256Digest) -> Result<(), StagingError> {
    let path = note_path(folder, base, target);
    remove_durably(&path).map_err(|source| StagingError::io("remove", &path, source))
}

fn note_path(folder: &Path, base: &Sha256Digest, target: &Sha256Digest) -> PathBuf {
    folder.join(format!("{base}-{target}.json"))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use sealpost_manifests::release::{ReleaseId, Severity};
    use sealpost_manifests::version::{ReleaseCounter, Version};
    use sealpost_site::rules::release::KnownRelease;

    use super::*;

    fn release(counter: u64, state: ReleaseState, in_use: bool) -> DeltaReleaseRow {
        DeltaReleaseRow {
            release: KnownRelease {
                release: ReleaseId {
                    package: PackageName::new("acme-av").unwrap(),
                    version: Version::new(format!("{counter}.0")).unwrap(),
                    platform: Platform::any(),
                },
                manifest: digest(counter),
                state,
                counter: ReleaseCounter(counter),
                channels: Vec::new(),
                rollout: None,
                signer: None,
                reason: None,
                approved_for: Vec::new(),
                rollback: false,
                attempt: 1,
                kind: PackageKind::Program,
                severity: Severity::Normal,
                mandatory: false,
                rolling_out: Vec::new(),
            },
            in_use,
            told: false,
            payload_bytes: 1000,
            bases: Vec::new(),
        }
    }

    fn digest(counter: u64) -> Sha256Digest {
        Sha256Digest::of(counter.to_string().as_bytes())
    }

    fn pairs(releases: &[DeltaReleaseRow]) -> Vec<(u64, u64)> {
        wanted(releases)
            .into_iter()
            .map(|(base, target)| (base.release.counter.0, target.release.counter.0))
            .collect()
    }

    #[test]
    fn deltas_lead_from_what_clients_run_or_will_run_to_what_is_offered() {
        let releases = [
            release(1, ReleaseState::Superseded, true),
            release(2, ReleaseState::Approved, false),
            release(3, ReleaseState::Rejected, false),
            release(4, ReleaseState::Staged, false),
        ];
        assert_eq!(pairs(&releases), [(1, 2), (2, 4), (1, 4)]);
        assert_eq!(trees_to_keep(&releases), BTreeSet::from([digest(1), digest(2), digest(4)]));
    }

    #[test]
    fn only_the_three_newest_bases_count_and_never_another_platform() {
        let mut releases: Vec<DeltaReleaseRow> =
            (1..=5).map(|counter| release(counter, ReleaseState::Superseded, true)).collect();
        releases[3].release.release.platform = Platform::new("linux-x86_64").unwrap();
        releases.push(release(9, ReleaseState::Staged, false));
        assert_eq!(pairs(&releases), [(5, 9), (3, 9), (2, 9)]);
    }

    #[test]
    fn no_delta_is_made_to_a_release_that_no_client_will_get() {
        for state in
            [ReleaseState::Rejected, ReleaseState::Withdrawn, ReleaseState::Refused, ReleaseState::Superseded]
        {
            assert_eq!(pairs(&[release(1, ReleaseState::Approved, true), release(2, state, false)]), []);
        }
    }

    #[test]
    fn offered_releases_of_some_size_are_packed() {
        let of = |state, payload_bytes| DeltaReleaseRow { payload_bytes, ..release(1, state, true) };
        for state in ReleaseState::ALL {
            let is_packed = matches!(state, ReleaseState::Staged | ReleaseState::Approved);
            assert_eq!(packed(&[of(state, 65_536)]).count(), usize::from(is_packed), "{state}");
            assert_eq!(packed(&[of(state, 65_535)]).count(), 0, "{state}");
        }
        for kind in [PackageKind::Agent, PackageKind::Server] {
            let mut release = of(ReleaseState::Approved, 65_536);
            release.release.kind = kind;
            assert_eq!(packed(&[release]).count(), 0, "{kind:?}");
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
