//! Why a ledger file could not be made or opened.

use std::io;
use std::path::PathBuf;

use crate::store::StoreError;

/// Why a ledger file could not be made or opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file is there already.
    #[error("cannot make a ledger at {path}: the file exists; use another home or keep this ledger")]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The file or its lock cannot be opened.
    #[error("cannot open the ledger {path}; check that it exists and that this user may write it")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Another process writes it.
    #[error("the ledger {path} is in use by another process; is the server running already?")]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// It is something else.
    #[error("the file is not a ledger, or its making was interrupted; run `distributor init` in a new home")]
    NotALedger,
    /// It is from a time before the formats were kept.
    #[error(
        "the ledger has format version {found}, which was never used by a site; this program needs {known}: run \
         `distributor init` in a new home"
    )]
    Older {
        /// The file's version.
        found: u32,
        /// The version that is known here.
        known: u32,
    },
    /// A newer program wrote it.
    #[error("the ledger has format version {found}, this program knows up to {known}; update this program")]
    Newer {
        /// The file's version.
        found: u32,
        /// The highest that is known here.
        known: u32,
    },
    /// Its newest entry is not whole.
    #[error("the ledger is damaged: {what}; run `distributor log verify`, and restore a backup of the home")]
    Damaged {
        /// What was found.
        what: String,
    },
    /// The first entry could not be written, or the log could not be read.
    #[error("the ledger's log cannot be read or written; check the disk")]
    Store(#[from] StoreError),
    /// SQLite failed.
    #[error("the ledger's database cannot be read or written; check the disk")]
    Database(#[from] rusqlite::Error),
}
