//! Trees in memory.

use std::collections::BTreeMap;
use std::io::{self, Cursor, Read};

use crate::apply::{BaseFiles, TargetWriter};
use crate::digest::sha256;
use crate::read_at::ReadAt;
use crate::tree::{Entry, EntryKind};

/// Paths and contents; a content that begins with `->` is a link.
pub(super) type Files = BTreeMap<String, Vec<u8>>;

pub(super) fn files(list: &[(&str, &[u8])]) -> Files {
    list.iter().map(|(path, content)| ((*path).to_owned(), content.to_vec())).collect()
}

pub(super) fn entries(files: &Files) -> Vec<Entry> {
    let entry = |(path, content): (&String, &Vec<u8>)| Entry {
        path: path.clone(),
        kind: match content.strip_prefix(b"->") {
            Some(target) => EntryKind::Symlink { target: String::from_utf8(target.to_vec()).unwrap() },
            None => EntryKind::File { length: content.len() as u64, sha256: sha256(content).0, mode: 0o644 },
        },
    };
    files.iter().map(entry).collect()
}

/// A base.
pub(super) struct Memory<'a>(pub(super) &'a Files);

impl BaseFiles for Memory<'_> {
    fn open(&self, path: &str) -> io::Result<Box<dyn ReadAt + '_>> {
        let content = self.0.get(path).ok_or(io::ErrorKind::NotFound)?;
        Ok(Box::new(content.clone()))
    }
}

/// Keeps files, and fails before one more than it may make.
pub(super) struct Out {
    pub(super) files: Files,
    pub(super) made: usize,
    pub(super) most: usize,
}

impl Out {
    pub(super) fn new() -> Self {
        Self { files: Files::new(), made: 0, most: usize::MAX }
    }

    fn count(&mut self) -> io::Result<()> {
        if self.made == self.most {
            return Err(io::Error::other("killed"));
        }
        self.made += 1;
        Ok(())
    }
}

impl TargetWriter for Out {
    fn create_file(&mut self, path: &str, mode: u32, length: u64, content: &mut dyn Read) -> io::Result<()> {
        self.count()?;
        assert_eq!(mode, 0o644);
        let mut bytes = Vec::new();
        content.read_to_end(&mut bytes)?;
        assert_eq!(bytes.len() as u64, length);
        assert!(self.files.insert(path.to_owned(), bytes).is_none(), "{path} comes once");
        Ok(())
    }

    fn create_symlink(&mut self, path: &str, target: &str) -> io::Result<()> {
        self.count()?;
        assert!(self.files.insert(path.to_owned(), format!("->{target}").into_bytes()).is_none());
        Ok(())
    }

    fn reopen(&mut self, path: &str) -> io::Result<Box<dyn Read>> {
        Ok(Box::new(Cursor::new(self.files.get(path).cloned().ok_or(io::ErrorKind::NotFound)?)))
    }

    fn has_file(&mut self, path: &str, _mode: u32, length: u64, digest: &[u8; 32]) -> io::Result<bool> {
        let there = self.files.get(path);
        Ok(there.is_some_and(|there| there.len() as u64 == length && sha256(there).0 == *digest))
    }

    fn has_symlink(&mut self, path: &str, target: &str) -> io::Result<bool> {
        Ok(self.files.get(path).is_some_and(|there| *there == format!("->{target}").into_bytes()))
    }
}
