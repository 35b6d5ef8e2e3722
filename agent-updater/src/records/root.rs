//! The vendor's pinned root, `root.json`.
//!
//! Invariant: once pinned it is never replaced.

use std::io;

use sealpost_files::{PUBLIC, read_bounded, replace};
use sealpost_repository::MAX_ROOT_BYTES;

use crate::home::Home;

/// The pinned root; `None` before it is pinned.
///
/// # Errors
/// The system's.
pub fn read(home: &Home) -> io::Result<Option<Vec<u8>>> {
    read_bounded(&home.root(), MAX_ROOT_BYTES)
}

/// Pins a root, if none is pinned yet.
///
/// # Errors
/// The system's.
pub fn pin(home: &Home, bytes: &[u8]) -> io::Result<()> {
    let path = home.root();
    if path.try_exists()? { Ok(()) } else { replace(&path, bytes, PUBLIC) }
}
