//! A repository in a folder: `metadata/` and `targets/`, as published and as mirrored.
//!
//! Delegated roles are found like everything else, under their versioned names.

use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use futures_util::future::BoxFuture;
use futures_util::stream;

use sealpost_files::{open_regular, read_bounded};

use crate::target::TargetPath;
use crate::transport::error::TransportError;
use crate::transport::interface::{TargetBody, Transport, is_metadata_name};

/// Bytes per chunk of a target.
const CHUNK_BYTES: usize = 64 * 1024;

/// Reads a repository out of two folders.
#[derive(Debug, Clone)]
pub struct FolderTransport {
    metadata: PathBuf,
    targets: PathBuf,
}

impl FolderTransport {
    /// A published repository: `metadata/` and `targets/` below one folder.
    #[must_use]
    pub fn new(repository: &Path) -> Self {
        Self::of(repository.join("metadata"), repository.join("targets"))
    }

    /// The two folders by themselves.
    #[must_use]
    pub const fn of(metadata: PathBuf, targets: PathBuf) -> Self {
        Self { metadata, targets }
    }

    fn read_metadata(&self, name: &str, max_bytes: u64) -> Result<Option<Vec<u8>>, TransportError> {
        if !is_metadata_name(name) {
            return Err(TransportError::Name { name: name.to_owned() });
        }
        let path = self.metadata.join(name);
        read_bounded(&path, max_bytes).map_err(|source| {
            let location = path.display().to_string();
            if source.kind() == io::ErrorKind::FileTooLarge {
                TransportError::TooLarge { location, max_bytes }
            } else {
                TransportError::File { location, source }
            }
        })
    }

    fn open_target(&self, target: &TargetPath, offset: u64) -> Result<Option<TargetBody>, TransportError> {
        let mut path = self.targets.clone();
        path.extend(target.parts());
        let location = path.display().to_string();
        let mut file = match open_regular(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(TransportError::File { location, source }),
        };
        if let Err(source) = file.seek(SeekFrom::Start(offset)) {
            return Err(TransportError::File { location, source });
        }
        let chunks = stream::unfold(Some((file, location)), |open| async move {
            let (mut file, location) = open?;
            let mut chunk = vec![0; CHUNK_BYTES];
            match file.read(&mut chunk) {
                Ok(0) => None,
                Ok(count) => {
                    chunk.truncate(count);
                    Some((Ok(chunk), Some((file, location))))
                }
                Err(source) => Some((Err(TransportError::File { location, source }), None)),
            }
        });
        Ok(Some(TargetBody { offset, chunks: Box::pin(chunks) }))
    }
}

impl Transport for FolderTransport {
    fn metadata<'a>(
        &'a self,
        name: &'a str,
        max_bytes: u64,
    ) -> BoxFuture<'a, Result<Option<Vec<u8>>, TransportError>> {
        let result = self.read_metadata(name, max_bytes);
        Box::pin(async move { result })
    }

    fn target<'a>(
        &'a self,
        path: &'a TargetPath,
        offset: u64,
    ) -> BoxFuture<'a, Result<Option<TargetBody>, TransportError>> {
        let result = self.open_target(path, offset);
        Box::pin(async move { result })
    }

    fn metadata_location(&self, name: &str) -> String {
        self.metadata.join(name).display().to_string()
    }
}
