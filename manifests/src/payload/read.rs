//! Reads a payload, and accepts nothing in it that the manifest does not say.
//!
//! Every header is computed from the manifest and compared; length and digest are checked for every
//! content, for the tar and for the compressed stream. Memory does not depend on the input, and no more is
//! unpacked than the manifest signed. Nothing that a sink received counts before [`read_gzip`]
//! succeeds.

use std::io::{self, BufReader, Read};

use flate2::bufread::GzDecoder;

use super::content::{Content, HashingReader, Outcome, at_end};
use super::format::{END_BYTES, head, padding, tar_length};
use crate::ids::RelativePath;
use crate::release::{Encoding, FileEntry, FileKind, ReleaseManifest};

/// Receives the files and links of a payload, folders implied. Paths come once, in byte order, and never
/// lie beneath a link.
pub trait PayloadSink {
    /// Makes a file. The content yields `length` bytes and then, at its end, tells whether they were the
    /// right ones: read it to the end.
    ///
    /// # Errors
    /// When the file cannot be written, or the content fails.
    fn create_file(
        &mut self,
        path: &RelativePath,
        mode: u32,
        length: u64,
        content: &mut dyn Read,
    ) -> io::Result<()>;

    /// Makes a symbolic link with this text.
    ///
    /// # Errors
    /// When it cannot be made.
    fn create_symlink(&mut self, path: &RelativePath, target: &str) -> io::Result<()>;
}

