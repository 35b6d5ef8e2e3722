//! Readers and writers that count and hash what passes, and check it against what the manifest says.

use std::io::{self, BufRead, Read, Write};

use crate::digest::{Sha256Digest, Sha256Hasher};
use crate::release::Blob;

/// Counts and hashes what is written through it.
pub(super) struct HashingWriter<W> {
    inner: W,
    hasher: Sha256Hasher,
    length: u64,
}

impl<W: Write> HashingWriter<W> {
    pub(super) fn new(inner: W) -> Self {
        Self { inner, hasher: Sha256Hasher::new(), length: 0 }
    }

    /// What came back, and what went through.
    pub(super) fn finish(self) -> (W, Blob) {
        (self.inner, Blob { sha256: self.hasher.finish(), length: self.length })
    }
}

impl<W: Write> Write for HashingWriter<W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(buffer)?;
        self.hasher.update(buffer.get(..count).unwrap_or_default());
        self.length = self.length.saturating_add(count as u64);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Counts and hashes what is read through it, and never asks for more than it was allowed.
pub(super) struct HashingReader<R> {
    inner: R,
    allowed: u64,
    hasher: Sha256Hasher,
    length: u64,
    failed: bool,
}

impl<R: Read> HashingReader<R> {
    pub(super) fn new(inner: R, allowed: u64) -> Self {
        Self { inner, allowed, hasher: Sha256Hasher::new(), length: 0, failed: false }
    }

    /// Whether the source itself failed, as opposed to what it yielded.
    pub(super) fn failed(&self) -> bool {
        self.failed
    }

    pub(super) fn into_inner(self) -> R {
        self.inner
    }

    /// Digest and length of what was read so far.
    pub(super) fn blob(&self) -> Blob {
        Blob { sha256: self.hasher.clone().finish(), length: self.length }
    }
}

impl<R: Read> Read for HashingReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.allowed.saturating_sub(self.length);
        let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let Some(buffer) = buffer.get_mut(..wanted) else { return Ok(0) };
        match self.inner.read(buffer) {
            Ok(count) => {
                self.hasher.update(buffer.get(..count).unwrap_or_default());
                self.length = self.length.saturating_add(count as u64);
                Ok(count)
            }
            Err(error) => {
                self.failed |= error.kind() != io::ErrorKind::Interrupted;
                Err(error)
            }
        }
    }
}

/// How the content of one file ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Not at its end yet.
    Unfinished,
    /// All of it, and it is the signed content.
    Right,
    /// All of it, and it is something else; or it is cut.
    Wrong,
    /// The reader beneath failed.
    Failed,
}

/// The content of one file: exactly the signed bytes, or an error, at the latest when its end is read.
pub(super) struct Content<'a, R> {
    inner: &'a mut R,
    remaining: u64,
    hasher: Sha256Hasher,
    expected: Sha256Digest,
    outcome: Outcome,
}

impl<'a, R: Read> Content<'a, R> {
    pub(super) fn new(inner: &'a mut R, length: u64, expected: Sha256Digest) -> Self {
        Self { inner, remaining: length, hasher: Sha256Hasher::new(), expected, outcome: Outcome::Unfinished }
    }

    /// How it ended. The content of an empty file has ended before it is read.
    pub(super) fn outcome(&mut self) -> Outcome {
        if self.outcome == Outcome::Unfinished && self.remaining == 0 {
            let right = self.hasher.clone().finish() == self.expected;
            self.outcome = if right { Outcome::Right } else { Outcome::Wrong };
        }
        self.outcome
    }
}

impl<R: Read> Read for Content<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.outcome() {
            Outcome::Right => return Ok(0),
            Outcome::Wrong | Outcome::Failed => {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "the content is not the signed one"));
            }
            Outcome::Unfinished => {}
        }
        let wanted = usize::try_from(self.remaining).unwrap_or(usize::MAX).min(buffer.len());
        let Some(buffer) = buffer.get_mut(..wanted).filter(|buffer| !buffer.is_empty()) else { return Ok(0) };
        match self.inner.read(buffer) {
            Ok(0) => {
                self.outcome = Outcome::Wrong;
                Err(io::ErrorKind::UnexpectedEof.into())
            }
            Ok(count) => {
                self.hasher.update(buffer.get(..count).unwrap_or_default());
                self.remaining = self.remaining.saturating_sub(count as u64);
                Ok(count)
            }
            Err(error) => {
                if error.kind() != io::ErrorKind::Interrupted {
                    self.outcome = Outcome::Failed;
                }
                Err(error)
            }
        }
    }
}

/// Whether nothing is left to read.
pub(super) fn at_end(reader: &mut impl BufRead) -> io::Result<bool> {
    loop {
        match reader.fill_buf() {
            Ok(rest) => return Ok(rest.is_empty()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
