//! Why a home cannot be made, opened or locked.

use std::io;
use std::path::{Path, PathBuf};

use sealpost_keys::sealed::SealingKeyError;
use sealpost_keys::{KeyError, KeyFileError};

use super::certificates::CertificateError;

/// Why a home could not be made or opened.
#[derive(Debug, thiserror::Error)]
pub enum HomeError {
    #[error("cannot make a server in {}: it holds {found:?} already; choose an empty folder", path.display())]
    NotEmpty { path: PathBuf, found: String },
    #[error("{} holds a server that was never finished; remove the folder and run `distributor init` again", path.display())]
    Unfinished { path: PathBuf },
    #[error("{} holds no server; name another with --home, or run `distributor init` first", path.display())]
    NoServer { path: PathBuf },
    #[error(
        "this account may not look into {}; run the command as the account that the server runs under, for example with \
         `sudo -u sealpost`, or as root",
        path.display()
    )]
    Forbidden { path: PathBuf, source: io::Error },
    /// Others can read or change the home.
    #[error("others can look into {} (mode {mode:03o}); run `chmod 700` on it", path.display())]
    Exposed { path: PathBuf, mode: u32 },
    #[error("another server runs in {}; stop it first", path.display())]
    InUse { path: PathBuf },
    #[error("cannot make a server: {option}: {problem}")]
    Option { option: &'static str, problem: String },
    #[error("cannot {attempted} {}; check the path, disk space and permissions", path.display())]
    Io { attempted: &'static str, path: PathBuf, source: io::Error },
    #[error("cannot make the server's keys")]
    Key {
        #[from]
        source: KeyError,
    },
    #[error(
        "the key in {} is not the one that the ledger was made for; restore keys and ledger from the same backup",
        path.display()
    )]
    OtherSiteKey { path: PathBuf },
    #[error("cannot use a key of the server")]
    KeyFile {
        #[from]
        source: KeyFileError,
    },
    #[error("cannot make the server's sealing key")]
    SealingKey {
        #[from]
        source: SealingKeyError,
    },
    #[error("cannot use the server's certificates")]
    Certificate {
        #[from]
        source: CertificateError,
    },
    #[error(
        "cannot make a server: this computer's clock says {now}, so it was never set; set it right, for example with \
         `timedatectl`, and try again"
    )]
    Clock { now: jiff::Timestamp },
    #[error("cannot create the ledger")]
    Ledger { source: Box<dyn std::error::Error + Send + Sync> },
}

pub(super) fn failed(attempted: &'static str, path: &Path, source: io::Error) -> HomeError {
    HomeError::Io { attempted, path: path.to_owned(), source }
}
