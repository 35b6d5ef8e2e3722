//! Why a delta cannot be applied.

use std::error::Error;
use std::io;

use crate::container::Flaw;
use crate::tree::TreeProblem;

/// Why a delta could not be applied. The whole payload is what to fall back to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApplyError {
    /// The delta could not be read.
    #[error("cannot read the delta: fetch it again")]
    Read(#[source] io::Error),
    /// The bytes are something else.
    #[error("cannot apply the delta: this is not a delta file; fetch it again")]
    NotADelta,
    /// Made by a later program.
    #[error(
        "cannot apply the delta: its format is version {version}, and this program knows versions 1 and 2; update it"
    )]
    UnsupportedVersion {
        /// The version in the file.
        version: u16,
    },
    /// Made by a later program that has more than this one.
    #[error("cannot apply the delta: it has {what} that this program does not know; update it")]
    UnknownPart {
        /// What it has.
        what: &'static str,
    },
    /// A file's delta was given for a tree, or the other way round.
    #[error("cannot apply the delta: it leads to {made_for}, and {wanted} is wanted; fetch the right one")]
    AnotherSubject {
        /// What it leads to.
        made_for: &'static str,
        /// What the caller wants.
        wanted: &'static str,
    },
    /// The delta was cut or changed on its way.
    #[error("cannot apply the delta: it is cut or damaged; fetch it again")]
    Damaged,
    /// It asks for more than is allowed.
    #[error("cannot apply the delta: more than {limit} {what}; use the whole payload")]
    TooLarge {
        /// What there is too much of.
        what: &'static str,
        /// How much is allowed.
        limit: u64,
    },
    /// Its list of files is not a tree.
    #[error("cannot apply the delta: its list of files is unsafe; do not fetch it from there again")]
    UnsafeTree(#[source] TreeProblem),
    /// The caller refused the list of files.
    #[error("cannot apply the delta: its list of files is refused; do not fetch it from there again")]
    List(#[source] Box<dyn Error + Send + Sync>),
    /// The base is not the one that the delta was made for.
    #[error(
        "cannot apply the delta: it was made for the base {made_for}, and this one is {found}; use the whole payload"
    )]
    AnotherBase {
        /// First bytes of the right base's digest, in hex, and its length.
        made_for: String,
        /// The same of this one.
        found: String,
    },
    /// The base, which is one file, could not be read.
    #[error("cannot apply the delta: the base cannot be read; check the disk")]
    BaseUnreadable(#[source] io::Error),
    /// The target, which is one file, could not be written.
    #[error("cannot apply the delta: the target cannot be written; check the disk")]
    TargetUnwritable(#[source] io::Error),
    /// A file of the base could not be read.
    #[error(
        "cannot apply the delta: {path:?} cannot be read in the installed release; use the whole payload"
    )]
    Base {
        /// The path in the base.
        path: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A file of the base is not the one that the delta was made for.
    #[error("cannot apply the delta: {path:?} differs in the installed release; use the whole payload")]
    BaseDiffers {
        /// The path in the base.
        path: String,
    },
    /// What came out is not what the list says.
    #[error("cannot apply the delta: the content for {path:?} is damaged; fetch it again")]
    Content {
        /// The path in the target.
        path: String,
    },
    /// The target could not be written.
    #[error("cannot apply the delta: {path:?} cannot be written; check the disk")]
    Target {
        /// The path in the target.
        path: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The caller's [`Control`](crate::Control) said so.
    #[error("applying the delta was cancelled")]
    Cancelled,
}

impl ApplyError {
    /// The error of a flaw. Which file of a tree's base cannot be read is told by whoever knows its path.
    pub(crate) fn of(flaw: Flaw) -> Self {
        match flaw {
            Flaw::Read(error) => Self::Read(error),
            Flaw::NotADelta => Self::NotADelta,
            Flaw::Version(version) => Self::UnsupportedVersion { version },
            Flaw::Later(what) => Self::UnknownPart { what },
            Flaw::Damaged => Self::Damaged,
            Flaw::TooLarge { what, limit } => Self::TooLarge { what, limit },
            Flaw::Base(source) => Self::BaseUnreadable(source),
            Flaw::Cancelled => Self::Cancelled,
        }
    }
}
