//! Sealed records: small JSON files with a checksum, replaced whole and durably.
//!
//! Invariant: a damaged record is never taken for a missing one; it is an error that names the file. The checksum
//! finds damage, not malice: what matters is signed inside and verified again after it is read.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use sealpost_manifests::digest::Sha256Digest;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::files::{read_bounded, remove_durably, sync_folder, write_atomic};

/// First words of a record's first line; the number is the format's version.
const MAGIC: &str = "sealpost-record 1 sha256=";
/// Largest record, in bytes: the reports or an assignment may be some megabytes.
const MAX_RECORD_BYTES: u64 = 32 * 1024 * 1024;

/// Why a record could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The system refused.
    #[error("cannot {action} the record {path}; check the disk and permissions")]
    Io {
        /// `read` or `write`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The content is not what was written.
    #[error(
        "the record {path} is damaged, so nothing is installed until it is repaired; check the disk, then restore \
         the file from a backup, or enroll this computer again"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// Whole, and not understood: written by another version.
    #[error("the record {path} is not understood by this version of the agent; update the agent")]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What the reader says.
        #[source]
        source: serde_json::Error,
    },
}

/// Reads a record; `None` only when there is none.
///
/// # Errors
/// [`StoreError`].
pub fn load<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, StoreError> {
    let read = read_bounded(path, MAX_RECORD_BYTES).map_err(|source| StoreError::Io {
        action: "read",
        path: path.to_owned(),
        source,
    })?;
    let Some(bytes) = read else { return Ok(None) };
    let damaged = || StoreError::Damaged { path: path.to_owned() };
    let text = std::str::from_utf8(&bytes).map_err(|_| damaged())?;
    let (head, body) = text.split_once('\n').ok_or_else(damaged)?;
    let digest: Sha256Digest =
        head.strip_prefix(MAGIC).and_then(|hex| hex.parse().ok()).ok_or_else(damaged)?;
    if Sha256Digest::of(body.as_bytes()) != digest {
        return Err(damaged());
    }
    serde_json::from_str(body)
        .map(Some)
        .map_err(|source| StoreError::Foreign { path: path.to_owned(), source })
}

/// Replaces a record; durable at return.
///
/// # Errors
/// [`StoreError`]; the old record is whole then.
pub fn save<T: Serialize>(path: &Path, value: &T, mode: u32) -> Result<(), StoreError> {
    let body = serde_json::to_string(value)
        .map_err(|source| StoreError::Foreign { path: path.to_owned(), source })?;
    let text = format!("{MAGIC}{}\n{body}", Sha256Digest::of(body.as_bytes()));
    write_atomic(path, text.as_bytes(), mode).map_err(|source| StoreError::Io {
        action: "write",
        path: path.to_owned(),
        source,
    })
}

/// Removes a record durably.
///
/// # Errors
/// [`StoreError`].
pub fn remove(path: &Path) -> Result<(), StoreError> {
    remove_durably(path).map_err(|source| StoreError::Io { action: "remove", path: path.to_owned(), source })
}

/// Gives a record that cannot be used another name, `NAME.damaged.json`, for people to look at.
///
/// # Errors
/// [`StoreError`].
pub fn put_aside(path: &Path) -> Result<(), StoreError> {
    let failed = |source| StoreError::Io { action: "put aside", path: path.to_owned(), source };
    fs::rename(path, path.with_extension("damaged.json")).map_err(failed)?;
    path.parent().map_or(Ok(()), sync_folder).map_err(failed)
}

/// The names (without `.json`) of the records in a folder, sorted; files of another form are passed over.
///
/// # Errors
/// [`StoreError`].
pub fn names(folder: &Path) -> Result<Vec<String>, StoreError> {
    let failed = |source| StoreError::Io { action: "list", path: folder.to_owned(), source };
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry.map_err(failed)?.file_name();
        let stem = name.to_str().and_then(|name| name.strip_suffix(".json"));
        names.extend(stem.filter(|stem| !stem.starts_with('.')).map(str::to_owned));
    }
    names.sort_unstable();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flipped_bit_anywhere_is_damage_and_never_absence() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        assert!(load::<Vec<u32>>(&path).unwrap().is_none());
        save(&path, &vec![1u32, 2, 3], 0o600).unwrap();
        assert_eq!(load::<Vec<u32>>(&path).unwrap().unwrap(), [1, 2, 3]);
        let whole = fs::read(&path).unwrap();
        for at in 0..whole.len() {
            let mut flipped = whole.clone();
            flipped[at] ^= 1;
            fs::write(&path, &flipped).unwrap();
            assert!(matches!(load::<Vec<u32>>(&path), Err(StoreError::Damaged { .. })), "byte {at}");
        }
        for length in 0..whole.len() {
            fs::write(&path, &whole[..length]).unwrap();
            assert!(matches!(load::<Vec<u32>>(&path), Err(StoreError::Damaged { .. })), "length {length}");
        }
    }
}