/// Why a payload is not the one that the manifest describes.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The manifest cannot be followed.
    #[error("cannot unpack the payload: its manifest is unsound ({}); publish the release again", problems.join("; "))]
    Manifest {
        /// Everything wrong with it.
        problems: Vec<String>,
    },
    /// The stream could not be read.
    #[error("cannot read the payload: fetch it again")]
    Read(#[source] io::Error),
    /// The compressed stream is cut, damaged, longer or shorter than signed, or another one.
    #[error("cannot unpack the payload: the compressed file is not the one that was signed; fetch it again")]
    CompressedDiffers,
    /// The tar is longer or shorter than signed, or another one.
    #[error("cannot unpack the payload: the tar inside is not the one that was signed; fetch it again")]
    TarDiffers,
    /// Something else stands where an entry of the manifest should.
    #[error(
        "cannot unpack the payload: {found} stands where the manifest has {path}; do not install this release"
    )]
    Entry {
        /// The path that the manifest has.
        path: RelativePath,
        /// What stands there, as far as it can be told.
        found: String,
    },
    /// The content of a file is not the one that was signed.
    #[error(
        "cannot unpack the payload: the content of {path} is not the one that was signed; do not install this release"
    )]
    Content {
        /// The path of the file.
        path: RelativePath,
    },
    /// A file or link could not be written.
    #[error("cannot unpack the payload: {path} cannot be written; check the disk")]
    Sink {
        /// The path of the file or link.
        path: RelativePath,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// Unpacks a payload in gzip encoding into a sink, exactly as the manifest says.
///
/// # Errors
/// The first thing in which the payload is not the one of the manifest; the caller
/// removes what the sink received.
pub fn read_gzip(
    compressed: impl Read,
    manifest: &ReleaseManifest,
    sink: &mut dyn PayloadSink,
) -> Result<(), ReadError> {
    let signed = check_manifest(manifest)?;
    // One byte more than signed, so that a longer stream is seen to be longer.
    let source = HashingReader::new(compressed, signed.gzip.length.saturating_add(1));
    let decoder = GzDecoder::new(BufReader::with_capacity(64 * 1024, source));
    let mut tar = HashingReader::new(decoder, signed.tar.length.saturating_add(1));

    let unpacked = read_tar(&mut tar, &manifest.payload.tar, &manifest.files, sink);
    let tar_failed = tar.failed();
    let mut source = tar.into_inner().into_inner();
    match unpacked {
        Err(Stop::Tar(error)) if source.get_ref().failed() => return Err(ReadError::Read(error)),
        Err(Stop::Tar(_)) if tar_failed => return Err(ReadError::CompressedDiffers),
        Err(Stop::Tar(_)) => return Err(ReadError::TarDiffers),
        Err(Stop::Refused(error)) => return Err(error),
        Ok(()) => {}
    }
    if !at_end(&mut source).map_err(ReadError::Read)? || source.get_ref().blob() != signed.gzip {
        return Err(ReadError::CompressedDiffers);
    }
    Ok(())
}

/// What the manifest says of the streams.
struct Signed {
    tar: crate::release::Blob,
    gzip: crate::release::Blob,
}

/// Refuses a manifest that no tar can fulfill, or that would lead a sink astray.
fn check_manifest(manifest: &ReleaseManifest) -> Result<Signed, ReadError> {
    let mut problems = manifest.check();
    let tar = manifest.payload.tar;
    if tar_length(&manifest.files) != Some(tar.length) {
        problems.push(format!("a tar of its files does not have {} bytes", tar.length));
    }
    match manifest.payload.encoding(Encoding::Gzip) {
        Some(gzip) if problems.is_empty() => Ok(Signed { tar, gzip: *gzip }),
        _ => Err(ReadError::Manifest { problems }),
    }
}

/// Why the tar was not read to its end.
enum Stop {
    /// The tar stream failed or ended early.
    Tar(io::Error),
    /// It says something else than the manifest, or the sink failed.
    Refused(ReadError),
}

fn read_tar<R: Read>(
    tar: &mut HashingReader<R>,
    signed: &crate::release::Blob,
    files: &[FileEntry],
    sink: &mut dyn PayloadSink,
) -> Result<(), Stop> {
    for entry in files {
        read_entry(tar, entry, sink)?;
    }
    expect_zeros(tar, END_BYTES)?;
    // Reading on makes the decoder check its own sum, and shows a longer tar.
    let mut beyond = [0; 1];
    let rest = tar.take(1).read_exact(&mut beyond);
    match rest {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof && !tar.failed() => {}
        Err(error) => return Err(Stop::Tar(error)),
        Ok(()) => return Err(Stop::Refused(ReadError::TarDiffers)),
    }
    if tar.blob() != *signed {
        return Err(Stop::Refused(ReadError::TarDiffers));
    }
    Ok(())
}

fn read_entry(tar: &mut impl Read, entry: &FileEntry, sink: &mut dyn PayloadSink) -> Result<(), Stop> {
    let path = &entry.path;
    let expected = head(entry);
    let mut found = vec![0; expected.len()];
    tar.read_exact(&mut found).map_err(Stop::Tar)?;
    if found != expected {
        return Err(Stop::Refused(ReadError::Entry { path: path.clone(), found: describe(&found) }));
    }
    let failed = |source| Stop::Refused(ReadError::Sink { path: path.clone(), source });
    let (mode, length, sha256) = match &entry.kind {
        FileKind::Symlink { target } => return sink.create_symlink(path, target).map_err(failed),
        FileKind::File { executable, length, sha256 } => {
            (if *executable { 0o755 } else { 0o644 }, *length, *sha256)
        }
    };
    let mut content = Content::new(tar, length, sha256);
    let written = sink.create_file(path, mode, length, &mut content);
    match (content.outcome(), written) {
        (Outcome::Right, Ok(())) => {}
        (Outcome::Failed, Err(error)) => return Err(Stop::Tar(error)),
        (Outcome::Failed, Ok(())) => return Err(Stop::Tar(io::ErrorKind::UnexpectedEof.into())),
        (Outcome::Wrong, _) => return Err(Stop::Refused(ReadError::Content { path: path.clone() })),
        (Outcome::Unfinished | Outcome::Right, Err(error)) => return Err(failed(error)),
        (Outcome::Unfinished, Ok(())) => {
            return Err(failed(io::Error::other("the content was not read to its end")));
        }
    }
    expect_zeros(tar, padding(length) as u64)
}

/// Reads bytes that have to be zero.
fn expect_zeros(tar: &mut impl Read, count: u64) -> Result<(), Stop> {
    let mut zeros = vec![0; usize::try_from(count).unwrap_or_default()];
    tar.read_exact(&mut zeros).map_err(Stop::Tar)?;
    if zeros.iter().any(|byte| *byte != 0) {
        return Err(Stop::Refused(ReadError::TarDiffers));
    }
    Ok(())
}

/// What a foreign header seems to be, for a person. Nothing is decided on it.
fn describe(blocks: &[u8]) -> String {
    let name = blocks.get(..100).unwrap_or_default();
    let name = name.split(|byte| *byte == 0).next().unwrap_or_default().escape_ascii();
    let kind = match blocks.get(156) {
        Some(b'0' | 0) => "a file",
        Some(b'1') => "a hard link",
        Some(b'2') => "a symbolic link",
        Some(b'3' | b'4') => "a device",
        Some(b'5') => "a folder",
        Some(b'6') => "a named pipe",
        Some(b'x' | b'g' | b'L' | b'K') => "an extended header",
        _ => "something unknown",
    };
    if blocks.iter().all(|byte| *byte == 0) {
        return "the end".to_owned();
    }
    format!("{kind} named \"{name}\"")
}
