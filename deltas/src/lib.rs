//! Patches between two trees of files: [`make`] on a server, [`apply`] on a computer.
//!
//! A delta is neither signed nor trusted: what counts is the signed list of files that the caller
//! compares the result with. Still, hostile bytes never panic, never write outside the target, and
//! never take more memory or disk than the [`Limits`] allow.
//!
//! There is one codec for changed files (bsdiff) beside whole files and references; another one can
//! replace it behind the same two functions. Left out on purpose: networks, signatures, servers, empty
//! folders, owners, times, and every kind of file but regular files and symbolic links.

#![warn(missing_docs)]

mod apply;
#[cfg_attr(not(test), expect(dead_code, reason = "the reader of version 2 comes in steps"))]
mod container;
mod digest;
mod folder;
mod limits;
mod summary;
#[cfg(test)]
mod testing;
mod tree;
mod v1;

pub use folder::{FolderBase, FolderTarget};
pub use limits::Limits;
pub use summary::Summary;
pub use tree::{Entry, EntryKind, Tree, TreeProblem};
pub use v1::apply::{ApplyError, BaseFiles, TargetWriter, apply};
pub use v1::make::{MakeError, make};
