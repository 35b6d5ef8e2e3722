//! How a command ends that did its work.

/// Whether a command that ran to its end is content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Done,
    /// It found what it was to look for, and printed it.
    Damage,
}
