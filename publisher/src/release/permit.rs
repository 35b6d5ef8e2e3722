//! What is a slip most of the time, and is done only if somebody says that it is meant.

use std::fmt;

/// Something that somebody has said is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Permit {
    /// A package that was never released.
    NewPackage,
    /// A channel that the package does not have.
    NewChannel,
    /// A platform that no program of ours reports.
    NewPlatform,
    /// A version below the one that a channel points at.
    Downgrade,
    /// Private keys in PEM among the files.
    PrivateKeys,
}

/// What would be done, and the permit that it needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    pub permit: Permit,
    pub what: String,
}

impl Permit {
    /// The option that gives it.
    #[must_use]
    pub const fn flag(self) -> &'static str {
        match self {
            Self::NewPackage => "--new-package",
            Self::NewChannel => "--new-channel",
            Self::NewPlatform => "--new-platform",
            Self::Downgrade => "--downgrade",
            Self::PrivateKeys => "--with-private-keys",
        }
    }
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; if that is meant, give {}", self.what, self.permit.flag())
    }
}
