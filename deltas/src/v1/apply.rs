//! Rebuilds the target out of the base and a delta.
//!
//! Forward-only over the delta; at most one base file is held in memory. Every limit is checked before
//! the first byte is written, every file's length and digest as it is written. When `apply` refuses,
//! the caller removes whatever was written.

use std::io::{self, Read};

use flate2::read::DeflateDecoder;

use crate::digest::{Broken, CheckedReader, sha256};
use crate::limits::Limits;
use crate::summary::Summary;
use crate::tree::TreeProblem;
use crate::v1::codec::bsdiff::PatchReader;
use crate::v1::container::{BaseContent, Content, HeaderError, Make, Step, read_header};

/// Opens the files of a base.
pub trait BaseFiles {
    /// Opens the regular file at this path; the path is relative and plain.
    ///
    /// # Errors
    /// When there is no such file, or it cannot be read.
    fn open(&self, path: &str) -> io::Result<Box<dyn Read + '_>>;
}

/// Receives the files and links of a target, folders implied. Paths are relative, plain, and come once.
pub trait TargetWriter {
    /// Makes a file. The content yields `length` bytes and then, at its end, tells whether they were the
    /// right ones: read it to the end.
    ///
    /// # Errors
    /// When the file cannot be written, or the content fails.
    fn create_file(&mut self, path: &str, mode: u32, length: u64, content: &mut dyn Read) -> io::Result<()>;

    /// Makes a symbolic link with this text.
    ///
    /// # Errors
    /// When it cannot be made.
    fn create_symlink(&mut self, path: &str, target: &str) -> io::Result<()>;
}

