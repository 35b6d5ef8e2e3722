//! The license authority: which serial numbers were sold, to which server each is bound, and what was granted.
//!
//! Invariants: a serial number belongs to the first server that registers it, together with that server's site key;
//! the same registration gets the same grant, byte for byte, until the terms change or the grant has lapsed; the
//! generation of a serial's grants only rises; every grant that was handed out is kept, and is on disk before it is
//! handed out. Everything happens in one immediate transaction, so that two registrations at once cannot both win.
//!
//! Left out on purpose: clearing a binding, floating seats and syncs (later versions), HTTP (the server's business).

mod registration;
mod schema;

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};
use sealpost_keys::{Minisig, SigningKey, Verified};
use sealpost_manifests::document::{DocumentError, SignedDocument};
use sealpost_manifests::grant::{Grant, LicenseModel, Registration};
use sealpost_manifests::ids::{PackageName, SerialNumber, ServerId};
use serde::Serialize;

pub use registration::{RegistrationError, read_registration_code, verify_registration};

/// Most seats of one serial number: far above any site, far below any overflow.
pub const MAX_SEATS: u32 = 10_000_000;

/// The terms under which a serial number is sold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Terms {
    /// How many computers.
    pub seats: u32,
    /// How seats are counted.
    pub model: LicenseModel,
    /// Packages that are covered; all, if empty.
    pub packages: Vec<PackageName>,
}

/// A serial number as the vendor sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SerialEntry {
    /// The serial number.
    pub serial: SerialNumber,
    /// What was sold.
    #[serde(flatten)]
    pub terms: Terms,
    /// When it was made.
    pub created_at: Timestamp,
    /// The server that it is bound to, once it has registered.
    pub server_id: Option<ServerId>,
    /// The generation of the newest grant; 0 before the first.
    pub generation: u64,
    /// When the newest grant lapses.
    pub valid_until: Option<Timestamp>,
}

/// What a registration was answered with.
#[derive(Debug, Clone)]
pub enum Answer {
    /// A grant that was signed now: the first, or one for new terms, or in the place of a lapsed one.
    Issued(SignedDocument),
    /// The grant that the same registration got before.
    Repeated(SignedDocument),
}

impl Answer {
    /// The grant.
    #[must_use]
    pub fn into_grant(self) -> SignedDocument {
        match self {
            Self::Issued(grant) | Self::Repeated(grant) => grant,
        }
    }
}

/// Why the authority's database did not do its part.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuthorityError {
    /// The file could not be made or opened.
    #[error("cannot open the license database {}; check that it exists and its permissions", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// SQLite failed.
    #[error("cannot {attempt} in the license database; check the disk and its free space")]
    Database {
        /// What was attempted.
        attempt: &'static str,
        /// What SQLite said.
        #[source]
        source: rusqlite::Error,
    },
    /// Written by a newer program.
    #[error("the license database has format {found}, this program knows up to {known}; update this program")]
    NewerFormat {
        /// The format found.
        found: u32,
        /// The highest known.
        known: u32,
    },
    /// A row that cannot be what this program wrote.
    #[error("the license database is damaged at {what}; restore it from a backup")]
    Damaged {
        /// Which part.
        what: String,
    },
    /// No such serial number.
    #[error("cannot change the terms: no such serial number was sold; see `publisher serial list`")]
    UnknownSerial,
    /// No randomness for a serial number.
    #[error("cannot make a serial number")]
    Randomness(#[source] sealpost_keys::KeyError),
    /// Terms that nobody can mean.
    #[error("cannot sell {seats} seats: give a number from 1 to {MAX_SEATS}")]
    Seats {
        /// The number that was asked for.
        seats: u32,
    },
    /// A model that this version cannot grant.
    #[error("cannot sell the license model {model}: this version grants `named` seats only")]
    Model {
        /// The model.
        model: LicenseModel,
    },
}

