//! What may be spent on one delta, whatever its bytes ask for.

/// Upper bounds for one delta. Checked before anything is allocated or written.
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
