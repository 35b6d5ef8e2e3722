//! Records: small JSON files with a checksum, replaced whole and durably.
//!
//! Invariant: a damaged record is never taken for a missing one; it is an error that names the file. The checksum
//! finds damage, not malice: what matters is signed inside and verified again after it is read.

use std::cmp::Ordering;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, UTIME_NOW, utimensat};
use sealpost_files::faults::{Step, reach};
use sealpost_files::{PRIVATE, frame, read_bounded, remove_durably, replace, sync_parent, unframe};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::disk::is_full;

/// What the label of a record's frame begins with; the format's version follows.
const LABEL_NAME: &str = "sealpost-record ";
/// The version of the records that this program writes and reads.
const VERSION: u32 = 3;
/// What the name of a file that was put aside ends with, after a dot.
pub const PUT_ASIDE: &str = "damaged.json";
/// The file that keeps room for records.
const RESERVE: &str = "reserve";
/// Its length: a journal, a package's record and the reports of one change, several times.
const RESERVE_BYTES: usize = 64 * 1024;
/// In how many folders from a record upwards it is looked for.
const RESERVE_FOLDERS: usize = 3;
/// Largest record, in bytes: the reports or an assignment may be some megabytes.
const MAX_RECORD_BYTES: u64 = 32 * 1024 * 1024;

/// Why a record could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("cannot {action} the record {path}; check the disk and permissions")]
    Io {
        action: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// The content is not what was written.
    #[error("the record {path} is damaged{}", consequence(path))]
    Damaged { path: PathBuf },
    /// Whole, and of before the formats were kept.
    #[error(
        "the record {path} has format version {found}, which no site ever used; move the agent's home folder away and \
         enroll this computer again"
    )]
    TooOld { path: PathBuf, found: u32 },
    /// Whole, and of a newer agent.
    #[error(
        "the record {path} has format version {found}, and this agent reads up to {VERSION}; update the agent"
    )]
    Newer { path: PathBuf, found: u32 },
    /// Whole, and not understood: written by another version.
    #[error("the record {path} is not understood by this version of the agent; update the agent")]
    Foreign {
        path: PathBuf,
        #[source]
        source: serde_json::Error,
    },
}

/// What a damaged record keeps from being done, and the step that repairs it, as people type it.
fn consequence(path: &Path) -> String {
    let name = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    let folder = path.parent().and_then(Path::file_name).and_then(|name| name.to_str()).unwrap_or_default();
    let (kept_from, step) = match (folder, name) {
        ("packages", package) => (format!("nothing of {package}"), format!("`agent-updater repair {package}`")),
        // Their readers go on without them.
        ("footprints", _) | (_, "withdrawn" | "reports" | "acknowledgement" | "install_root") => {
            return "; that stops no install, and it is made again by itself; check the disk".to_owned();
        }
        (_, "lease" | "assignment" | "server_list") => {
            return "; the server sends it again with the next contact; check the disk".to_owned();
        }
        (_, "journal") => (
            "nothing".to_owned(),
            "`agent-updater repair`: it checks every product and starts it, since one may be stopped".to_owned(),
        ),
        // Without its numbers the server takes this computer for a copy of itself.
        (_, "contact") => (
            "nothing".to_owned(),
            "ask the administrator for a new setup file of this computer (`distributor clients setup NAME`), and enroll \
             it again: `agent-updater enroll --setup FILE`"
                .to_owned(),
        ),
        _ => (
            "nothing".to_owned(),
            "enroll this computer again with its setup file: `agent-updater enroll --setup FILE`".to_owned(),
        ),
    };
    format!(", so {kept_from} is installed until it is repaired; check the disk, then {step}")
}

/// Reads a record; `None` only if there is none.
///
/// # Errors
/// [`StoreError`].
pub fn load<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, StoreError> {
    let read = read_bounded(path, MAX_RECORD_BYTES).map_err(|source| StoreError::Io {
        action: "read",
        path: path.to_owned(),
        source,
    })?;
    let Some(framed) = read else { return Ok(None) };
    let body = body(path, &framed)?;
    serde_json::from_slice(body)
        .map(Some)
        .map_err(|source| StoreError::Foreign { path: path.to_owned(), source })
}

