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
mod codec;
mod container;
mod digest;
mod folder;
mod limits;
mod make;
mod summary;
mod tree;

pub use apply::{ApplyError, BaseFiles, TargetWriter, apply};
pub use folder::{FolderBase, FolderTarget};
pub use limits::Limits;
pub use make::{MakeError, make};
pub use summary::Summary;
pub use tree::{Entry, EntryKind, Tree, TreeProblem};
