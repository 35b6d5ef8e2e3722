//! zstd with the base as its prefix: for texts of which many short pieces come from anywhere.

use std::io;

use super::pack::ZSTD_LEVEL;
use crate::container::PREFIX_WINDOW_LOG;
use crate::pack::zstd_frame;

/// Packs a target with its base as prefix.
pub(super) fn pack(base: &[u8], target: &[u8]) -> io::Result<Vec<u8>> {
    let window = (base.len() + target.len()).max(1024).next_power_of_two().ilog2();
    zstd_frame(target, window.min(PREFIX_WINDOW_LOG), base, ZSTD_LEVEL)
}
