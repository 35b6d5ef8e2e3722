//! Spaces to make deltas of: files of a tree, one after the other.

use std::fs::File;
use std::io;
use std::path::Path;

use super::error::MakeError;
use crate::digest::{Hasher, Sha256};
use crate::plan::FileOf;
use crate::read_at::{BaseFile, ReadAt};

/// Bytes that are read at a time.
const WINDOW: usize = 256 * 1024;

/// Files of a tree, one after the other.
pub(super) struct TreeSpace {
    files: Vec<(u64, BaseFile)>,
    length: u64,
}

impl TreeSpace {
    /// Opens the files, and digests them: each has to be what its list says.
    pub(super) fn open(root: &Path, list: &[FileOf<'_>]) -> Result<Self, MakeError> {
        let mut files = Vec::new();
        let mut length = 0;
        for file in list {
            let failed = |source| MakeError::Read { path: file.path.to_owned(), source };
            let opened = File::open(root.join(file.path)).and_then(BaseFile::new).map_err(failed)?;
            if opened.length() != file.length || digest(&opened).map_err(failed)?.0 != file.sha256 {
                return Err(MakeError::Differs { path: file.path.to_owned() });
            }
            files.push((length, opened));
            length += file.length;
        }
        Ok(Self { files, length })
    }
}

impl ReadAt for TreeSpace {
    fn length(&self) -> u64 {
        self.length
    }

    fn read_exact_at(&self, mut at: u64, mut buffer: &mut [u8]) -> io::Result<()> {
        let mut number = self.files.partition_point(|(begin, _)| *begin <= at).saturating_sub(1);
        while !buffer.is_empty() {
            let (begin, file) = self.files.get(number).ok_or(io::ErrorKind::UnexpectedEof)?;
            let left = usize::try_from((begin + file.length()).saturating_sub(at)).unwrap_or(usize::MAX);
            let (here, rest) = buffer.split_at_mut(left.min(buffer.len()));
            file.read_exact_at(at - begin, here)?;
            at += here.len() as u64;
            buffer = rest;
            number += 1;
        }
        Ok(())
    }
}

/// The SHA-256 of all bytes.
pub(super) fn digest(content: &dyn ReadAt) -> io::Result<Sha256> {
    let mut hasher = Hasher::new();
    let mut window = vec![0; WINDOW];
    let mut at = 0;
    while at < content.length() {
        let count = usize::try_from(content.length() - at).unwrap_or(WINDOW).min(WINDOW);
        content.read_exact_at(at, &mut window[..count])?;
        hasher.update(&window[..count]);
        at += count as u64;
    }
    Ok(hasher.finish())
}
