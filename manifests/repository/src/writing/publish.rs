//! Writing a signed repository, so that a reader never sees a list whose files are not there.
//!
//! Order: targets, then versioned metadata from the root to the snapshot, then, when all of that is on disk, the
//! timestamp, in one rename. Until that rename readers see the repository as it was.
//! Invariant: no published file is overwritten, except `timestamp.json`.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use sealpost_files::{PUBLIC, Unfinished, create_or_same, open_regular, replace, sync_folder};
use sealpost_manifests::digest::{Sha256Digest, Sha256Hasher};

use crate::target::length_of;
use crate::writing::editor::TargetSource;
use crate::writing::role::RoleName;
use crate::writing::signing::{SignedRepository, SignedTarget};

/// Why a signed repository was not published. Readers see it as it was before; load it again and repeat.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// A file could not be written.
    #[error("cannot publish {}; check disk space and permissions, then publish again", path.display())]
    Write {
        /// Path of that file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The file of a target could not be read.
    #[error("cannot read {} to publish it", path.display())]
    Source {
        /// Path of that file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The file of a target is not the one that was signed.
    #[error("{} was changed while it was being published; publish again", path.display())]
    SourceChanged {
        /// Path of that file.
        path: PathBuf,
    },
    /// A published file has other content than its name says.
    #[error("{} exists with other content; restore it from a backup, or remove it and publish again", path.display())]
    Occupied {
        /// Path of that file.
        path: PathBuf,
    },
}

/// What a publication has written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Version of the timestamp that readers see now.
    pub timestamp_version: u64,
    /// Version of the root that readers end at now.
    pub root_version: u64,
    /// Digest of the root's file, if this wrote one.
    pub root_sha256: Option<Sha256Digest>,
    /// When each role expires now, as [`RepositoryEditor::expiries`](crate::RepositoryEditor::expiries) says it.
    pub expiries: Vec<(RoleName, Timestamp)>,
    /// The files that were written, in order, relative to the repository.
    pub files: Vec<PathBuf>,
}

impl SignedRepository {
    /// Writes everything; the timestamp last.
    ///
    /// # Errors
    /// [`PublishError`]; readers see the repository as it was before.
    pub fn publish(self) -> Result<Written, PublishError> {
        let (folder, metadata) = (self.folder.targets(), self.folder.metadata());
        let (mut written, root_sha256) = (Vec::new(), self.root_bytes().map(Sha256Digest::of));
        for target in &self.targets {
            written.push(Path::new("targets").join(publish_target(&folder, target)?));
        }
        flush(&folder)?;
        for (name, bytes) in &self.files {
            let path = metadata.join(name);
            create_or_same(&path, bytes, PUBLIC).map_err(|source| {
                let path = path.clone();
                match source.kind() {
                    io::ErrorKind::AlreadyExists => PublishError::Occupied { path },
                    _ => PublishError::Write { path, source },
                }
            })?;
            written.push(Path::new("metadata").join(name));
        }
        flush(&metadata)?;
        let path = metadata.join("timestamp.json");
        replace(&path, &self.timestamp, PUBLIC).map_err(|source| PublishError::Write { path, source })?;
        written.push(PathBuf::from("metadata/timestamp.json"));
        Ok(Written {
            timestamp_version: self.timestamp_version,
            root_version: self.root_version,
            root_sha256,
            expiries: self.expiries,
            files: written,
        })
    }

    /// The bytes of the root, if this publishes one: what `init` hands to those who will pin it.
    #[must_use]
    pub fn root_bytes(&self) -> Option<&[u8]> {
        let root = self.files.iter().find(|(name, _)| name.ends_with(".root.json"));
        root.map(|(_, bytes)| bytes.as_slice())
    }
}

/// Puts a target into its place, which names its digest; a right file that is there already stays.
fn publish_target(folder: &Path, target: &SignedTarget) -> Result<PathBuf, PublishError> {
    let relative: PathBuf = target.path.parts().collect();
    let path = folder.join(&relative);
    let failed = |source| PublishError::Write { path: path.clone(), source };
    match open_regular(&path) {
        Ok(existing) => {
            let existing = Sha256Digest::of_reader(existing).map_err(failed)?;
            return if existing == (target.sha256, target.length) {
                Ok(relative)
            } else {
                Err(PublishError::Occupied { path })
            };
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(error)),
    }
    let mut unfinished = Unfinished::new_in(folder).map_err(failed)?;
    let file = unfinished.file_mut();
    match &target.source {
        TargetSource::Bytes(bytes) => file.write_all(bytes).map_err(failed)?,
        TargetSource::File(source_path) => {
            let read = |source| PublishError::Source { path: source_path.clone(), source };
            let mut source = open_regular(source_path).map_err(read)?;
            let mut hasher = Sha256Hasher::new();
            let (mut buffer, mut length) = (vec![0; 64 * 1024], 0);
            loop {
                let count = source.read(&mut buffer).map_err(read)?;
                if count == 0 {
                    break;
                }
                hasher.update(&buffer[..count]);
                length += length_of(&buffer[..count]);
                file.write_all(&buffer[..count]).map_err(failed)?;
            }
            if (hasher.finish(), length) != (target.sha256, target.length) {
                return Err(PublishError::SourceChanged { path: source_path.clone() });
            }
        }
    }
    unfinished.finish(PUBLIC).map_err(failed)?;
    unfinished.create(&path).map_err(failed)?;
    Ok(relative)
}

fn flush(folder: &Path) -> Result<(), PublishError> {
    sync_folder(folder).map_err(|source| PublishError::Write { path: folder.to_owned(), source })
}