/// What is behind the frame of a record of this program's version.
fn body<'f>(path: &Path, framed: &'f [u8]) -> Result<&'f [u8], StoreError> {
    let damaged = || StoreError::Damaged { path: path.to_owned() };
    let found = version_of(framed).ok_or_else(damaged)?;
    let body = unframe(&label(found), framed).map_err(|_| damaged())?;
    match found.cmp(&VERSION) {
        Ordering::Less => Err(StoreError::TooOld { path: path.to_owned(), found }),
        Ordering::Equal => Ok(body),
        Ordering::Greater => Err(StoreError::Newer { path: path.to_owned(), found }),
    }
}

fn label(version: u32) -> String {
    format!("{LABEL_NAME}{version}")
}

/// The version that a record's frame names; the frame is not checked yet.
fn version_of(framed: &[u8]) -> Option<u32> {
    let rest = framed.strip_prefix(LABEL_NAME.as_bytes())?;
    let end = rest.iter().position(|byte| *byte == b' ')?;
    std::str::from_utf8(rest.get(..end)?).ok()?.parse().ok()
}

/// Replaces a record; durable at return.
///
/// # Errors
/// [`StoreError`]; the old record is whole then.
pub fn save<T: Serialize>(path: &Path, value: &T, mode: u32) -> Result<(), StoreError> {
    replace(path, &framed(path, value)?, mode).map_err(|source| not_written(path, source))
}

/// The same for a record without which a change cannot end: on a full disk it takes the room of the reserve, which no other
/// record does.
///
/// # Errors
/// [`StoreError`]; the old record is whole then.
pub fn save_of_change<T: Serialize>(path: &Path, value: &T, mode: u32) -> Result<(), StoreError> {
    let framed = framed(path, value)?;
    let written = match replace(path, &framed, mode) {
        Err(error) if is_full(&error) && give_reserve_up(path) => replace(path, &framed, mode),
        written => written,
    };
    written.map_err(|source| not_written(path, source))
}

fn framed<T: Serialize>(path: &Path, value: &T) -> Result<Vec<u8>, StoreError> {
    let body =
        serde_json::to_vec(value).map_err(|source| StoreError::Foreign { path: path.to_owned(), source })?;
    Ok(frame(&label(VERSION), &body))
}

fn not_written(path: &Path, source: io::Error) -> StoreError {
    StoreError::Io { action: "write", path: path.to_owned(), source }
}

/// Keeps a file that takes room for nothing, so that on a full disk there is room for the records of a change that goes back.
/// It is made again once there is room. What cannot be made is no failure.
pub fn keep_reserve(state: &Path) {
    let path = state.join(RESERVE);
    if fs::symlink_metadata(&path).is_ok_and(|found| found.len() == RESERVE_BYTES as u64) {
        return;
    }
    // Not one byte repeated, which some file systems do not store.
    let bytes: Vec<u8> = (0..RESERVE_BYTES / 8)
        .scan(0x9e37_79b9_7f4a_7c15_u64, |number, _| {
            *number = number.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
            Some(number.to_le_bytes())
        })
        .flatten()
        .collect();
    if let Err(error) = replace(&path, &bytes, PRIVATE) {
        tracing::debug!(%error, "there is no room for the reserve of the records");
    }
}

/// Removes the reserve that lies in the folder of a record, or in one above it; `true` if there was one.
fn give_reserve_up(path: &Path) -> bool {
    let folders = path.ancestors().skip(1).take(RESERVE_FOLDERS);
    let mut reserves = folders.map(|folder| folder.join(RESERVE)).filter(|reserve| reserve.is_file());
    let given_up = reserves.next().is_some_and(|reserve| fs::remove_file(reserve).is_ok());
    if given_up {
        tracing::error!(path = %path.display(), "the disk is full; the reserve of the records is used up");
    }
    given_up
}

/// Removes a record durably.
///
/// # Errors
/// [`StoreError`].
pub fn remove(path: &Path) -> Result<(), StoreError> {
    remove_durably(path).map_err(|source| StoreError::Io { action: "remove", path: path.to_owned(), source })
}

/// Gives a record that cannot be used another name, for people to look at.
///
/// # Errors
/// [`StoreError`].
pub fn put_aside(path: &Path) -> Result<(), StoreError> {
    rename_aside(path).map_err(|source| StoreError::Io { action: "put aside", path: path.to_owned(), source })
}

/// As [`put_aside`], for a file of any form; durable at return.
///
/// # Errors
/// The system's.
pub fn rename_aside(path: &Path) -> io::Result<()> {
    begin_its_time(path);
    reach(Step::Rename, path.parent().unwrap_or(path))?;
    fs::rename(path, aside(path))?;
    sync_parent(path)
}

