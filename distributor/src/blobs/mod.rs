//! Blobs as plain files: `blobs/ab/abcdef…`, named by their SHA-256.
//!
//! Invariant: a file gets its name only when all of its bytes are on disk and were digested; so after a crash a blob
//! is there whole or not at all. Unfinished files are in `blobs/unfinished`, which is emptied at the start.
//! Left out on purpose: which blobs are needed (`upstream` knows), and compression.

use std::fs::{self, File, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use sealpost_files::faults::{Step, reach};
use sealpost_files::{PRIVATE_FOLDER, Unfinished, make_folder, open_regular, sync_folder};
use sealpost_manifests::digest::{Sha256Digest, Sha256Hasher};
use sealpost_manifests::release::Blob;

use crate::ports::blobs::{BlobError, BlobStore, OpenBlob};

/// Folder of files that are being written.
const UNFINISHED: &str = "unfinished";
/// Begins the name of a damaged blob there.
const DAMAGED: &str = "damaged-";
/// Bytes per read and write.
const BUFFER_BYTES: usize = 128 * 1024;
/// Blobs are written once and belong to the server alone.
const BLOB_MODE: u32 = 0o400;

/// The blobs of one server, in one folder.
#[derive(Debug)]
pub struct FolderBlobs {
    root: PathBuf,
}

impl FolderBlobs {
    /// Opens the folder, makes it if it is not there, and removes what a killed process left unfinished. The caller
    /// holds the lock of the server's home.
    pub fn open(root: &Path) -> Result<Self, BlobError> {
        let unfinished = root.join(UNFINISHED);
        for folder in [root, &unfinished] {
            make_folder(folder, PRIVATE_FOLDER)
                .map_err(|source| failed("make the folder of", folder, source))?;
        }
        let leftovers = fs::read_dir(&unfinished).map_err(|source| failed("list", &unfinished, source))?;
        for entry in leftovers {
            let path = entry.map_err(|source| failed("list", &unfinished, source))?.path();
            fs::remove_file(&path).map_err(|source| failed("remove", &path, source))?;
        }
        Ok(Self { root: root.to_owned() })
    }

    fn path(&self, sha256: &Sha256Digest) -> PathBuf {
        let name = sha256.to_string();
        self.root.join(&name[..2]).join(name)
    }

    /// Where a damaged blob is kept.
    fn aside(&self, sha256: &Sha256Digest) -> PathBuf {
        self.root.join(UNFINISHED).join(format!("{DAMAGED}{sha256}"))
    }

    fn unfinished(&self) -> Result<Unfinished, BlobError> {
        let folder = self.root.join(UNFINISHED);
        // Somebody may have removed it while the server runs.
        make_folder(&folder, PRIVATE_FOLDER)
            .map_err(|source| failed("make the folder of", &folder, source))?;
        Unfinished::new_in(&folder).map_err(|source| failed("make a new file in", &folder, source))
    }

    /// Gives a finished file its name. If two store the same blob at once, the second replaces it with the same bytes.
    fn put_in_place(&self, from: &Path, sha256: &Sha256Digest) -> Result<(), BlobError> {
        let destination = self.path(sha256);
        let folder = destination.parent().unwrap_or(&self.root);
        make_folder(folder, PRIVATE_FOLDER).map_err(|source| failed("make the folder of", folder, source))?;
        reach(Step::Rename, folder)
            .and_then(|()| fs::rename(from, &destination))
            .map_err(|source| failed("rename", &destination, source))?;
        // It is no longer what is here instead of the blob; whoever investigates still finds it.
        let replaced = self.root.join(UNFINISHED).join(format!("replaced-{sha256}"));
        let _: io::Result<()> = fs::rename(self.aside(sha256), replaced);
        self.flush_name(&destination)
    }

    fn flush_name(&self, path: &Path) -> Result<(), BlobError> {
        let folder = path.parent().unwrap_or(&self.root);
        sync_folder(folder).map_err(|source| failed("flush the folder of", folder, source))
    }
}

impl BlobStore for FolderBlobs {
    fn length(&self, sha256: &Sha256Digest) -> Result<Option<u64>, BlobError> {
        let path = self.path(sha256);
        match fs::symlink_metadata(&path) {
            Ok(metadata) => Ok(Some(metadata.len())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(failed("look at", &path, source)),
        }
    }

    fn open(&self, sha256: &Sha256Digest) -> Result<Option<OpenBlob>, BlobError> {
        let path = self.path(sha256);
        let file = match open_regular(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(failed("open", &path, source)),
        };
        let length = file.metadata().map_err(|source| failed("look at", &path, source))?.len();
        Ok(Some(OpenBlob { file, length }))
    }

    fn put(&self, reader: &mut dyn Read, expected: Blob) -> Result<(), BlobError> {
        if self.length(&expected.sha256)? == Some(expected.length) {
            // An earlier try may have failed when only this was left.
            return self.flush_name(&self.path(&expected.sha256));
        }
        let mut unfinished = self.unfinished()?;
        let found = digest(reader, expected.length, Some(unfinished.file_mut()))
            .map_err(|source| failed("write", unfinished.path(), source))?;
        if found != Found::Bytes(expected) {
            return Err(BlobError::Mismatch { expected, found: found.to_string() });
        }
        unfinished.finish(BLOB_MODE).map_err(|source| failed("flush", unfinished.path(), source))?;
        self.put_in_place(unfinished.path(), &expected.sha256)
    }

    fn adopt(&self, file: &Path, expected: Blob) -> Result<(), BlobError> {
        let mut open = match open_regular(file) {
            Ok(open) => open,
            // An earlier try took it over and could not flush its name.
            Err(error)
                if error.kind() == io::ErrorKind::NotFound
                    && self.length(&expected.sha256)? == Some(expected.length) =>
            {
                return self.flush_name(&self.path(&expected.sha256));
            }
            Err(source) => return Err(failed("open", file, source)),
        };
        let found =
            digest(&mut open, expected.length, None).map_err(|source| failed("read", file, source))?;
        if found != Found::Bytes(expected) {
            return Err(BlobError::Mismatch { expected, found: found.to_string() });
        }
        seal(&open).map_err(|source| failed("flush", file, source))?;
        self.put_in_place(file, &expected.sha256)
    }

    fn verify(&self, sha256: &Sha256Digest) -> Result<bool, BlobError> {
        let Some(mut blob) = self.open(sha256)? else { return Ok(false) };
        let path = self.path(sha256);
        let expected = Blob { sha256: *sha256, length: blob.length };
        let found =
            digest(&mut blob.file, blob.length, None).map_err(|source| failed("read", &path, source))?;
        if found == Found::Bytes(expected) {
            return Ok(true);
        }
        // Kept for investigation until the next start, under a name that is never looked up.
        let aside = self.aside(sha256);
        reach(Step::Rename, &self.root)
            .and_then(|()| fs::rename(&path, &aside))
            .map_err(|source| failed("put aside", &path, source))?;
        Err(BlobError::Damaged { path })
    }

    fn was_damaged(&self, sha256: &Sha256Digest) -> bool {
        self.aside(sha256).exists()
    }

    fn damaged(&self) -> Vec<Sha256Digest> {
        let entries = fs::read_dir(self.root.join(UNFINISHED)).into_iter().flatten().flatten();
        let names = entries.map(|entry| entry.file_name());
        names.filter_map(|name| name.to_str()?.strip_prefix(DAMAGED)?.parse().ok()).collect()
    }

    fn place(&self, sha256: &Sha256Digest) -> Option<PathBuf> {
        Some(self.path(sha256)).filter(|path| path.is_file())
    }

    fn list(&self) -> Result<Vec<Blob>, BlobError> {
        let mut found = Vec::new();
        make_folder(&self.root, PRIVATE_FOLDER)
            .map_err(|source| failed("make the folder of", &self.root, source))?;
        for folder in fs::read_dir(&self.root).map_err(|source| failed("list", &self.root, source))? {
            let folder = folder.map_err(|source| failed("list", &self.root, source))?.path();
            // Folders have two letters; others are not ours, or hold what is unfinished.
            if folder.file_name().is_none_or(|name| name.len() != 2) {
                continue;
            }
            for entry in fs::read_dir(&folder).map_err(|source| failed("list", &folder, source))? {
                let entry = entry.map_err(|source| failed("list", &folder, source))?;
                let name = entry.file_name();
                let Some(sha256) = name.to_str().and_then(|name| name.parse::<Sha256Digest>().ok()) else {
                    continue;
                };
                match entry.metadata() {
                    Ok(metadata) => found.push(Blob { sha256, length: metadata.len() }),
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(source) => return Err(failed("look at", &entry.path(), source)),
                }
            }
        }
        Ok(found)
    }

    fn remove(&self, sha256: &Sha256Digest) -> Result<(), BlobError> {
        let path = self.path(sha256);
        sealpost_files::remove_durably(&path).map_err(|source| failed("remove", &path, source))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    Bytes(Blob),
    /// More than expected; reading stopped there.
    MoreThan(u64),
}

impl std::fmt::Display for Found {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Bytes(blob) => write!(f, "{} bytes with SHA-256 {}", blob.length, blob.sha256),
            Self::MoreThan(limit) => write!(f, "more than {limit} bytes"),
        }
    }
}

/// Digests what is read, at most one byte more than `limit`, and copies it if asked to.
fn digest(reader: &mut dyn Read, limit: u64, mut copy: Option<&mut File>) -> io::Result<Found> {
    let mut reader = reader.take(limit.saturating_add(1));
    let mut hasher = Sha256Hasher::new();
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut length = 0u64;
    loop {
        let count = match reader.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        length += count as u64;
        if length > limit {
            return Ok(Found::MoreThan(limit));
        }
        hasher.update(&buffer[..count]);
        if let Some(file) = copy.as_deref_mut() {
            reach(Step::Write, Path::new("a blob"))?;
            file.write_all(&buffer[..count])?;
        }
    }
    Ok(Found::Bytes(Blob { sha256: hasher.finish(), length }))
}

/// Flushes a file and closes it to writers.
fn seal(file: &File) -> io::Result<()> {
    reach(Step::Flush, Path::new("a blob"))?;
    file.set_permissions(Permissions::from_mode(BLOB_MODE))?;
    file.sync_all()
}

fn failed(attempted: &'static str, path: &Path, source: io::Error) -> BlobError {
    BlobError::Io { attempted, path: path.to_owned(), source }
}

#[cfg(test)]
mod faults;
#[cfg(test)]
mod tests;
