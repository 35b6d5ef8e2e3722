//! Writes a payload: the tar of `format.rs`, through gzip without name and time.

use std::io::{self, Write};
use std::path::PathBuf;

use flate2::{Compression, GzBuilder};

use super::content::{Content, HashingWriter, Outcome};
use super::format::{END_BYTES, head, padding};
use super::scan::{PayloadSource, open_plain};
use crate::release::{FileEntry, FileKind, Payload};

/// gzip's number for "no particular system".
const GZIP_UNKNOWN_SYSTEM: u8 = 255;

/// Why a payload could not be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// A file could not be read.
    #[error("cannot put {} into the payload: it cannot be read", path.display())]
    Read {
        /// Path of the file in the folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A file is no longer what it was when the folder was looked through.
    #[error("cannot put {} into the payload: it was changed meanwhile; start again when nothing writes there", path.display())]
    Changed {
        /// Path of the file in the folder.
        path: PathBuf,
    },
    /// The payload itself could not be written.
    #[error("cannot write the payload: check the disk")]
    Write(#[source] io::Error),
}

impl PayloadSource {
    /// Writes the payload as `.tar.gz`: digests and lengths of the tar and of what was written. The tar is
    /// the same for the same files, anywhere and at any time.
    ///
    /// # Errors
    /// When a file cannot be read or changed, or the output fails; the caller removes what was written.
    pub fn write_gzip(&self, out: impl Write) -> Result<Payload, WriteError> {
        let compressed = GzBuilder::new()
            .mtime(0)
            .operating_system(GZIP_UNKNOWN_SYSTEM)
            .write(HashingWriter::new(out), Compression::best());
        let mut tar = HashingWriter::new(compressed);
        for entry in self.files() {
            self.write_entry(entry, &mut tar)?;
        }
        write_zeros(&mut tar, END_BYTES)?;
        let (compressed, tar) = tar.finish();
        let (mut out, gzip) = compressed.finish().map_err(WriteError::Write)?.finish();
        out.flush().map_err(WriteError::Write)?;
        Ok(Payload { tar, encodings: [("gzip".to_owned(), gzip)].into() })
    }

    fn write_entry(&self, entry: &FileEntry, tar: &mut impl Write) -> Result<(), WriteError> {
        tar.write_all(&head(entry)).map_err(WriteError::Write)?;
        let FileKind::File { length, sha256, .. } = entry.kind else { return Ok(()) };
        let path = self.root().join(entry.path.as_str());
        let mut file = open_plain(&path).map_err(|source| WriteError::Read { path: path.clone(), source })?;
        let mut content = Content::new(&mut file, length, sha256);
        let copied = io::copy(&mut content, tar);
        match (content.outcome(), copied) {
            (Outcome::Right, Ok(_)) => {}
            (Outcome::Failed, Err(source)) => return Err(WriteError::Read { path, source }),
            (Outcome::Unfinished | Outcome::Right, Err(source)) => return Err(WriteError::Write(source)),
            (Outcome::Wrong | Outcome::Unfinished | Outcome::Failed, _) => {
                return Err(WriteError::Changed { path });
            }
        }
        write_zeros(tar, padding(length) as u64)
    }
}

fn write_zeros(out: &mut impl Write, count: u64) -> Result<(), WriteError> {
    io::copy(&mut io::Read::take(io::repeat(0), count), out).map(drop).map_err(WriteError::Write)
}
