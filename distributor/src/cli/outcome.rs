//! How a command ends that did its work.

/// Whether a command that ran to its end is content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Done,
    /// It found what it was to look for, and printed it.
    Damage,
    /// A check found something that is urgent, and printed it.
    Urgent,
    /// A check could not find out, and said why.
    Unknown,
}

impl Outcome {
    /// The exit status: what monitors expect of a check.
    pub(super) const fn exit_status(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Damage => 1,
            Self::Urgent => 2,
            Self::Unknown => 3,
        }
    }
}
