//! What is found.

/// A stretch of the target that resembles a stretch of what was searched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Found {
    /// Place in what was searched: the base, or the base and the target behind it.
    pub(crate) base: usize,
    /// Place in the target.
    pub(crate) target: usize,
    /// Length in bytes.
    pub(crate) length: usize,
}