/// The path of a file after it was put aside: `NAME.damaged.json`.
#[must_use]
pub fn aside(path: &Path) -> PathBuf {
    path.with_extension(PUT_ASIDE)
}

/// How long it is kept counts from now on, and not from when it was written last, which may be years ago.
fn begin_its_time(path: &Path) {
    let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
    let times = Timestamps { last_access: now, last_modification: now };
    // Without a link being followed, and without opening what may be no file.
    if let Err(error) = utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW) {
        tracing::warn!(path = %path.display(), %error, "may be kept for a shorter time than others");
    }
}

/// Replaces a record that cannot be used, and keeps it under another name, as [`put_aside`] does. At no instant is there
/// none: a kill must not make a damaged record a missing one.
///
/// # Errors
/// [`StoreError`]; the damaged record is still there then.
pub fn replace_damaged<T: Serialize>(path: &Path, value: &T, mode: u32) -> Result<(), StoreError> {
    let aside = aside(path);
    let failed = |source| StoreError::Io { action: "put aside", path: path.to_owned(), source };
    begin_its_time(path);
    remove_durably(&aside).map_err(failed)?;
    reach(Step::Rename, path.parent().unwrap_or(path)).map_err(failed)?;
    fs::hard_link(path, &aside).map_err(failed)?;
    save(path, value, mode)
}

/// The names (without `.json`) of the records in a folder, sorted; files with other names are skipped.
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
            let error = load::<Vec<u32>>(&path).unwrap_err();
            // The checksum does not cover the version: another one is refused all the same.
            let is_version = at == LABEL_NAME.len();
            assert_eq!(
                matches!(error, StoreError::TooOld { found: 2, .. }),
                is_version,
                "byte {at}: {error}"
            );
            assert_eq!(matches!(error, StoreError::Damaged { .. }), !is_version, "byte {at}: {error}");
        }
        for length in 0..whole.len() {
            fs::write(&path, &whole[..length]).unwrap();
            assert!(matches!(load::<Vec<u32>>(&path), Err(StoreError::Damaged { .. })), "length {length}");
        }
    }

    #[test]
    fn a_damaged_record_is_replaced_without_an_instant_of_absence_and_kept_beside() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        for damage in ["first", "second"] {
            fs::write(&path, damage).unwrap();
            replace_damaged(&path, &vec![7u32], 0o644).unwrap();
            assert_eq!(load::<Vec<u32>>(&path).unwrap().unwrap(), [7]);
            assert_eq!(fs::read_to_string(folder.path().join("a.damaged.json")).unwrap(), damage);
        }
    }

    #[test]
    fn how_long_a_record_is_kept_counts_from_when_it_was_put_aside() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        let before = std::time::SystemTime::now() - std::time::Duration::from_secs(60);
        let aside: [&dyn Fn(); 2] =
            [&|| put_aside(&path).unwrap(), &|| replace_damaged(&path, &vec![7u32], 0o644).unwrap()];
        for put_aside in aside {
            fs::write(&path, "damaged").unwrap();
            fs::File::options().write(true).open(&path).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
            put_aside();
            assert!(fs::metadata(super::aside(&path)).unwrap().modified().unwrap() > before);
        }
    }

    #[test]
    fn a_record_has_the_frozen_form_of_version_3() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        let golden =
            "sealpost-record 3 7 a615eeaee21de5179de080de8c3052c8da901138406ba71c38c032845f7d54f4\n[1,2,3]";
        save(&path, &vec![1u32, 2, 3], 0o600).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), golden);
    }

    #[test]
    fn a_record_of_another_version_is_refused_with_what_to_do_and_is_not_damage() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        for (version, advice) in [(2, "enroll this computer again"), (4, "update the agent")] {
            let whole = frame(&label(version), b"[1,2,3]");
            fs::write(&path, &whole).unwrap();
            let error = load::<Vec<u32>>(&path).unwrap_err();
            assert!(error.to_string().contains(advice), "{error}");
            assert_eq!(fs::read(&path).unwrap(), whole);
            fs::write(&path, &whole[..whole.len() - 1]).unwrap();
            assert!(matches!(load::<Vec<u32>>(&path), Err(StoreError::Damaged { .. })));
        }
    }
}
