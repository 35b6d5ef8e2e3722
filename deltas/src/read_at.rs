//! Bytes that are read by place: the files of a base.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;

/// Bytes of a known length that can be read at any place.
pub trait ReadAt {
    /// Length in bytes.
    fn length(&self) -> u64;

    /// Fills the buffer with the bytes that begin at this place.
    ///
    /// # Errors
    /// When there are not so many bytes, or they cannot be read.
    fn read_exact_at(&self, at: u64, buffer: &mut [u8]) -> io::Result<()>;
}

/// Bytes that several threads read at once.
pub(crate) type Space<'a> = dyn ReadAt + Sync + 'a;

impl ReadAt for [u8] {
    fn length(&self) -> u64 {
        u64::try_from(self.len()).unwrap_or(u64::MAX)
    }

    fn read_exact_at(&self, at: u64, buffer: &mut [u8]) -> io::Result<()> {
        let begin = usize::try_from(at).ok();
        let range = begin.and_then(|begin| Some(begin..begin.checked_add(buffer.len())?));
        let bytes = range.and_then(|range| self.get(range)).ok_or(io::ErrorKind::UnexpectedEof)?;
        buffer.copy_from_slice(bytes);
        Ok(())
    }
}

impl ReadAt for Vec<u8> {
    fn length(&self) -> u64 {
        self.as_slice().length()
    }

    fn read_exact_at(&self, at: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.as_slice().read_exact_at(at, buffer)
    }
}

impl<T: ReadAt + ?Sized> ReadAt for Box<T> {
    fn length(&self) -> u64 {
        (**self).length()
    }

    fn read_exact_at(&self, at: u64, buffer: &mut [u8]) -> io::Result<()> {
        (**self).read_exact_at(at, buffer)
    }
}

impl<T: ReadAt + ?Sized> ReadAt for &T {
    fn length(&self) -> u64 {
        (**self).length()
    }

    fn read_exact_at(&self, at: u64, buffer: &mut [u8]) -> io::Result<()> {
        (**self).read_exact_at(at, buffer)
    }
}

/// A regular file, with the length that it had when it was opened.
#[derive(Debug)]
pub struct BaseFile {
    file: File,
    length: u64,
}

impl BaseFile {
    /// The content of an open file.
    ///
    /// # Errors
    /// When it is not a regular file, or its length is not to be had.
    pub fn new(file: File) -> io::Result<Self> {
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
        }
        Ok(Self { file, length: metadata.len() })
    }
}

impl ReadAt for BaseFile {
    fn length(&self) -> u64 {
        self.length
    }

    fn read_exact_at(&self, at: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(buffer, at)
    }
}

/// Reads content from its beginning to its end.
pub(crate) struct FromBeginning<T> {
    content: T,
    at: u64,
}

impl<T: ReadAt> FromBeginning<T> {
    pub(crate) const fn new(content: T) -> Self {
        Self { content, at: 0 }
    }

    /// Bytes that were not read.
    pub(crate) fn left(&self) -> u64 {
        self.content.length().saturating_sub(self.at)
    }
}

impl<T: ReadAt> Read for FromBeginning<T> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = usize::try_from(self.left()).unwrap_or(usize::MAX).min(buffer.len());
        let buffer = buffer.get_mut(..count).unwrap_or_default();
        self.content.read_exact_at(self.at, buffer)?;
        self.at = self.at.saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
        Ok(count)
    }
}

impl<T: ReadAt> Seek for FromBeginning<T> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::Current(distance) => self.at.checked_add_signed(distance),
            SeekFrom::End(distance) => self.content.length().checked_add_signed(distance),
        };
        self.at = at.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_and_files_are_read_at_any_place_and_not_beyond_their_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        std::fs::write(&path, b"0123456789").unwrap();
        let file = BaseFile::new(File::open(&path).unwrap()).unwrap();
        let bytes = b"0123456789".to_vec();
        for content in [&file as &dyn ReadAt, &bytes, &bytes.as_slice()] {
            assert_eq!(content.length(), 10);
            let mut buffer = [0; 4];
            content.read_exact_at(6, &mut buffer).unwrap();
            assert_eq!(&buffer, b"6789");
            assert!(content.read_exact_at(7, &mut buffer).is_err());
            assert!(content.read_exact_at(u64::MAX, &mut buffer).is_err());
        }
        assert!(BaseFile::new(File::open(folder.path()).unwrap()).is_err());
    }
}
