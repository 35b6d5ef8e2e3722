//! Why the authority refuses, or cannot do its part.

use std::io;
use std::path::PathBuf;

use jiff::Timestamp;
use sealpost_manifests::document::DocumentError;
use sealpost_manifests::grant::LicenseModel;
use sealpost_manifests::ids::ServerId;
use sealpost_manifests::order::Epoch;
use sealpost_manifests::word::Word;

use super::terms::MAX_SEATS;

/// New registrations of one serial number within a day; each is kept for good, so there must be a bound. A server
/// needs a few in a year.
pub(super) const MAX_NEW_PER_DAY: u32 = 100;
/// How far the epoch that a restored server says may be above the highest of its grants here. It is above them only if
/// the vendor's own database was restored since. Without a bound, whoever copied a site key could use up all epochs of
/// the site with one registration, and no restore of it could ever be confirmed again.
pub(super) const MAX_EPOCHS_AHEAD: u32 = 1_000;

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
    #[error("cannot {attempt} in the license database; {}", database_hint(source))]
    Database {
        attempt: &'static str,
        #[source]
        source: rusqlite::Error,
    },
    #[error("the license database has format {found}, this program knows up to {known}; update this program")]
    NewerFormat { found: u32, known: u32 },
    #[error(
        "the license database has format {found}, which no vendor ever used; make a new home with `publisher init`, and \
         sell the serial numbers again"
    )]
    TooOld { found: u32 },
    /// A row that cannot be what this program wrote.
    #[error("the license database is damaged at {what}; restore it from a backup")]
    Damaged { what: String },
    #[error("no such serial number was sold; see `publisher serial list`")]
    UnknownSerial,
    #[error("no serial number is bound to the server {server}; see `publisher serial list`")]
    UnknownServer { server: ServerId },
    /// The clock is at the end of time.
    #[error("cannot say when a grant of {days} days ends; look at this computer's clock")]
    End {
        days: u32,
        #[source]
        source: jiff::Error,
    },
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
        "cannot register: the serial number is bound to another server; use that server, or ask the vendor to clear \
         the binding with `publisher clear-key`"
    )]
    BoundToOtherServer,
    #[error(
        "cannot register: this server id is bound to another site key; restore the site key, or set up a new server with \
         `distributor init` and ask the vendor to clear the binding with `publisher clear-key`"
    )]
    OtherSiteKey,
    #[error("cannot register: the vendor ended the serial number at {at}; ask the vendor for another one")]
    SerialEnded { at: Timestamp },
    #[error(
        "cannot register: the vendor was told that this server was stolen, and refuses its key and its id; set up a new server with \
         `distributor init`, or ask the vendor"
    )]
    RefusedKey,
    #[error(
        "cannot register: the server id is not the one of the site key that it registers with first; make a new \
         registration on the server, with `distributor register`"
    )]
    NotItsOwnId,
    #[error(
        "cannot register: the reason {reason} is not known to this version; update the vendor's program, or register for \
         another reason"
    )]
    UnknownReason { reason: Word },
    /// One request id stands for one registration.
    #[error(
        "cannot register: the request id was used for another serial number; make a new registration on the server"
    )]
    RequestIdUsed,
    #[error(
        "cannot register: {MAX_NEW_PER_DAY} new registrations of this serial number came within a day; send one of them \
         again, which gets the same answer, or wait until tomorrow"
    )]
    TooMany,
    #[error(
        "cannot register: no higher epoch is left than the {epoch} that the server says; restore the server from a backup \
         of before, or ask the vendor for a new serial number for a new server"
    )]
    NoHigherEpoch { epoch: Epoch },
    #[error(
        "cannot register: the server says epoch {said}, and the highest that it was granted is {granted}; restore the \
         vendor's database, or ask for a new serial number for a new server"
    )]
    EpochNotGranted { said: Epoch, granted: Epoch },
    #[error("cannot register: no log has {size} entries; restore the server's ledger")]
    Head { size: u64 },
    #[error("cannot sign the grant; look at the license key")]
    Sign(#[source] DocumentError),
    #[error("cannot register: the license database failed")]
    Storage(#[from] AuthorityError),
}

/// What to do about what SQLite says.
fn database_hint(error: &rusqlite::Error) -> &'static str {
    use rusqlite::ErrorCode;
    match error.sqlite_error_code() {
        Some(ErrorCode::CannotOpen | ErrorCode::PermissionDenied | ErrorCode::ReadOnly) => {
            "check that license.db is there, and that this account may write it and its folder"
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => "another program holds it; try again",
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
            "it is damaged; restore it from a backup"
        }
        _ => "check the disk and its free space",
    }
}

/// For `map_err` where SQLite is asked; `attempt` completes "cannot …".
pub(super) fn failed(attempt: &'static str) -> impl Fn(rusqlite::Error) -> AuthorityError {
    move |source| AuthorityError::Database { attempt, source }
}

pub(super) fn damaged(what: &str) -> AuthorityError {
    AuthorityError::Damaged { what: what.to_owned() }
}
