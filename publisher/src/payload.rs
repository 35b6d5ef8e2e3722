//! Building the payload of a release in a private folder, before anything of it is published.
//!
//! Invariant: what an interrupted build left is removed by the next one; the caller holds the home's lock.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use sealpost_manifests::payload::{PayloadProblems, PayloadSource, WriteError};
use sealpost_manifests::release::{FileEntry, Payload};
use tempfile::NamedTempFile;

use crate::vendor::{HomeError, private_folder};

/// Why a payload could not be built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The folder has what a payload cannot hold; everything at once.
    #[error("the folder cannot be released as it is")]
    Content(#[source] PayloadProblems),
    /// The payload could not be written.
    #[error("the payload could not be written")]
    Write(#[source] WriteError),
    /// The folder for payloads that are being built failed.
    #[error("cannot use {}; check the home's permissions and free space", path.display())]
    Staging {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The folder for payloads that are being built could not be made.
    #[error("cannot make a folder for the payload")]
    Folder(#[from] HomeError),
}

/// A payload that was built. Its file is removed when this is dropped.
#[derive(Debug)]
pub struct Built {
    /// The `.tar.gz`.
    pub file: NamedTempFile,
    /// What the manifest says about it.
    pub payload: Payload,
    /// What the manifest says about its files.
    pub files: Vec<FileEntry>,
}

/// Builds the payload of a folder; `progress` gets the compressed bytes so far.
///
/// # Errors
/// [`BuildError`]; every problem of the folder at once.
pub fn build(folder: &Path, staging: &Path, progress: &mut dyn FnMut(u64)) -> Result<Built, BuildError> {
    let source = PayloadSource::scan(folder).map_err(BuildError::Content)?;
    private_folder(staging)?;
    let failed = |source| BuildError::Staging { path: staging.to_owned(), source };
    sweep(staging).map_err(failed)?;
    let mut file = NamedTempFile::new_in(staging).map_err(failed)?;
    let out = io::BufWriter::new(Counted { inner: file.as_file_mut(), count: 0, progress });
    let payload = source.write_gzip(out).map_err(BuildError::Write)?;
    Ok(Built { file, payload, files: source.files().to_vec() })
}

fn sweep(staging: &Path) -> io::Result<()> {
    for entry in fs::read_dir(staging)? {
        fs::remove_file(entry?.path())?;
    }
    Ok(())
}

struct Counted<'a, W> {
    inner: W,
    count: u64,
    progress: &'a mut dyn FnMut(u64),
}

impl<W: Write> Write for Counted<'_, W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(buffer)?;
        self.count += written as u64;
        (self.progress)(self.count);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