/// Why a registration was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegisterError {
    /// No such serial number was sold.
    #[error("cannot register: the serial number is not known here; compare it with the delivery note")]
    UnknownSerial,
    /// It belongs to another server.
    #[error(
        "cannot register: the serial number is bound to another server; use that server, or ask the vendor to clear the binding"
    )]
    BoundToOtherServer,
    /// The server is known under another key.
    #[error(
        "cannot register: this server id is bound to another site key; restore the site key, or ask the vendor to clear the binding"
    )]
    OtherSiteKey,
    /// The grant could not be signed.
    #[error("cannot sign the grant; look at the license key")]
    Sign(#[source] DocumentError),
    /// The database failed; nothing was changed.
    #[error("cannot register: the license database failed")]
    Storage(#[from] AuthorityError),
}

/// The license authority over its database.
#[derive(Debug)]
pub struct Authority {
    connection: Connection,
}

impl Authority {
    /// Makes the database, private to its owner.
    ///
    /// # Errors
    /// When the file exists already or cannot be written.
    pub fn create(path: &Path) -> Result<Self, AuthorityError> {
        // SQLite gives its companion files the mode of the main one, so it is enough to make that one private.
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
            .and_then(|_| crate::vendor::sync_entry(path))
            .map_err(|source| AuthorityError::Open { path: path.to_owned(), source })?;
        Self::open(path)
    }

    /// Opens the database, and brings an older format up to date.
    ///
    /// # Errors
    /// When there is none, or it is damaged or newer than this program.
    pub fn open(path: &Path) -> Result<Self, AuthorityError> {
        schema::open(path).map(|connection| Self { connection })
    }

    /// Makes and records a serial number for these terms.
    ///
    /// # Errors
    /// [`AuthorityError`].
    pub fn new_serial(&mut self, terms: &Terms, now: Timestamp) -> Result<SerialNumber, AuthorityError> {
        check_terms(terms)?;
        let random = sealpost_keys::token::random_bytes::<19>().map_err(AuthorityError::Randomness)?;
        let serial = SerialNumber::from_random(random);
        let packages: Vec<&str> = terms.packages.iter().map(PackageName::as_str).collect();
        self.connection
            .execute(
                "INSERT INTO serials (serial, seats, model, packages, created_at) VALUES (?1, ?2, ?3, ?4, ?5)",
                params![
                    serial.as_str(),
                    terms.seats,
                    terms.model.to_string(),
                    packages.join(","),
                    whole_seconds(now).to_string()
                ],
            )
            .map_err(failed("record a serial number"))?;
        Ok(serial)
    }

    /// Changes the seats of a serial number; its next registration gets a new grant.
    ///
    /// # Errors
    /// [`AuthorityError`].
    pub fn set_seats(&mut self, serial: &SerialNumber, seats: u32) -> Result<(), AuthorityError> {
        check_terms(&Terms { seats, model: LicenseModel::Named, packages: Vec::new() })?;
        let changed = self
            .connection
            .execute("UPDATE serials SET seats = ?2 WHERE serial = ?1", params![serial.as_str(), seats])
            .map_err(failed("change the seats of a serial number"))?;
        if changed == 1 { Ok(()) } else { Err(AuthorityError::UnknownSerial) }
    }

    /// Every serial number, oldest first.
    ///
    /// # Errors
    /// [`AuthorityError`].
    pub fn serials(&self) -> Result<Vec<SerialEntry>, AuthorityError> {
        let attempt = "list the serial numbers";
        let mut statement = self
            .connection
            .prepare(
                "SELECT s.serial, s.seats, s.model, s.packages, s.created_at, s.server_id, s.site_key, s.generation, \
                 (SELECT g.valid_until FROM grants g WHERE g.serial = s.serial AND g.generation = s.generation) \
                 FROM serials s ORDER BY s.rowid",
            )
            .map_err(failed(attempt))?;
        let rows = statement.query_map([], schema::SerialRow::read).map_err(failed(attempt))?;
        rows.map(|row| row.map_err(failed(attempt))?.into_entry()).collect()
    }

    /// Answers a registration: binds the serial number to the server at the first, repeats the answer afterwards.
    /// The grant is valid for `grant_days`.
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
            .map_err(failed("begin a registration"))?;
        let answer = register_in(&transaction, registration, issuer, whole_seconds(now))?;
        transaction.commit().map_err(failed("commit a registration"))?;
        Ok(answer)
    }
}

/// Who grants, and for how long.
#[derive(Debug)]
pub struct Issuer<'a> {
    /// The vendor's name.
    pub vendor: &'a str,
    /// The license-signing key.
    pub key: &'a SigningKey,
    /// Days that a grant is valid.
    pub grant_days: u32,
}

