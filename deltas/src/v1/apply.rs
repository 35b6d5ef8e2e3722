//! Rebuilds the target out of the base and a delta.
//!
//! Forward-only over the delta; at most one base file is held in memory. Every limit is checked before
//! the first byte is written, every file's length and digest as it is written.

use std::io::{self, Read};

use flate2::read::DeflateDecoder;

use crate::apply::reader::Ticking;
use crate::apply::{ApplyError, BaseFiles, Control, TargetWriter, Ticker};
use crate::digest::{Broken, CheckedReader, sha256};
use crate::limits::Limits;
use crate::read_at::FromBeginning;
use crate::summary::Summary;
use crate::v1::codec::bsdiff::PatchReader;
use crate::v1::container::{BaseContent, Content, HeaderError, Make, Step, read_header};

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
pub(crate) fn apply(
    base: &dyn BaseFiles,
    delta: impl Read,
    target: &mut dyn TargetWriter,
    limits: &Limits,
    control: &mut dyn Control,
) -> Result<Summary, ApplyError> {
    let mut delta = Counted { inner: delta, bytes: 0 };
    let header = read_header(&mut delta, limits)?;
    let summary =
        Summary { removed: header.removed, target_bytes: header.target_bytes(), ..Summary::default() };
    let ticker = Ticker::new(control, summary.target_bytes);
    let mut work = Work { base, target, ticker, summary };
    for step in &header.steps {
        work.step(&mut delta, step)?;
    }
    let mut beyond = [0; 1];
    if delta.read(&mut beyond).map_err(ApplyError::Read)? != 0 {
        return Err(ApplyError::Damaged);
    }
    let mut summary = work.summary;
    summary.bytes = delta.bytes;
    Ok(summary)
}

struct Work<'a, 'c> {
    base: &'a dyn BaseFiles,
    target: &'a mut dyn TargetWriter,
    ticker: Ticker<'c>,
    summary: Summary,
}

impl Work<'_, '_> {
    fn step(&mut self, delta: &mut impl Read, step: &Step) -> Result<(), ApplyError> {
        match &step.make {
            Make::Same { file, base: base_path } => {
                self.summary.unchanged += 1;
                let path = base_path.as_deref().unwrap_or(&step.path);
                let opened = self
                    .base
                    .open(path)
                    .map_err(|source| ApplyError::Base { path: path.to_owned(), source })?;
                let written = self.write_file(&step.path, file, FromBeginning::new(opened));
                written.map(drop).map_err(|error| match error {
                    ApplyError::Content { .. } => ApplyError::BaseDiffers { path: path.to_owned() },
                    other => other,
                })
            }
            Make::Bsdiff { file, base: old, body } => {
                self.summary.patched += 1;
                let old = read_base(self.base, old)?;
                let patch = DeflateDecoder::new(delta.take(*body));
                let decoder = self.write_file(&step.path, file, PatchReader::new(old, patch, file.length))?;
                whole_body(&decoder.into_inner(), *body, &step.path)
            }
            Make::Whole { file, body } => {
                self.summary.whole += 1;
                let decoder = self.write_file(&step.path, file, DeflateDecoder::new(delta.take(*body)))?;
                whole_body(&decoder, *body, &step.path)
            }
            Make::Link { target: text } => {
                self.summary.links += 1;
                let fail = |source| ApplyError::Target { path: step.path.clone(), source };
                self.target.create_symlink(&step.path, text).map_err(fail)
            }
        }
    }

    /// Hands a file to the target, and checks its content against the header.
    fn write_file<R: Read>(&mut self, path: &str, file: &Content, content: R) -> Result<R, ApplyError> {
        let ticking = Ticking::new(content, &mut self.ticker);
        let mut content = CheckedReader::new(ticking, file.length, file.sha256);
        let written = self.target.create_file(path, file.mode, file.length, &mut content);
        let broken = match content.broken() {
            Some(broken) => Some(broken),
            None => {
                written.map_err(|source| ApplyError::Target { path: path.to_owned(), source })?;
                content.finish().err()
            }
        };
        let ticking = content.into_inner();
        match broken {
            Some(_) if ticking.cancelled => Err(ApplyError::Cancelled),
            Some(Broken::Differs | Broken::Unreadable) => Err(ApplyError::Content { path: path.to_owned() }),
            None => Ok(ticking.inner),
        }
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
    if opened.length() == wanted.length {
        FromBeginning::new(opened).read_to_end(&mut bytes).map_err(fail)?;
    }
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
