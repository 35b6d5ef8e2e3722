//! Why a delta is not made.

use std::io;

use crate::container::Flaw;
use crate::spool::is_unwritten;
use crate::tree::TreeProblem;

/// Why a delta could not be made. The whole payload is always there instead.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MakeError {
    /// The target's list is not a tree.
    #[error("cannot make the delta: the list of files is not a tree; publish the release again")]
    UnsafeTree(#[source] TreeProblem),
    /// More than is allowed.
    #[error("cannot make the delta: more than {limit} {what}; deliver the whole payload")]
    TooLarge {
        /// What there is too much of.
        what: &'static str,
        /// How much is allowed.
        limit: u64,
    },
    /// A file could not be read.
    #[error("cannot make the delta: {path} cannot be read")]
    Read {
        /// The path in its tree.
        path: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A file is not what its list says.
    #[error("cannot make the delta: {path} is not what its list says; unpack the release again")]
    Differs {
        /// The path in its tree.
        path: String,
    },
    /// What was made does not lead to the target: a file changed meanwhile, or there is a fault in this program.
    #[error("cannot make the delta: what was made does not lead to the target; deliver the whole payload")]
    Wrong,
    /// The caller had it stopped.
    #[error("making the delta was stopped")]
    Cancelled,
    /// The delta could not be written.
    #[error("cannot write the delta: check the disk")]
    Write(#[source] io::Error),
}

impl MakeError {
    /// What the rooms below say.
    pub(crate) fn of(flaw: Flaw) -> Self {
        match flaw {
            Flaw::Cancelled => Self::Cancelled,
            Flaw::Read(source) if is_unwritten(&source) => Self::Write(source),
            Flaw::Base(source) | Flaw::Read(source) => Self::Read { path: "the base".to_owned(), source },
            Flaw::TooLarge { what, limit } => Self::TooLarge { what, limit },
            _ => Self::Wrong,
        }
    }
}

impl From<Flaw> for MakeError {
    fn from(flaw: Flaw) -> Self {
        Self::of(flaw)
    }
}
