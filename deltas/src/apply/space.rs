//! The base space of a group: files of the base one after the other, opened when they are needed.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;

use super::{ApplyError, BaseFiles};
use crate::read_at::ReadAt;

/// Files that are open at once.
const MAX_OPEN: usize = 16;

/// Files of a base, one after the other.
pub(crate) struct BaseSpace<'a> {
    files: &'a dyn BaseFiles,
    parts: Vec<Part<'a>>,
    length: u64,
    /// The last ones that were read, the latest first.
    open: RefCell<VecDeque<(usize, Box<dyn ReadAt + 'a>)>>,
    trouble: RefCell<Option<ApplyError>>,
}

struct Part<'a> {
    begin: u64,
    length: u64,
    path: &'a str,
}

impl<'a> BaseSpace<'a> {
    /// These files, by path and length; nothing if they are longer than numbers go.
    pub(crate) fn new(files: &'a dyn BaseFiles, list: impl Iterator<Item = (&'a str, u64)>) -> Option<Self> {
        let mut parts = Vec::new();
        let mut length = 0u64;
        for (path, part_length) in list {
            parts.push(Part { begin: length, length: part_length, path });
            length = length.checked_add(part_length)?;
        }
        Some(Self { files, parts, length, open: RefCell::default(), trouble: RefCell::default() })
    }

    /// What reading failed with, by the file's name.
    pub(crate) fn take_trouble(&self) -> Option<ApplyError> {
        self.trouble.borrow_mut().take()
    }

    fn read_part(
        &self,
        number: usize,
        part: &Part<'a>,
        at: u64,
        buffer: &mut [u8],
    ) -> Result<(), ApplyError> {
        let failed = |source| ApplyError::Base { path: part.path.to_owned(), source };
        let mut open = self.open.borrow_mut();
        let found = open.iter().position(|(open, _)| *open == number).and_then(|place| open.remove(place));
        let file = match found {
            Some((_, file)) => file,
            None => self.files.open(part.path).map_err(failed)?,
        };
        if file.length() != part.length {
            return Err(ApplyError::BaseDiffers { path: part.path.to_owned() });
        }
        let result = file.read_exact_at(at, buffer).map_err(failed);
        open.push_front((number, file));
        open.truncate(MAX_OPEN);
        result
    }
}

impl ReadAt for BaseSpace<'_> {
    fn length(&self) -> u64 {
        self.length
    }

    fn read_exact_at(&self, mut at: u64, mut buffer: &mut [u8]) -> io::Result<()> {
        while !buffer.is_empty() {
            let number = self.parts.partition_point(|part| part.begin <= at).saturating_sub(1);
            let part = self.parts.get(number).ok_or(io::ErrorKind::UnexpectedEof)?;
            let inside = at.saturating_sub(part.begin);
            let left = usize::try_from(part.length.saturating_sub(inside)).unwrap_or(usize::MAX);
            if left == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let (here, rest) = buffer.split_at_mut(left.min(buffer.len()));
            if let Err(trouble) = self.read_part(number, part, inside, here) {
                *self.trouble.borrow_mut() = Some(trouble);
                return Err(io::Error::other("a file of the base cannot be read"));
            }
            at = at.saturating_add(u64::try_from(here.len()).unwrap_or(u64::MAX));
            buffer = rest;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Named;

    impl BaseFiles for Named {
        fn open(&self, path: &str) -> io::Result<Box<dyn ReadAt + '_>> {
            if path == "gone" {
                Err(io::ErrorKind::NotFound.into())
            } else {
                Ok(Box::new(path.as_bytes().to_vec()))
            }
        }
    }

    #[test]
    fn reads_go_across_files_also_empty_ones() {
        let list: Vec<String> = (0..40).map(|number| format!("file {number:03}")).collect();
        let mut lengths: Vec<(&str, u64)> = list.iter().map(|path| (path.as_str(), 8)).collect();
        lengths.insert(3, ("", 0));
        let space = BaseSpace::new(&Named, lengths.into_iter()).unwrap();
        assert_eq!(space.length(), 320);
        let whole = list.concat();
        for (at, length) in [(0, 320), (5, 30), (23, 2), (24, 1), (319, 1), (320, 0)] {
            let mut buffer = vec![0; length];
            space.read_exact_at(at as u64, &mut buffer).unwrap();
            assert_eq!(buffer, whole.as_bytes()[at..at + length]);
        }
        assert!(space.read_exact_at(319, &mut [0; 2]).is_err());
        assert!(space.open.borrow().len() <= MAX_OPEN);
    }

    #[test]
    fn a_file_that_is_gone_or_has_another_length_is_named() {
        let list = [("gone", 4), ("longer", 5)];
        let space = BaseSpace::new(&Named, list.into_iter()).unwrap();
        assert!(space.read_exact_at(0, &mut [0; 1]).is_err());
        assert!(matches!(space.take_trouble(), Some(ApplyError::Base { path, .. }) if path == "gone"));
        assert!(space.read_exact_at(4, &mut [0; 1]).is_err());
        assert!(matches!(space.take_trouble(), Some(ApplyError::BaseDiffers { path }) if path == "longer"));
    }
}
