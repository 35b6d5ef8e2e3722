//! Why a home, or a file in it, cannot be used.

use std::io;
use std::path::{Path, PathBuf};

/// Why a home cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HomeError {
    #[error("{} is no vendor's home: it has no vendor.toml; give --home, or make one with `publisher init`", home.display())]
    NotAHome { home: PathBuf },
    /// Anybody could put keys or settings of their own there.
    #[error("cannot use {}: every user of this computer can change it; run `chmod o-w` on it", path.display())]
    WritableByAll { path: PathBuf },
    #[error("cannot read {}; check the path and its permissions", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// The settings file has a line that cannot be understood.
    #[error("cannot understand {}; correct the line that is named", path.display())]
    Settings {
        path: PathBuf,
        #[source]
        source: Box<toml::de::Error>,
    },
    /// The settings file has a value that makes no sense.
    #[error("cannot use {}: {problem}", path.display())]
    Value { path: PathBuf, problem: String },
    #[error("cannot write {}; check the folder's permissions and free space", path.display())]
    Write {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("cannot lock {}; {}", path.display(), lock_hint(source))]
    Lock {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// What to do when a home cannot be locked. Not being allowed to is by far the most frequent reason.
fn lock_hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => {
            "this account may not write there; use the account that owns the home, or give it the home with `chown`"
        }
        io::ErrorKind::ReadOnlyFilesystem => "its file system is mounted read-only",
        io::ErrorKind::StorageFull => "free some space on its file system",
        _ => "is it on a file system that knows locks?",
    }
}

impl HomeError {
    /// For `map_err` where a file or folder is written.
    pub(crate) fn writing(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Write { path, source }
    }
}
