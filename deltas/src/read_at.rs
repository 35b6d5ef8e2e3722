//! Bytes that are read by place: the files of a base.

use std::fs::File;
use std::io;
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
