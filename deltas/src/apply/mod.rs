//! Makes targets out of a base and a delta.
//!
//! Forward-only over the delta; files of the base are read by place. Every size is checked before memory is taken for it or
//! a byte is written, and every file's length and digest as it is written. When applying is refused, the caller removes
//! whatever was written, or keeps it for the next try ([`TargetWriter::has_file`]).

mod control;
mod covers;
mod differences;
mod error;
pub(crate) mod file;
mod group;
pub(crate) mod maker;
mod numbers;
mod prefix;
pub(crate) mod reader;
mod space;
pub(crate) mod target_list;
#[cfg(test)]
mod tests;
pub(crate) mod tree;
pub(crate) mod unpack;
mod whole;
pub(crate) mod window;

use std::io::{self, Read};

pub use control::{Control, Progress};
pub(crate) use control::{Shared, Ticker};
pub use error::ApplyError;

use crate::read_at::ReadAt;
use crate::tree::Entry;

/// Opens the files of a base.
pub trait BaseFiles {
    /// Opens the regular file at this path; the path is relative and plain.
    ///
    /// # Errors
    /// When there is no such file, or it cannot be read.
    fn open(&self, path: &str) -> io::Result<Box<dyn ReadAt + '_>>;
}

/// Receives the files and links of a target, folders implied. Paths are relative, plain, and come once, in any order.
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

    /// Opens a file that was made, or that is there from an earlier try: another one has the same content.
    ///
    /// # Errors
    /// When it cannot be read.
    fn reopen(&mut self, path: &str) -> io::Result<Box<dyn Read>>;

    /// Whether a file is there from an earlier try, with this length, SHA-256 and mode. It is not made again then.
    ///
    /// # Errors
    /// When that cannot be told.
    fn has_file(&mut self, path: &str, mode: u32, length: u64, sha256: &[u8; 32]) -> io::Result<bool> {
        let _ = (path, mode, length, sha256);
        Ok(false)
    }

    /// Whether a symbolic link is there from an earlier try, with this text.
    ///
    /// # Errors
    /// When that cannot be told.
    fn has_symlink(&mut self, path: &str, target: &str) -> io::Result<bool> {
        let _ = (path, target);
        Ok(false)
    }
}

/// The base of a tree's delta.
#[derive(Clone, Copy)]
pub struct Base<'a> {
    /// Its files.
    pub files: &'a dyn BaseFiles,
    /// Its list, byte by byte as it was when the delta was made: the signed manifest, or what [`folder_list`] gives.
    /// A delta of version 1 needs none.
    ///
    /// [`folder_list`]: crate::folder_list
    pub list: &'a [u8],
    /// What the list says, in its order.
    pub entries: &'a [Entry],
}

/// Verifies the list of a target, and reads it.
pub type ReadList<'a> =
    &'a mut dyn FnMut(&[u8]) -> Result<Vec<Entry>, Box<dyn std::error::Error + Send + Sync>>;

/// What the lists of trees are.
pub enum Lists<'a> {
    /// This crate's own, as of folders.
    Folder,
    /// Manifests of the caller's. It verifies the target's before anything is written.
    Manifest(ReadList<'a>),
}
