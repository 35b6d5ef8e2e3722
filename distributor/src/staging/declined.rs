//! Pairs of releases whose delta was made and saves too little: it is not made at each start again.
//!
//! Noted in `staging/deltas/<base>-<target>.none`, for deltas of the container that is made today. Deltas that failed are not
//! noted: with more memory or time they may come about.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use sealpost_files::{PRIVATE, read_bounded, remove_durably, replace};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::wire::refresh::DELTA_CONTAINER;
use serde::{Deserialize, Serialize};

use crate::ports::staging::StagingError;

/// The manifests of a base and a target.
pub(super) type Pair = (Sha256Digest, Sha256Digest);

/// Largest note, in bytes.
const MAX_NOTE_BYTES: u64 = 4096;
const SUFFIX: &str = ".none";

#[derive(Serialize, Deserialize)]
struct Declined {
    /// The version of the container.
    container: u16,
    /// Bytes of the delta that was not kept.
    delta: u64,
}

/// Whether the delta of a pair was made and not kept. A damaged note is as good as none: the delta is made once more.
pub(super) fn is_declined(folder: &Path, pair: &Pair) -> bool {
    let note = read_bounded(&path(folder, pair), MAX_NOTE_BYTES).ok().flatten();
    let note: Option<Declined> = note.and_then(|text| serde_json::from_slice(&text).ok());
    note.is_some_and(|note| note.container == DELTA_CONTAINER)
}

/// Notes that the delta of a pair, of so many bytes, is not kept.
pub(super) fn decline(folder: &Path, pair: &Pair, delta: u64) -> Result<(), StagingError> {
    let path = path(folder, pair);
    let text = serde_json::to_vec(&Declined { container: DELTA_CONTAINER, delta }).map_err(io::Error::from);
    text.and_then(|text| replace(&path, &text, PRIVATE))
        .map_err(|source| StagingError::io("write", &path, source))
}

/// Removes the notes of pairs that are no longer wanted.
pub(super) fn clear(folder: &Path, wanted: &BTreeSet<Pair>) -> Result<(), StagingError> {
    let kept: BTreeSet<PathBuf> = wanted.iter().map(|pair| path(folder, pair)).collect();
    let failed = |source| StagingError::io("list", folder, source);
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(failed)?,
    };
    for entry in entries {
        let path = entry.map_err(failed)?.path();
        let is_note = path.to_str().is_some_and(|path| path.ends_with(SUFFIX));
        if is_note && !kept.contains(&path) {
            remove_durably(&path).map_err(|source| StagingError::io("remove", &path, source))?;
        }
    }
    Ok(())
}

fn path(folder: &Path, (base, target): &Pair) -> PathBuf {
    folder.join(format!("{base}-{target}{SUFFIX}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(base: &str, target: &str) -> Pair {
        (Sha256Digest::of(base.as_bytes()), Sha256Digest::of(target.as_bytes()))
    }

    #[test]
    fn a_pair_is_declined_until_nobody_wants_it_or_another_container_is_made() {
        let folder = tempfile::tempdir().unwrap();
        let (one, two) = (pair("1", "2"), pair("1", "3"));
        assert!(!is_declined(folder.path(), &one));
        decline(folder.path(), &one, 100).unwrap();
        decline(folder.path(), &two, 100).unwrap();
        assert!(is_declined(folder.path(), &one));
        std::fs::write(folder.path().join("other.json"), "x").unwrap();
        clear(folder.path(), &BTreeSet::from([two])).unwrap();
        assert!(!is_declined(folder.path(), &one) && is_declined(folder.path(), &two));
        assert!(folder.path().join("other.json").exists(), "only notes of its own");
        for text in [r#"{"container":1,"delta":5}"#, "{", ""] {
            std::fs::write(path(folder.path(), &two), text).unwrap();
            assert!(!is_declined(folder.path(), &two), "{text}");
        }
        clear(&folder.path().join("gone"), &BTreeSet::new()).unwrap();
    }

    /// Frozen: notes that are on disk today must be readable for ever.
    #[test]
    fn a_note_of_the_first_format_is_read_and_written_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let one = pair("1", "2");
        decline(folder.path(), &one, 100).unwrap();
        let text = std::fs::read_to_string(path(folder.path(), &one)).unwrap();
        assert_eq!(text, r#"{"container":2,"delta":100}"#);
    }
}
