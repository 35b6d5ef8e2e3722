//! What deltas do, and what hostile ones do not.

mod files;
mod hostile;
mod large;
mod memory;
mod random;
mod trees;

use super::file::apply_file;
use super::{ApplyError, Progress};
use crate::limits::Limits;
use crate::summary::Summary;

/// Applies the delta of a file.
fn applied(base: &[u8], delta: &[u8]) -> Result<(Vec<u8>, Summary), ApplyError> {
    let mut out = Vec::new();
    let summary = apply_file(&base, delta, &mut out, &Limits::default(), &mut |_: Progress| true)?;
    Ok((out, summary))
}
