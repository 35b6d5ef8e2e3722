//! Grants: what a registration is answered with.
//!
//! Invariants: the same registration gets the same grant, byte for byte, until the terms change or the grant has
//! lapsed; the generation of a serial's grants only rises; every grant that was handed out is kept. The caller's
//! transaction holds all of it together.

use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, Transaction, params};
use sealpost_keys::{Minisig, SigningKey};
use sealpost_manifests::document::SignedDocument;
use sealpost_manifests::grant::{Grant, Registration};

use super::error::{AuthorityError, RegisterError, damaged, failed};
use super::serials::{self, SerialEntry};

/// Who grants, and for how long.
#[derive(Debug)]
pub struct Issuer<'a> {
    pub vendor: &'a str,
    pub key: &'a SigningKey,
    /// Days that a grant is valid.
    pub grant_days: u32,
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
    #[must_use]
    pub fn into_grant(self) -> SignedDocument {
        match self {
            Self::Issued(grant) | Self::Repeated(grant) => grant,
        }
    }
}

/// Answers a registration. The first binds the serial number to its server.
pub(super) fn answer(
    transaction: &Transaction<'_>,
    registration: &Registration,
    issuer: &Issuer<'_>,
    now: Timestamp,
) -> Result<Answer, RegisterError> {
    let entry = serials::find(transaction, &registration.serial)?.ok_or(RegisterError::UnknownSerial)?;
    if entry.server_id.as_ref().is_some_and(|bound| *bound != registration.server_id) {
        return Err(RegisterError::BoundToOtherServer);
    }
    if serials::has_other_site_key(transaction, registration)? {
        return Err(RegisterError::OtherSiteKey);
    }
    if let Some(stored) = newest(transaction, &entry)? {
        let grant = stored.verify::<Grant>(&[issuer.key.public()]).map_err(|_| damaged("a stored grant"))?;
        if entry.terms.are_those_of(&grant) && now < grant.valid_until {
            return Ok(Answer::Repeated(stored));
        }
    }
    let grant = next(&entry, registration, issuer, now)?;
    let signed = SignedDocument::sign(&grant, issuer.key).map_err(RegisterError::Sign)?;
    record(transaction, &grant, &signed)?;
    Ok(Answer::Issued(signed))
}

fn next(
    entry: &SerialEntry,
    registration: &Registration,
    issuer: &Issuer<'_>,
    now: Timestamp,
) -> Result<Grant, AuthorityError> {
    let valid_for = SignedDuration::from_hours(24 * i64::from(issuer.grant_days));
    Ok(Grant {
        vendor: issuer.vendor.to_owned(),
        serial: registration.serial.clone(),
        server_id: registration.server_id.clone(),
        site_key: registration.site_key.clone(),
        key_epoch: 1,
        epoch: 1,
        packages: entry.terms.packages.clone(),
        model: entry.terms.model,
        seats: entry.terms.seats,
        generation: entry.generation.checked_add(1).ok_or_else(|| damaged("a grant's generation"))?,
        valid_until: now.saturating_add(valid_for).unwrap_or(now),
        vendor_time: now,
    })
}

fn record(
    transaction: &Transaction<'_>,
    grant: &Grant,
    signed: &SignedDocument,
) -> Result<(), AuthorityError> {
    let generation = i64::try_from(grant.generation).map_err(|_| damaged("a grant's generation"))?;
    serials::bind(transaction, grant, generation)?;
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

fn newest(connection: &Connection, entry: &SerialEntry) -> Result<Option<SignedDocument>, AuthorityError> {
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
