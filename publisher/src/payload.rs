//! Building the payload of a release in a private folder, before anything of it is published.
//!
//! Invariant: what an interrupted build left is removed by the next one. The caller holds the home's lock.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use sealpost_files::{PRIVATE_FOLDER, make_folder};
use sealpost_manifests::payload::{PayloadProblems, PayloadSource, WriteError};
use sealpost_manifests::release::{FileEntry, Payload};
use tempfile::NamedTempFile;

use crate::home::HomeError;

/// Why a payload could not be built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The folder has what a payload cannot hold; every problem at once.
    #[error("the folder cannot be released as it is")]
    Content(#[source] PayloadProblems),
    #[error("the payload could not be written")]
    Write(#[source] WriteError),
    /// The folder for payloads that are being built failed.
    #[error("cannot use {}; check the home's permissions and free space", path.display())]
    Staging {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("cannot make a folder for the payload")]
    Folder(#[from] HomeError),
}

/// A payload that was built. Its file is removed when this is dropped.
#[derive(Debug)]
pub struct Built {
    pub file: NamedTempFile,
    /// What the manifest says about it.
    pub payload: Payload,
    /// What the manifest says about its files.
    pub files: Vec<FileEntry>,
}

/// What is in a folder, digested.
pub fn scan(folder: &Path) -> Result<PayloadSource, BuildError> {
    PayloadSource::scan(folder).map_err(BuildError::Content)
}

/// Builds the payload; `progress` gets the bytes of its compressed form that were written so far.
pub fn build(
    source: &PayloadSource,
    staging: &Path,
    progress: &mut dyn FnMut(u64),
) -> Result<Built, BuildError> {
    make_folder(staging, PRIVATE_FOLDER).map_err(HomeError::writing(staging))?;
    let failed = |source| BuildError::Staging { path: staging.to_owned(), source };
    remove_leftovers(staging).map_err(failed)?;
    let mut file = NamedTempFile::new_in(staging).map_err(failed)?;
    let out = io::BufWriter::new(CountingWriter { inner: file.as_file_mut(), count: 0, progress });
    let payload = source.write_gzip(out).map_err(BuildError::Write)?;
    Ok(Built { file, payload, files: source.files().to_vec() })
}

/// Everything there is a leftover: the caller holds the home's lock, so no other build is under way.
fn remove_leftovers(staging: &Path) -> io::Result<()> {
    for entry in fs::read_dir(staging)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            fs::remove_dir_all(entry.path())?;
        } else {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

struct CountingWriter<'a, W> {
    inner: W,
    count: u64,
    progress: &'a mut dyn FnMut(u64),
}

impl<W: Write> Write for CountingWriter<'_, W> {
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
