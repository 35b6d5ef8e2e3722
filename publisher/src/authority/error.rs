//! Why the authority refuses, or cannot do its part.

use std::io;
use std::path::PathBuf;

use sealpost_manifests::document::DocumentError;
use sealpost_manifests::grant::LicenseModel;

use super::terms::MAX_SEATS;

/// Why the authority's database did not do its part.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuthorityError {
    #[error("cannot open the license database {}; check that it exists and its permissions", path.display())]
    Open {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("cannot {attempt} in the license database; check the disk and its free space")]
    Database {
        attempt: &'static str,
        #[source]
        source: rusqlite::Error,
    },
    #[error("the license database has format {found}, this program knows up to {known}; update this program")]
    NewerFormat { found: u32, known: u32 },
    /// A row that cannot be what this program wrote.
    #[error("the license database is damaged at {what}; restore it from a backup")]
    Damaged { what: String },
    #[error("cannot change the terms: no such serial number was sold; see `publisher serial list`")]
    UnknownSerial,
    /// The system gave no random bytes.
    #[error("cannot make a serial number")]
    Randomness(#[source] sealpost_keys::KeyError),
    #[error("cannot sell {seats} seats: give a number from 1 to {MAX_SEATS}")]
    Seats { seats: u32 },
    #[error("cannot sell the license model {model}: this version grants `named` seats only")]
    Model { model: LicenseModel },
}

/// Why a registration was refused. Nothing was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegisterError {
    #[error("cannot register: the serial number is not known here; compare it with the delivery note")]
    UnknownSerial,
    #[error(
        "cannot register: the serial number is bound to another server; use that server, or ask the vendor to clear the binding"
    )]
    BoundToOtherServer,
    #[error(
        "cannot register: this server id is bound to another site key; restore the site key, or ask the vendor to clear the binding"
    )]
    OtherSiteKey,
    #[error("cannot sign the grant; look at the license key")]
    Sign(#[source] DocumentError),
    #[error("cannot register: the license database failed")]
    Storage(#[from] AuthorityError),
}

/// For `map_err` where SQLite is asked; `attempt` completes "cannot …".
pub(super) fn failed(attempt: &'static str) -> impl Fn(rusqlite::Error) -> AuthorityError {
    move |source| AuthorityError::Database { attempt, source }
}

pub(super) fn damaged(what: &str) -> AuthorityError {
    AuthorityError::Damaged { what: what.to_owned() }
}
