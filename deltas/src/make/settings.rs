//! What making a delta may take.

/// What making a delta may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MakeSettings {
    /// Memory in bytes, nearly. With less than a pair needs its delta becomes larger; it is made all the same.
    pub memory_bytes: u64,
    /// Threads that work at once, at least one. The delta is the same with any number.
    pub threads: usize,
}

impl Default for MakeSettings {
    fn default() -> Self {
        Self { memory_bytes: 1 << 30, threads: 1 }
    }
}