/// Why a delta could not be applied. The whole payload is what to fall back to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApplyError {
    /// The delta could not be read.
    #[error("cannot read the delta: fetch it again")]
    Read(#[source] io::Error),
    /// The bytes are something else.
    #[error("cannot apply the delta: this is not a delta file; fetch it again")]
    NotADelta,
    /// Made by a later program.
    #[error(
        "cannot apply the delta: its format is version {version}, and this program knows version 1; update it"
    )]
    UnsupportedVersion {
        /// The version in the file.
        version: u16,
    },
    /// The delta was cut or changed on its way.
    #[error("cannot apply the delta: it is cut or damaged; fetch it again")]
    Damaged,
    /// It asks for more than is allowed.
    #[error("cannot apply the delta: more than {limit} {what}; use the whole payload")]
    TooLarge {
        /// What there is too much of.
        what: &'static str,
        /// How much is allowed.
        limit: u64,
    },
    /// Its list of files is not a tree.
    #[error("cannot apply the delta: its list of files is unsafe; do not fetch it from there again")]
    UnsafeTree(#[source] TreeProblem),
    /// A file of the base could not be read.
    #[error(
        "cannot apply the delta: {path:?} cannot be read in the installed release; use the whole payload"
    )]
    Base {
        /// The path in the base.
        path: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A file of the base is not the one that the delta was made for.
    #[error("cannot apply the delta: {path:?} differs in the installed release; use the whole payload")]
    BaseDiffers {
        /// The path in the base.
        path: String,
    },
    /// What came out is not what the header says.
    #[error("cannot apply the delta: the content for {path:?} is damaged; fetch it again")]
    Content {
        /// The path in the target.
        path: String,
    },
    /// The target could not be written.
    #[error("cannot apply the delta: {path:?} cannot be written; check the disk")]
    Target {
        /// The path in the target.
        path: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

impl From<HeaderError> for ApplyError {
    fn from(error: HeaderError) -> Self {
        match error {
            HeaderError::Read(error) => Self::Read(error),
            HeaderError::NotADelta => Self::NotADelta,
            HeaderError::Version(version) => Self::UnsupportedVersion { version },
            HeaderError::Damaged => Self::Damaged,
            HeaderError::TooLarge { what, limit } => Self::TooLarge { what, limit },
            HeaderError::Tree(problem) => Self::UnsafeTree(problem),
        }
    }
}

/// Rebuilds the target. Nothing that was written counts unless this succeeds.
///
/// # Errors
/// Why the delta does not lead from this base to the target that its header names.
pub fn apply(
    base: &dyn BaseFiles,
    delta: impl Read,
    target: &mut dyn TargetWriter,
    limits: &Limits,
) -> Result<Summary, ApplyError> {
    let mut delta = Counted { inner: delta, bytes: 0 };
    let header = read_header(&mut delta, limits)?;
    let mut summary =
        Summary { removed: header.removed, target_bytes: header.target_bytes(), ..Summary::default() };
    for step in &header.steps {
        apply_step(base, &mut delta, target, step, &mut summary)?;
    }
    let mut beyond = [0; 1];
    if delta.read(&mut beyond).map_err(ApplyError::Read)? != 0 {
        return Err(ApplyError::Damaged);
    }
    summary.bytes = delta.bytes;
    Ok(summary)
}

fn apply_step(
    base: &dyn BaseFiles,
    delta: &mut impl Read,
    target: &mut dyn TargetWriter,
    step: &Step,
    summary: &mut Summary,
) -> Result<(), ApplyError> {
    match &step.make {
        Make::Same { file, base: base_path } => {
            summary.unchanged += 1;
            let path = base_path.as_deref().unwrap_or(&step.path);
            let opened =
                base.open(path).map_err(|source| ApplyError::Base { path: path.to_owned(), source })?;
            write_file(target, &step.path, file, opened).map(drop).map_err(|error| match error {
                ApplyError::Content { .. } => ApplyError::BaseDiffers { path: path.to_owned() },
                other => other,
            })
        }
        Make::Bsdiff { file, base: old, body } => {
            summary.patched += 1;
            let old = read_base(base, old)?;
            let patch = DeflateDecoder::new(delta.take(*body));
            let decoder = write_file(target, &step.path, file, PatchReader::new(old, patch, file.length))?;
            whole_body(&decoder.into_inner(), *body, &step.path)
        }
        Make::Whole { file, body } => {
            summary.whole += 1;
            let decoder = write_file(target, &step.path, file, DeflateDecoder::new(delta.take(*body)))?;
            whole_body(&decoder, *body, &step.path)
        }
        Make::Link { target: text } => {
            summary.links += 1;
            let fail = |source| ApplyError::Target { path: step.path.clone(), source };
            target.create_symlink(&step.path, text).map_err(fail)
        }
    }
}

/// Hands a file to the target, and checks its content against the header.
fn write_file<R: Read>(
    target: &mut dyn TargetWriter,
    path: &str,
    file: &Content,
    content: R,
) -> Result<R, ApplyError> {
    let mut content = CheckedReader::new(content, file.length, file.sha256);
    let written = target.create_file(path, file.mode, file.length, &mut content);
    let broken = match content.broken() {
        Some(broken) => Some(broken),
        None => {
            written.map_err(|source| ApplyError::Target { path: path.to_owned(), source })?;
            content.finish().err()
        }
    };
    match broken {
        Some(Broken::Differs | Broken::Unreadable) => Err(ApplyError::Content { path: path.to_owned() }),
        None => Ok(content.into_inner()),
    }
}

/// A body may not go on behind its compressed stream: bytes there would not be checked.
fn whole_body<R: Read>(decoder: &DeflateDecoder<R>, body: u64, path: &str) -> Result<(), ApplyError> {
    if decoder.total_in() == body {
        return Ok(());
    }
    Err(ApplyError::Content { path: path.to_owned() })
}

/// The base file that a patch needs, in memory: its length was limited with the header.
fn read_base(base: &dyn BaseFiles, wanted: &BaseContent) -> Result<Vec<u8>, ApplyError> {
    let fail = |source| ApplyError::Base { path: wanted.path.clone(), source };
    let opened = base.open(&wanted.path).map_err(fail)?;
    let mut bytes = Vec::new();
    opened.take(wanted.length.saturating_add(1)).read_to_end(&mut bytes).map_err(fail)?;
    if bytes.len() as u64 != wanted.length || sha256(&bytes) != wanted.sha256 {
        return Err(ApplyError::BaseDiffers { path: wanted.path.clone() });
    }
    Ok(bytes)
}

/// Counts what was read.
struct Counted<R> {
    inner: R,
    bytes: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.bytes = self.bytes.saturating_add(count as u64);
        Ok(count)
    }
}
