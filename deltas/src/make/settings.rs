//! What making a delta may take.

use std::path::PathBuf;

/// What making a delta may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MakeSettings {
    /// Memory in bytes, nearly. With less than a pair needs its delta becomes larger; it is made all the same.
    pub memory_bytes: u64,
    /// Threads that work at once, at least one. The delta is the same with any number.
    pub threads: usize,
    /// The folder for files without a name, which may have as many bytes together as the target, and the delta once more; the
    /// system's for temporary files, which may lie in memory, unless one is given.
    pub scratch: Option<PathBuf>,
}

impl Default for MakeSettings {
    fn default() -> Self {
        Self { memory_bytes: 1 << 30, threads: 1, scratch: None }
    }
}
