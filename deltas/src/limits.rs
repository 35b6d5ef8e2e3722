//! What may be spent on one delta, whatever its bytes ask for.

/// Upper bounds for one delta. Checked before anything is allocated or written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most files and links in the target.
    pub entries: usize,
    /// Most bytes of the target's list of files.
    pub list_bytes: u64,
    /// Most bytes of the delta's head, unpacked.
    pub head_bytes: u64,
    /// Most bytes of all target files together.
    pub target_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            entries: 100_000,
            list_bytes: 32 * 1024 * 1024,
            head_bytes: 4 * 1024 * 1024,
            target_bytes: 16 * 1024 * 1024 * 1024,
        }
    }
}
