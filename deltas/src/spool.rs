//! Bytes that are written once and then read by place: in memory while they are few, else in a file without a name. What a delta
//! is made of may be as long as its target.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::read_at::ReadAt;

/// Bytes that are kept in memory of each.
const IN_MEMORY: usize = 1 << 20;

/// Where files without a name are made: on the disk that has room for them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scratch(Option<Arc<Path>>);

impl Scratch {
    /// A folder, or the system's for temporary files.
    pub(crate) fn new(folder: Option<&Path>) -> Self {
        Self(folder.map(Arc::from))
    }

    /// Makes a file that goes when it is closed.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn file(&self) -> io::Result<File> {
        let made = self.0.as_deref().map_or_else(tempfile::tempfile, tempfile::tempfile_in);
        made.map_err(|source| self.unwritten(source))
    }

    fn unwritten(&self, source: io::Error) -> io::Error {
        let folder = self.0.as_deref().map_or_else(std::env::temp_dir, Path::to_owned);
        io::Error::new(source.kind(), Unwritten { folder, source })
    }
}

/// What a delta is made of could not be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write what the delta is made of in {}", folder.display())]
struct Unwritten {
    folder: PathBuf,
    source: io::Error,
}

/// Whether an error is one of writing here, and not of reading what a delta is about.
pub(crate) fn is_unwritten(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<Unwritten>())
}

/// Bytes in the order in which they were written.
#[derive(Debug)]
pub(crate) struct Spool {
    scratch: Scratch,
    /// The first of them, once they are many.
    file: Option<(File, u64)>,
    /// The rest.
    tail: Vec<u8>,
}

impl Spool {
    pub(crate) fn new(scratch: &Scratch) -> Self {
        Self { scratch: scratch.clone(), file: None, tail: Vec::new() }
    }

    /// The last bytes, to write behind. [`Self::settle`] is to be called now and then.
    pub(crate) const fn tail(&mut self) -> &mut Vec<u8> {
        &mut self.tail
    }

    /// Puts what is in memory into the file, if it is much.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(crate) fn settle(&mut self) -> io::Result<()> {
        if self.tail.len() < IN_MEMORY {
            return Ok(());
        }
        let (file, length) = match &mut self.file {
            Some(file) => file,
            none => none.insert((self.scratch.file()?, 0)),
        };
        file.write_all(&self.tail).map_err(|source| self.scratch.unwritten(source))?;
        *length = length.saturating_add(u64::try_from(self.tail.len()).unwrap_or(u64::MAX));
        self.tail.clear();
        Ok(())
    }

    /// Appends bytes.
    ///
    /// # Errors
    /// As [`Self::settle`].
    pub(crate) fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.tail.extend_from_slice(bytes);
        self.settle()
    }

    /// All of them, if they are in memory.
    pub(crate) fn in_memory(&self) -> Option<&[u8]> {
        self.file.is_none().then_some(&self.tail)
    }

    fn in_file(&self) -> u64 {
        self.file.as_ref().map_or(0, |(_, length)| *length)
    }
}

impl Write for Spool {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.append(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl From<Vec<u8>> for Spool {
    fn from(bytes: Vec<u8>) -> Self {
        Self { scratch: Scratch::default(), file: None, tail: bytes }
    }
}

impl ReadAt for Spool {
    fn length(&self) -> u64 {
        self.in_file().saturating_add(self.tail.length())
    }

    fn read_exact_at(&self, at: u64, buffer: &mut [u8]) -> io::Result<()> {
        let before = self.in_file().saturating_sub(at).min(u64::try_from(buffer.len()).unwrap_or(u64::MAX));
        let (of_file, of_tail) = buffer.split_at_mut(usize::try_from(before).unwrap_or(usize::MAX));
        if let Some((file, _)) = self.file.as_ref().filter(|_| before > 0) {
            file.read_exact_at(of_file, at)?;
        }
        if of_tail.is_empty() {
            return Ok(());
        }
        self.tail.read_exact_at(at.saturating_add(before).saturating_sub(self.in_file()), of_tail)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;
    use crate::container::Flaw;
    use crate::make::MakeError;
    use crate::read_at::FromBeginning;
    use crate::testing::noise;

    #[test]
    fn a_disk_that_takes_nothing_is_not_taken_for_a_base_that_cannot_be_read() {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = Spool::new(&Scratch::new(Some(&folder.path().join("gone"))));
        spool.append(b"little stays in memory").unwrap();
        let error = spool.append(&noise(2 * IN_MEMORY, 1)).unwrap_err();
        assert!(is_unwritten(&error) && error.kind() == io::ErrorKind::NotFound);
        let error = MakeError::of(Flaw::Read(error));
        assert!(matches!(&error, MakeError::Write(_)), "{error}");
        let of_base = MakeError::of(Flaw::Read(io::ErrorKind::NotFound.into()));
        assert!(matches!(&of_base, MakeError::Read { .. }), "{of_base}");
    }

    #[test]
    fn what_was_written_is_read_at_any_place_wherever_it_lies() {
        let bytes = noise(3 * IN_MEMORY + 12_345, 1);
        let folder = tempfile::tempdir().unwrap();
        let mut spool = Spool::new(&Scratch::new(Some(folder.path())));
        assert_eq!((spool.length(), spool.in_memory()), (0, Some([].as_slice())));
        for piece in bytes.chunks(70_001) {
            spool.append(piece).unwrap();
        }
        assert_eq!(spool.length(), bytes.length());
        assert!(spool.in_memory().is_none() && spool.tail.len() < IN_MEMORY);
        let border = usize::try_from(spool.in_file()).unwrap();
        assert!(border >= 3 * IN_MEMORY);
        for (at, length) in [
            (0, 10),
            (border - 5, 10),
            (border, 10),
            (border - 10, 10),
            (bytes.len() - 1, 1),
            (0, bytes.len()),
        ] {
            let mut found = vec![0; length];
            spool.read_exact_at(at as u64, &mut found).unwrap();
            assert_eq!(found, bytes[at..at + length], "{at}");
        }
        assert!(spool.read_exact_at(bytes.length(), &mut [0]).is_err());
        assert!(spool.read_exact_at(u64::MAX, &mut [0]).is_err());
        let mut all = Vec::new();
        FromBeginning::new(&spool).read_to_end(&mut all).unwrap();
        assert_eq!(all, bytes);
    }
}
