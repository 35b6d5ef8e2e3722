//! Folders that are opened once; everything else is opened beneath them, and no symbolic link is followed.
//!
//! Invariant: every name is resolved by the kernel with `openat2(RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS |
//! RESOLVE_NO_MAGICLINKS)`, so a link that somebody puts in the way is refused, wherever it leads. The folder at the root
//! is opened part by part, and each part must belong to root or to the agent and not be writable by others.
//! Left out on purpose: a fallback for kernels without `openat2` (before 5.6), which would be a second, weaker rule.

mod error;
mod folder;
mod tree;

pub use error::BeneathError;
pub(super) use error::io_error;
pub(super) use folder::seal_file;
pub use folder::{Folder, Kind};
