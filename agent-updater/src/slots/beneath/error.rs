//! Why something beneath a folder could not be done.

use std::io;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use crate::platform::disk;
use crate::platform::ownership::OwnershipError;

#[derive(Debug, thiserror::Error)]
pub enum BeneathError {
    #[error("the install root is not safe to use")]
    Ownership(#[from] OwnershipError),
    #[error("{path} leads through a symbolic link, which the agent does not follow; remove the link")]
    Link { path: PathBuf },
    #[error("something is mounted at {path}, and the agent does not remove it; unmount it")]
    Mount { path: PathBuf },
    #[error(
        "this kernel has no openat2, by which the agent stays within its folders; Linux 5.6 or newer is needed"
    )]
    KernelTooOld,
    /// The tree is deeper than any release.
    #[error("{path} is nested too deeply")]
    TooDeep { path: PathBuf },
    #[error("cannot {action} {path}")]
    Io {
        action: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

impl BeneathError {
    /// Whether the disk is full, or the quota is used up.
    #[must_use]
    pub fn is_disk_full(&self) -> bool {
        matches!(self, Self::Io { source, .. } if disk::is_full(source))
    }

    /// Whether it says that something is not there.
    #[must_use]
    pub fn is_absent(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }

    /// Whether it says nothing of what was looked at: it may be whole. Else something else than a release's files stands
    /// there, or nothing does.
    #[must_use]
    pub fn says_nothing(&self) -> bool {
        match self {
            Self::Ownership(_) | Self::KernelTooOld | Self::Mount { .. } => true,
            Self::Link { .. } | Self::TooDeep { .. } => false,
            Self::Io { source, .. } => {
                let damage = [Errno::NOENT, Errno::NOTDIR];
                !source.raw_os_error().is_some_and(|found| damage.map(Errno::raw_os_error).contains(&found))
            }
        }
    }
}

pub(crate) fn io_error(action: &'static str, path: &Path, source: io::Error) -> BeneathError {
    BeneathError::Io { action, path: path.to_owned(), source }
}

pub(super) fn errno_error(action: &'static str, path: &Path, errno: Errno) -> BeneathError {
    match errno {
        Errno::LOOP | Errno::XDEV => BeneathError::Link { path: path.to_owned() },
        Errno::NOSYS => BeneathError::KernelTooOld,
        errno => io_error(action, path, errno.into()),
    }
}
