//! Patches between two trees of files, behind two doors: [`make`] on a server, [`apply`] on a computer.
//!
//! A delta is not signed and is not believed: what counts is the signed list of files that the caller
//! compares the result with. Still, hostile bytes never panic, never write outside the target, and
//! never take more memory or disk than the [`Limits`] allow.
//!
//! There is one codec for changed files (bsdiff) beside whole files and references; another engine can
//! replace it behind the same two doors. Left out on purpose: networks, signatures, servers, empty
//! folders, owners, times, and every kind of file but regular files and symbolic links.

#![warn(missing_docs)]

mod apply;
mod codec;
mod container;
mod digest;
mod folder;
mod make;
mod tree;

pub use apply::{ApplyError, BaseFiles, TargetWriter, apply};
pub use folder::{FolderBase, FolderTarget};
pub use make::{MakeError, make};
pub use tree::{Entry, EntryKind, Tree, TreeProblem};

/// What may be spent on one delta. Checked before anything is allocated or written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most files and links in the target.
    pub entries: usize,
    /// Most bytes of the delta's own list of files, uncompressed.
    pub header_bytes: u32,
    /// Largest file that is patched, old or new; a larger one is sent whole. The old side is held in memory.
    pub patched_file_bytes: u64,
    /// Most bytes of all target files together.
    pub target_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            entries: 100_000,
            header_bytes: 32 * 1024 * 1024,
            patched_file_bytes: 16 * 1024 * 1024,
            target_bytes: 16 * 1024 * 1024 * 1024,
        }
    }
}

/// What a delta did, or will do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Files that are the same as one in the base, under the same name or another.
    pub unchanged: u64,
    /// Files rebuilt out of their old content and a patch.
    pub patched: u64,
    /// Files that the delta carries whole.
    pub whole: u64,
    /// Symbolic links.
    pub links: u64,
    /// Paths of the base that the target does not have.
    pub removed: u64,
    /// Length of the delta.
    pub bytes: u64,
    /// Length of all target files together.
    pub target_bytes: u64,
}
