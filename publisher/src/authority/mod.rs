//! The license authority: which serial numbers were sold, to which server each is bound, and what was granted.
//!
//! Invariants: a serial number belongs to the first server that registers it, together with that server's site key;
//! every grant that was handed out is kept, and every registration with its answer, on disk before the answer goes out.
//! A registration is one immediate transaction, so that two at once cannot both win.
//!
//! The vendor can clear a binding; then the next registration binds the serial number anew, to a server with an id of its
//! own. The keys and the id of a stolen server are refused for good.
//!
//! Left out on purpose: floating seats and syncs (later versions), HTTP (the server's).

mod clearings;
mod error;
mod grants;
mod registration;
mod registrations;
mod schema;
mod serials;
mod terms;

use std::collections::BTreeSet;
use std::path::Path;

use jiff::Timestamp;
use rusqlite::{Connection, TransactionBehavior};
use sealpost_files::{PRIVATE, write_new};
use sealpost_keys::token::random_bytes;
use sealpost_keys::{PublicKey, Verified};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::grant::Registration;
use sealpost_manifests::ids::{SerialNumber, ServerId};
use serde::Serialize;

use crate::publication::whole_seconds;

pub use clearings::{ClearedKey, Clearing};
pub use error::{AuthorityError, RegisterError};
pub use grants::{Answer, GrantEntry, Issuer, Outcome, Remark};
pub use registration::{RegistrationError, read_registration_code, unlock_code, verify_registration};
pub use registrations::{HeadRemark, RegistrationEntry};
pub use serials::SerialEntry;
pub use terms::{MAX_SEATS, Terms};

/// What the vendor knows of one serial number; grants and registrations are listed with the oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SerialHistory {
    #[serde(flatten)]
    pub entry: SerialEntry,
    pub grants: Vec<GrantEntry>,
    pub registrations: Vec<RegistrationEntry>,
    /// Servers that it was taken from.
    pub clearings: Vec<Clearing>,
}

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

    /// Says when a serial number ends, or that it does not; the next registration of its server gets a new grant, which says
    /// so. Nothing is taken from anybody by this, and a server that does not register goes on by the grant that it has.
    pub fn set_end(&mut self, serial: &SerialNumber, end: Option<Timestamp>) -> Result<(), AuthorityError> {
        serials::set_end(&self.connection, serial, end.map(whole_seconds))
    }

    /// The serial numbers that are bound to a server.
    pub fn bound_to(&self, server: &ServerId) -> Result<Vec<SerialNumber>, AuthorityError> {
        clearings::bound_to(&self.connection, server)
    }

    /// Whether any serial number is bound to a server, or was.
    pub fn has_had(&self, server: &ServerId) -> Result<bool, AuthorityError> {
        Ok(!clearings::keys_of(&self.connection, server)?.is_empty())
    }

    /// Clears the bindings of a server: the next registration of each serial number binds it to whichever server sends
    /// it, under the id of its own site key. With [`ClearedKey::Stolen`] no key with which the server was ever bound
    /// registers anything again, and no key does under its id; that can also be said later, of a server that has nothing any more. Answers with
    /// the serial numbers.
    ///
    /// # Errors
    /// [`AuthorityError::UnknownServer`], or the database failed; nothing was changed then.
    pub fn clear_key(
        &mut self,
        server: &ServerId,
        key: ClearedKey,
        now: Timestamp,
    ) -> Result<Vec<SerialNumber>, AuthorityError> {
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(error::failed("begin to clear a binding"))?;
        let serials = clearings::clear(&transaction, server, key, whole_seconds(now))?;
        transaction.commit().map_err(error::failed("commit that a binding was cleared"))?;
        Ok(serials)
    }

    /// Every serial number, oldest first.
    pub fn serials(&self) -> Result<Vec<SerialEntry>, AuthorityError> {
        serials::all(&self.connection)
    }

    /// Everything about one serial number.
    pub fn history(&self, serial: &SerialNumber) -> Result<SerialHistory, AuthorityError> {
        let mut entry = serials::find(&self.connection, serial)?.ok_or(AuthorityError::UnknownSerial)?;
        let grants = grants::all(&self.connection, serial)?;
        let registrations = registrations::all(&self.connection, serial)?;
        entry.not_after = grants.last().map(|grant| grant.not_after);
        let newest = grants.last();
        entry.renewable_from =
            newest.and_then(|grant| serials::renewable(entry.ends_at, grant.issued_at, grant.not_after));
        let last = registrations.last();
        entry.used = last.and_then(|registration| registration.used);
        entry.used_at = last.filter(|registration| registration.used.is_some()).map(|last| last.answered_at);
        let clearings = clearings::all(&self.connection, serial)?;
        Ok(SerialHistory { entry, grants, registrations, clearings })
    }

    /// Digests of the grants that this key signed and that have not ended: what it goes on verifying when it retires.
    pub fn live_grants(
        &self,
        key: &PublicKey,
        now: Timestamp,
    ) -> Result<BTreeSet<Sha256Digest>, AuthorityError> {
        grants::live(&self.connection, key, whole_seconds(now))
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

#[cfg(test)]
mod tests;
