//! One generation on disk: a folder `gen-00000042` with every metadata file of one pull and an index of them.
//!
//! Invariant: a folder has its name only when all of it is on disk; a file is given out only with the digest that the
//! index has for it.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use sealpost_files::{PRIVATE_FOLDER, PUBLIC, frame, make_folder, sync_folder, unframe, write_new};
use sealpost_manifests::release::Blob;
use sealpost_repository::MirroredFile;
use serde::{Deserialize, Serialize};

use super::super::targets::TargetIndex;
use super::disk::{PublishError, blob_of, damaged, failed, read_checked, read_optional, remove};
use crate::ports::upstream::MirrorReadError;

/// Largest index, in bytes: some 100,000 targets.
const MAX_INDEX_BYTES: u64 = 64 * 1024 * 1024;
/// Label of a framed index, with its version.
const INDEX_LABEL: &str = "sealpost-mirror-2";
const INDEX: &str = "index";
/// Where a generation is put together before it gets its name.
pub(super) const UNFINISHED: &str = ".unfinished";

/// A generation's list of what is in it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Index {
    pub(super) published_at: Timestamp,
    pub(super) files: BTreeMap<String, Blob>,
    pub(super) targets: TargetIndex,
}

/// A generation whose index was read.
#[derive(Debug)]
pub(super) struct Generation {
    pub(super) number: u64,
    folder: PathBuf,
    pub(super) index: Index,
}

impl Index {
    pub(super) fn of(files: &[MirroredFile], targets: TargetIndex, now: Timestamp) -> Self {
        let files = files.iter().map(|file| (file.name.clone(), blob_of(&file.bytes))).collect();
        Self { published_at: now, files, targets }
    }
}

impl Generation {
    pub(super) fn load(root: &Path, number: u64) -> Result<Self, MirrorReadError> {
        let folder = folder_of(root, number);
        let path = folder.join(INDEX);
        let bytes = read_optional(&path, MAX_INDEX_BYTES)?.ok_or_else(|| damaged(&path, "it is missing"))?;
        let json = unframe(INDEX_LABEL, &bytes).map_err(|error| damaged(&path, &error.to_string()))?;
        let index = serde_json::from_slice(json).map_err(|error| damaged(&path, &error.to_string()))?;
        Ok(Self { number, folder, index })
    }

    /// Writes a generation and gives it its name, all of it on disk. Files that are the same in `before` are linked,
    /// not copied.
    pub(super) fn write(
        root: &Path,
        number: u64,
        files: &[MirroredFile],
        index: &Index,
        before: Option<&Self>,
    ) -> Result<(), PublishError> {
        let draft = root.join(UNFINISHED);
        remove(&draft)?;
        make_folder(&draft, PRIVATE_FOLDER).map_err(|source| failed("make", &draft, source))?;
        for file in files {
            let path = draft.join(&file.name);
            let same =
                before.filter(|before| before.index.files.get(&file.name) == index.files.get(&file.name));
            if !same.is_some_and(|before| before.link(file, &path)) {
                write_new(&path, &file.bytes, PUBLIC).map_err(|source| failed("write", &path, source))?;
            }
        }
        let json =
            serde_json::to_vec(index).map_err(|error| failed("write", &draft, io::Error::from(error)))?;
        let path = draft.join(INDEX);
        write_new(&path, &frame(INDEX_LABEL, &json), PUBLIC)
            .map_err(|source| failed("write", &path, source))?;
        let folder = folder_of(root, number);
        fs::rename(&draft, &folder).map_err(|source| failed("rename", &folder, source))?;
        sync_folder(root).map_err(|source| failed("flush", root, source))
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// A file of this generation, checked; `None` if the index does not have it.
    pub(super) fn read(&self, name: &str) -> Result<Option<Vec<u8>>, MirrorReadError> {
        let Some(blob) = self.index.files.get(name) else { return Ok(None) };
        read_checked(&self.path(name), blob).map(Some)
    }

    /// Whether every file still has its digest: if not, the next pull writes them again.
    pub(super) fn is_whole(&self) -> bool {
        self.index.files.iter().all(|(name, blob)| read_checked(&self.path(name), blob).is_ok())
    }

    /// Links a file of this generation to `path`, if its bytes on disk are really those.
    fn link(&self, file: &MirroredFile, path: &Path) -> bool {
        let old = self.path(&file.name);
        read_checked(&old, &blob_of(&file.bytes)).is_ok() && fs::hard_link(&old, path).is_ok()
    }
}

/// The numbers of all generations on disk, newest first.
pub(super) fn numbers(root: &Path) -> io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir(root)? {
        numbers.extend(entry?.file_name().to_str().and_then(number_of));
    }
    numbers.sort_unstable_by(|a, b| b.cmp(a));
    Ok(numbers)
}

pub(super) fn folder_name(number: u64) -> String {
    format!("gen-{number:08}")
}

pub(super) fn folder_of(root: &Path, number: u64) -> PathBuf {
    root.join(folder_name(number))
}

pub(super) fn number_of(name: &str) -> Option<u64> {
    name.strip_prefix("gen-")?.parse().ok()
}
