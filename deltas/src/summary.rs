//! What a delta did, in numbers.

/// What a delta did, or will do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Files that are the same as one in the base, under the same name or another.
    pub unchanged: u64,
    /// Files rebuilt out of their old content and a patch.
    pub patched: u64,
    /// Files that the delta carries whole.
    pub whole: u64,
    /// Symbolic links of the target.
    pub links: u64,
    /// Paths of the base that the target does not have.
    pub removed: u64,
    /// Files that were there already, from an earlier try.
    pub kept: u64,
    /// Length of the delta.
    pub bytes: u64,
    /// Length of all target files together.
    pub target_bytes: u64,
}
