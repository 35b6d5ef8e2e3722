//! The license authority: which serial numbers were sold, to which server each is bound, and what was granted.
//!
//! Invariants: a serial number belongs to the first server that registers it, together with that server's site key;
//! every grant that was handed out is kept, and is on disk before it is handed out. A registration is one immediate
//! transaction, so that two at once cannot both win.
//!
//! Left out on purpose: clearing a binding, floating seats and syncs (later versions), HTTP (the
//! server's).

mod error;
mod grants;
mod registration;
mod schema;
mod serials;
mod terms;

use std::path::Path;

use jiff::Timestamp;
use rusqlite::{Connection, TransactionBehavior};
use sealpost_files::{PRIVATE, write_new};
use sealpost_keys::Verified;
use sealpost_keys::token::random_bytes;
use sealpost_manifests::grant::Registration;
use sealpost_manifests::ids::SerialNumber;

pub use error::{AuthorityError, RegisterError};
pub use grants::{Answer, Issuer};
pub use registration::{RegistrationError, read_registration_code, verify_registration};
pub use serials::SerialEntry;
pub use terms::{MAX_SEATS, Terms};

/// The license authority over its database.
#[derive(Debug)]
pub struct Authority {
    connection: Connection,
}

impl Authority {
    /// Makes the database, private to its owner. An existing file is left alone and is an error.
    pub fn create(path: &Path) -> Result<Self, AuthorityError> {
        // SQLite gives its companion files the mode of the main one, so it is enough to make that one private.
        write_new(path, &[], PRIVATE)
            .map_err(|source| AuthorityError::Open { path: path.to_owned(), source })?;
        Self::open(path)
    }

    /// Opens the database, and brings an older format up to date.
    pub fn open(path: &Path) -> Result<Self, AuthorityError> {
        schema::open(path).map(|connection| Self { connection })
    }

    /// Makes and records a serial number for these terms.
    pub fn new_serial(&mut self, terms: &Terms, now: Timestamp) -> Result<SerialNumber, AuthorityError> {
        let serial = SerialNumber::from_random(random_bytes::<19>().map_err(AuthorityError::Randomness)?);
        serials::insert(&self.connection, &serial, terms, whole_seconds(now))?;
        Ok(serial)
    }

    /// Changes the seats of a serial number; its next registration gets a new grant.
    pub fn set_seats(&mut self, serial: &SerialNumber, seats: u32) -> Result<(), AuthorityError> {
        serials::set_seats(&self.connection, serial, seats)
    }

    /// Every serial number, oldest first.
    pub fn serials(&self) -> Result<Vec<SerialEntry>, AuthorityError> {
        serials::all(&self.connection)
    }

    /// Answers a registration: binds the serial number to the server at the first, repeats the answer afterwards.
    ///
    /// # Errors
    /// [`RegisterError`]; nothing was changed then.
    pub fn register(
        &mut self,
        registration: &Verified<Registration>,
        issuer: &Issuer<'_>,
        now: Timestamp,
    ) -> Result<Answer, RegisterError> {
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(error::failed("begin a registration"))?;
        let answer = grants::answer(&transaction, registration, issuer, whole_seconds(now))?;
        transaction.commit().map_err(error::failed("commit a registration"))?;
        Ok(answer)
    }
}

/// Documents and rows carry whole seconds.
fn whole_seconds(now: Timestamp) -> Timestamp {
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}

#[cfg(test)]
mod tests;