fn register_in(
    transaction: &Transaction<'_>,
    registration: &Registration,
    issuer: &Issuer<'_>,
    now: Timestamp,
) -> Result<Answer, RegisterError> {
    let serial = &registration.serial;
    let entry = find(transaction, serial)?.ok_or(RegisterError::UnknownSerial)?;
    let site_key = registration.site_key.to_base64();
    if entry.server_id.as_ref().is_some_and(|bound| *bound != registration.server_id) {
        return Err(RegisterError::BoundToOtherServer);
    }
    // A server has one site key, whichever serial number it came with.
    let other_key: Option<i64> = transaction
        .query_row(
            "SELECT 1 FROM serials WHERE server_id = ?1 AND site_key <> ?2 LIMIT 1",
            params![registration.server_id.as_str(), site_key],
            |row| row.get(0),
        )
        .optional()
        .map_err(failed("look a server up"))?;
    if other_key.is_some() {
        return Err(RegisterError::OtherSiteKey);
    }
    if let Some(stored) = newest_grant(transaction, &entry)? {
        let grant = stored.verify::<Grant>(&[issuer.key.public()]).map_err(|_| damaged("a stored grant"))?;
        if holds(&grant, &entry.terms, now) {
            return Ok(Answer::Repeated(stored));
        }
    }
    let generation = entry.generation.checked_add(1).ok_or_else(|| damaged("a grant's generation"))?;
    let grant = Grant {
        vendor: issuer.vendor.to_owned(),
        serial: serial.clone(),
        server_id: registration.server_id.clone(),
        site_key: registration.site_key.clone(),
        key_epoch: 1,
        epoch: 1,
        packages: entry.terms.packages.clone(),
        model: entry.terms.model,
        seats: entry.terms.seats,
        generation,
        valid_until: now
            .saturating_add(SignedDuration::from_hours(24 * i64::from(issuer.grant_days)))
            .unwrap_or(now),
        vendor_time: now,
    };
    let signed = SignedDocument::sign(&grant, issuer.key).map_err(RegisterError::Sign)?;
    record(transaction, &grant, &signed)?;
    Ok(Answer::Issued(signed))
}

fn record(
    transaction: &Transaction<'_>,
    grant: &Grant,
    signed: &SignedDocument,
) -> Result<(), AuthorityError> {
    let generation = i64::try_from(grant.generation).map_err(|_| damaged("a grant's generation"))?;
    transaction
        .execute(
            "UPDATE serials SET server_id = ?2, site_key = ?3, generation = ?4 WHERE serial = ?1",
            params![grant.serial.as_str(), grant.server_id.as_str(), grant.site_key.to_base64(), generation],
        )
        .map_err(failed("bind a serial number"))?;
    transaction
        .execute(
            "INSERT INTO grants (serial, generation, issued_at, valid_until, document, minisig) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![
                grant.serial.as_str(),
                generation,
                grant.vendor_time.to_string(),
                grant.valid_until.to_string(),
                signed.document,
                signed.minisig.as_str()
            ],
        )
        .map_err(failed("record a grant"))?;
    Ok(())
}

fn find(connection: &Connection, serial: &SerialNumber) -> Result<Option<SerialEntry>, AuthorityError> {
    connection
        .query_row(
            "SELECT serial, seats, model, packages, created_at, server_id, site_key, generation, NULL \
             FROM serials WHERE serial = ?1",
            [serial.as_str()],
            schema::SerialRow::read,
        )
        .optional()
        .map_err(failed("look a serial number up"))?
        .map(schema::SerialRow::into_entry)
        .transpose()
}

fn newest_grant(
    connection: &Connection,
    entry: &SerialEntry,
) -> Result<Option<SignedDocument>, AuthorityError> {
    if entry.generation == 0 {
        return Ok(None);
    }
    let generation = i64::try_from(entry.generation).map_err(|_| damaged("a grant's generation"))?;
    let (document, minisig): (String, String) = connection
        .query_row(
            "SELECT document, minisig FROM grants WHERE serial = ?1 AND generation = ?2",
            params![entry.serial.as_str(), generation],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .map_err(failed("look a grant up"))?;
    let minisig = Minisig::parse(&minisig).map_err(|_| damaged("a stored grant"))?;
    Ok(Some(SignedDocument { document, minisig }))
}

/// Whether a grant that was handed out is still the whole answer.
fn holds(grant: &Grant, terms: &Terms, now: Timestamp) -> bool {
    let granted = Terms { seats: grant.seats, model: grant.model, packages: grant.packages.clone() };
    granted == *terms && now < grant.valid_until
}

fn check_terms(terms: &Terms) -> Result<(), AuthorityError> {
    if terms.seats == 0 || terms.seats > MAX_SEATS {
        return Err(AuthorityError::Seats { seats: terms.seats });
    }
    if terms.model != LicenseModel::Named {
        return Err(AuthorityError::Model { model: terms.model });
    }
    Ok(())
}

fn failed(attempt: &'static str) -> impl Fn(rusqlite::Error) -> AuthorityError {
    move |source| AuthorityError::Database { attempt, source }
}

fn damaged(what: &str) -> AuthorityError {
    AuthorityError::Damaged { what: what.to_owned() }
}

/// Documents carry whole seconds: fractions tell nobody anything.
fn whole_seconds(now: Timestamp) -> Timestamp {
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}

#[cfg(test)]
mod tests;
