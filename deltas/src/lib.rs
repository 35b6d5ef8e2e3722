//! Patches between two files ([`make_file`], [`apply_file`]), or two trees of files ([`make`], [`apply`]); [`read_list`] gives the list of a tree's target alone.
//!
//! A delta is neither signed nor trusted: what counts is the digest of what comes out, and, of a tree, the signed list of
//! files that the caller verifies. Still, hostile bytes never panic, never write outside the target, and never take more
//! memory or disk than the [`Limits`] allow. Applying takes at most 32 MiB beside the lists, whatever the size.
//!
//! `docs/DELTA.md` describes the format. Rooms, from the making side: `matching` finds what resembles the base, `image`
//! predicts what becomes of addresses in programs, `encode` makes streams of it, `container` says what a delta is byte by
//! byte, `apply` makes targets. `make` and `apply` know files; the others know bytes. `parallel` does several jobs at once, and
//! `spool` holds what is too long for memory. `v1` reads the deltas of earlier programs.
//!
//! Left out on purpose: networks, signatures, servers, empty folders, owners, times, and every kind of file but regular files
//! and symbolic links.

#![warn(missing_docs)]

mod apply;
mod assembly;
mod container;
mod digest;
mod encode;
mod folder;
mod image;
mod limits;
mod list;
mod make;
mod matching;
mod pack;
mod parallel;
mod plan;
mod read_at;
mod show;
mod spool;
mod summary;
#[cfg(test)]
mod testing;
mod tree;
mod v1;

pub use apply::file::apply_file;
pub use apply::target_list::read_list;
pub use apply::tree::apply;
pub use apply::{ApplyError, Base, BaseFiles, Control, Lists, Progress, ReadList, TargetWriter};
pub use container::version::{BEGIN_BYTES, container_version};
pub use folder::{FolderBase, FolderTarget, read_folder};
pub use limits::Limits;
pub use list::folder_list;
pub use make::{MakeError, MakeSettings, Release, make, make_file, make_folder};
pub use read_at::{BaseFile, ReadAt};
pub use show::{Shown, ShownGroup, ShownStream, show};
pub use summary::Summary;
pub use tree::{Entry, EntryKind, Tree, TreeProblem};
