//! SHA-256 while reading: bytes are hashed as they pass, and a reader's length and digest are checked
//! against the expected ones.

use std::fmt;
use std::io::{self, Read};

use aws_lc_rs::digest::{Context, SHA256};
use data_encoding::HEXLOWER;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A SHA-256 digest, in hex in the header of a delta.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Sha256(pub(crate) [u8; 32]);

impl fmt::Debug for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

impl Serialize for Sha256 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&HEXLOWER.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Sha256 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = HEXLOWER.decode(text.as_bytes()).ok().and_then(|bytes| bytes.try_into().ok());
        bytes.map(Self).ok_or_else(|| serde::de::Error::custom("expected 64 lower-case hex digits"))
    }
}

/// Computes a digest piece by piece.
pub(crate) struct Hasher(Context);

impl Hasher {
    pub(crate) fn new() -> Self {
        Self(Context::new(&SHA256))
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub(crate) fn finish(&self) -> Sha256 {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(self.0.clone().finish().as_ref());
        Sha256(bytes)
    }
}

/// The digest of bytes in memory.
pub(crate) fn sha256(bytes: &[u8]) -> Sha256 {
    let mut hasher = Hasher::new();
    hasher.update(bytes);
    hasher.finish()
}

/// How content differs from what is expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Broken {
    /// It ended early, went on too long, or has another digest.
    Differs,
    /// It could not be read or decoded.
    Unreadable,
}

/// Yields exactly the expected bytes, or an error, at the latest when the end is read.
pub(crate) struct CheckedReader<R> {
    inner: R,
    remaining: u64,
    expected: Sha256,
    hasher: Hasher,
    checked: bool,
    broken: Option<Broken>,
}

impl<R: Read> CheckedReader<R> {
    pub(crate) fn new(inner: R, length: u64, expected: Sha256) -> Self {
        Self { inner, remaining: length, expected, hasher: Hasher::new(), checked: false, broken: None }
    }

    /// Why the content is not the expected one, if that is known by now.
    pub(crate) fn broken(&self) -> Option<Broken> {
        self.broken
    }

    /// Whether all of the content passed and was right.
    pub(crate) fn finish(&mut self) -> Result<(), Broken> {
        if self.remaining == 0 && self.broken.is_none() && !self.checked {
            // The error is kept in `broken`.
            drop(self.check_end());
        }
        match self.broken {
            Some(broken) => Err(broken),
            None if self.checked => Ok(()),
            None => Err(Broken::Differs),
        }
    }

    pub(crate) fn into_inner(self) -> R {
        self.inner
    }

    fn fail(&mut self, broken: Broken, error: Option<io::Error>) -> io::Error {
        self.broken = Some(broken);
        error.unwrap_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidData, "the content is not the expected one")
        })
    }

    fn check_end(&mut self) -> io::Result<()> {
        let mut beyond = [0; 1];
        loop {
            match self.inner.read(&mut beyond) {
                Ok(0) => break,
                Ok(_) => return Err(self.fail(Broken::Differs, None)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.fail(Broken::Unreadable, Some(error))),
            }
        }
        if self.hasher.finish() != self.expected {
            return Err(self.fail(Broken::Differs, None));
        }
        self.checked = true;
        Ok(())
    }
}

impl<R: Read> Read for CheckedReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Some(broken) = self.broken {
            return Err(self.fail(broken, None));
        }
        if buffer.is_empty() || self.checked {
            return Ok(0);
        }
        if self.remaining == 0 {
            return self.check_end().map(|()| 0);
        }
        let wanted = usize::try_from(self.remaining).unwrap_or(usize::MAX).min(buffer.len());
        let Some(buffer) = buffer.get_mut(..wanted) else { return Ok(0) };
        match self.inner.read(buffer) {
            Ok(0) => Err(self.fail(Broken::Differs, None)),
            Ok(count) => {
                self.hasher.update(buffer.get(..count).unwrap_or_default());
                self.remaining = self.remaining.saturating_sub(count as u64);
                Ok(count)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(error),
            Err(error) => Err(self.fail(Broken::Unreadable, Some(error))),
        }
    }
}
