//! Comparing a slot with its signed manifest: exactly those paths, types, modes, lengths, digests and link texts, and
//! nothing that belongs to anybody but root and the agent: its owner could change it afterwards.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::release::{FileKind, ReleaseManifest};

use crate::platform::ownership::is_trusted_owner;

use super::beneath::{BeneathError, Folder, Kind, io_error};

/// Mode of a file in a slot.
pub(super) const FILE_MODE: u32 = 0o444;
/// Mode of an executable file, and of folders, in a slot.
pub(super) const EXECUTABLE_MODE: u32 = 0o555;
/// Upper bound on listed differences; more are only counted.
const MAX_LISTED: usize = 100;

/// One path that is not as signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The path, relative to the slot.
    pub path: PathBuf,
    /// What is wrong with it.
    pub what: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", escaped(&self.path), self.what)
    }
}

/// A path that was found on disk, for people: it may hold anything, and control characters must not reach a terminal.
pub(super) fn escaped(path: &Path) -> String {
    let mut text = String::new();
    for chunk in path.as_os_str().as_bytes().utf8_chunks() {
        text.extend(chunk.valid().escape_debug());
        text.extend(chunk.invalid().iter().map(|byte| format!("\\x{byte:02x}")));
    }
    text
}

/// Why a slot is not what was signed.
#[derive(Debug, thiserror::Error)]
pub enum SlotFault {
    #[error("{}: {}", counted(*count), listed(differences))]
    Differs {
        /// The first of them.
        differences: Vec<Difference>,
        count: usize,
    },
    #[error("the slot could not be read")]
    Unreadable(#[from] BeneathError),
}

fn counted(count: usize) -> String {
    if count == 1 { "1 path is not as signed".to_owned() } else { format!("{count} paths are not as signed") }
}

fn listed(differences: &[Difference]) -> String {
    differences.iter().take(5).map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

pub(super) fn check(slot: &Folder, manifest: &ReleaseManifest) -> Result<(), SlotFault> {
    let mut missing: BTreeMap<&str, &FileKind> =
        manifest.files.iter().map(|entry| (entry.path.as_str(), &entry.kind)).collect();
    let folders: BTreeSet<&str> =
        missing.keys().flat_map(|path| path.match_indices('/').map(|(at, _)| &path[..at])).collect();
    let mut differences = Vec::new();
    let mut count = 0usize;
    let mut note = |path: &Path, what: &str| {
        count += 1;
        if differences.len() < MAX_LISTED {
            differences.push(Difference { path: path.to_owned(), what: what.to_owned() });
        }
    };
    if let Some(what) = folder_difference(slot)? {
        note(Path::new("."), what);
    }
    slot.walk(&mut |folder, name, path, kind| {
        // What is no text is none of a release's.
        let text = path.to_str();
        if kind == Kind::Folder {
            if !text.is_some_and(|text| folders.contains(text)) {
                note(path, "is a folder that was not signed");
            } else if let Some(what) = folder_difference(&folder.folder(name)?)? {
                note(path, what);
            }
            return Ok(());
        }
        match (text.and_then(|text| missing.remove(text)), kind) {
            (None, _) => note(path, "was not signed"),
            (Some(FileKind::File { executable, length, sha256 }), Kind::File) => {
                let what = file_differences(folder, name, *executable, *length, sha256)?;
                if !what.is_empty() {
                    note(path, &what.join(", and "));
                }
            }
            (Some(FileKind::Symlink { target }), Kind::Link) => {
                if folder.read_link(name)?.as_deref() != Some(OsStr::new(target)) {
                    note(path, "has another target");
                }
            }
            (Some(_), _) => note(path, "is of another type"),
        }
        Ok(())
    })?;
    for path in missing.keys() {
        note(Path::new(path), "is missing");
    }
    if count == 0 { Ok(()) } else { Err(SlotFault::Differs { differences, count }) }
}

fn folder_difference(folder: &Folder) -> Result<Option<&'static str>, BeneathError> {
    let is_foreign = !is_trusted_owner(folder.owner()?);
    let is_writable = folder.mode()? != EXECUTABLE_MODE;
    Ok(match (is_foreign, is_writable) {
        (true, true) => Some("belongs to another user, and can be written to"),
        (true, false) => Some("belongs to another user"),
        (false, true) => Some("can be written to"),
        (false, false) => None,
    })
}

/// Everything that is wrong with the file at a path beneath a folder: one difference must not hide another.
pub(super) fn file_differences(
    folder: &Folder,
    name: &OsStr,
    executable: bool,
    length: u64,
    sha256: &Sha256Digest,
) -> Result<Vec<&'static str>, BeneathError> {
    let file = folder.file(name)?;
    let failed = |source| io_error("read", &folder.path().join(name), source);
    let found = file.metadata().map_err(failed)?;
    if !found.is_file() {
        return Ok(vec!["is of another type"]);
    }
    let mut what = Vec::new();
    // The content comes first: whoever reads that only a mode differs passes over it.
    let has_other_content =
        found.len() != length || Sha256Digest::of_reader(file).map_err(failed)?.0 != *sha256;
    let has_other_mode = found.mode() & 0o7777 != if executable { EXECUTABLE_MODE } else { FILE_MODE };
    match (has_other_content, has_other_mode) {
        (true, true) => what.push("has another content and another mode"),
        (true, false) => what.push("has another content"),
        (false, true) => what.push("has another mode"),
        (false, false) => {}
    }
    if !is_trusted_owner(found.uid()) {
        what.push("belongs to another user");
    }
    if found.nlink() != 1 {
        what.push("has a second hard link, by which it could be changed");
    }
    Ok(what)
}
