//! Grants: what a registration is answered with.
//!
//! Invariants: the same request gets the same grant, byte for byte, for ever; another request of the server gets the
//! newest grant again until the terms change or its end comes near ([`notice`]); the generation of a serial's grants only
//! rises; every grant that was handed out is kept. A server's id is the one of its site key ([`check_server`]), so nobody gets
//! a grant, an epoch or a key epoch under the id of another. A key or id of a stolen server gets nothing, not even what it
//! got before. The caller's transaction holds all of it together.
//!
//! An epoch is the server's, not the serial's: a grant has the highest that any grant of its server has, and only the
//! answer to a restored server has a higher one (see `sealpost_manifests::order`).

use std::collections::BTreeSet;
use std::fmt;

use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use rusqlite::{Connection, OptionalExtension, Transaction, params};
use sealpost_keys::{Minisig, PublicKey, SigningKey};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::document::{self, SignedDocument};
use sealpost_manifests::grant::{Grant, Registration, RegistrationReason};
use sealpost_manifests::ids::{SerialNumber, ServerId};
use sealpost_manifests::order::Epoch;
use serde::Serialize;

use super::clearings;
use super::error::{AuthorityError, MAX_EPOCHS_AHEAD, MAX_NEW_PER_DAY, RegisterError, damaged, failed};
use super::registrations::{self, HeadRemark};
use super::serials::{self, SerialEntry};
use crate::notice;

/// The epoch of a server that was never restored.
const FIRST_EPOCH: Epoch = Epoch::of(1, 0);

/// Who grants, and for how long.
#[derive(Debug)]
pub struct Issuer<'a> {
    pub vendor: &'a str,
    pub key: &'a SigningKey,
    /// Days that a grant is valid, and then until the end of the day.
    pub grant_days: u32,
    /// Where that day ends.
    pub time_zone: &'a TimeZone,
}

/// What a registration was answered with.
#[derive(Debug, Clone)]
pub struct Answer {
    pub grant: SignedDocument,
    pub outcome: Outcome,
    /// When the grant ends.
    pub not_after: Timestamp,
    /// From when on a new registration gets a new grant, unless it is the last. It follows from the grant alone, so a repeated
    /// answer says the same.
    pub renewable_from: Timestamp,
    /// When the serial number ends, if that is when the grant does: nothing renews it then.
    pub last: Option<Timestamp>,
    /// What is odd about the registration, for people; it was answered all the same.
    pub remarks: Vec<Remark>,
}

/// Whether a grant was signed for a registration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The first, or one for new terms, for a restored server, or in the place of one that ends soon.
    Issued,
    /// A grant that the server got before.
    Repeated,
}

/// What a vendor should look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remark {
    Head(HeadRemark),
    /// More seats are in use than are granted.
    Over {
        used: u32,
        seats: u32,
    },
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Head(remark) => write!(f, "{remark}, and it does not say that it was restored"),
            Self::Over { used, seats } => write!(f, "{used} seats are in use, and {seats} are granted"),
        }
    }
}

/// A grant that was handed out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GrantEntry {
    pub generation: u64,
    /// In JSON the vendor's part, which is what people read of it.
    #[serde(serialize_with = "vendor_part")]
    pub epoch: Epoch,
    pub seats: u32,
    pub issued_at: Timestamp,
    pub not_after: Timestamp,
    /// The end of the serial number, as the grant says it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ends_at: Option<Timestamp>,
}

/// An epoch as the number that people read: a grant has no other part, and what a server says of its own term decides nothing here.
pub(super) fn vendor_part<S: serde::Serializer>(epoch: &Epoch, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u32(epoch.vendor())
}

/// Answers a registration. The first binds the serial number to its server.
pub(super) fn answer(
    transaction: &Transaction<'_>,
    registration: &Registration,
    issuer: &Issuer<'_>,
    now: Timestamp,
) -> Result<Answer, RegisterError> {
    if clearings::is_refused(transaction, &registration.site_key, &registration.server_id)? {
        return Err(RegisterError::RefusedKey);
    }
    let entry = serials::find(transaction, &registration.serial)?.ok_or(RegisterError::UnknownSerial)?;
    check_server(transaction, registration, &entry)?;
    if let Some(before) = registrations::answered(transaction, registration)? {
        if before.serial != registration.serial {
            return Err(RegisterError::RequestIdUsed);
        }
        let (signed, grant) = stored(transaction, &before.serial, before.generation, issuer)?;
        return Ok(Answer::of(signed, &grant, Outcome::Repeated, Vec::new()));
    }
    // The server that has it is told of the end by the grant.
    if let Some(at) = entry.ends_at.filter(|end| *end < now && entry.server_id.is_none()) {
        return Err(RegisterError::SerialEnded { at });
    }
    if let RegistrationReason::Other(reason) = registration.reason {
        return Err(RegisterError::UnknownReason { reason });
    }
    if registrations::count_within_a_day(transaction, &registration.serial, now)? >= MAX_NEW_PER_DAY {
        return Err(RegisterError::TooMany);
    }
    let highest = highest_epoch(transaction, &registration.server_id)?;
    let (signed, grant, outcome) = match newest(transaction, &entry, issuer)? {
        Some((signed, grant)) if grant.epoch == highest && still_good(&entry, registration, &grant, now) => {
            (signed, grant, Outcome::Repeated)
        }
        _ => {
            let grant = next(transaction, &entry, registration, highest, issuer, now)?;
            let signed = SignedDocument::sign(&grant, issuer.key).map_err(RegisterError::Sign)?;
            record(transaction, &grant, &signed)?;
            (signed, grant, Outcome::Issued)
        }
    };
    let head = registrations::record(transaction, registration, grant.generation, now)?;
    let used = registration.used.get(&registration.serial).copied().unwrap_or(0);
    let over = (used > grant.seats).then_some(Remark::Over { used, seats: grant.seats });
    let remarks = head.map(Remark::Head).into_iter().chain(over).collect();
    Ok(Answer::of(signed, &grant, outcome, remarks))
}

impl Answer {
    fn of(signed: SignedDocument, grant: &Grant, outcome: Outcome, remarks: Vec<Remark>) -> Self {
        let (not_after, renewable_from) = (grant.not_after, renewable_from(grant));
        let last = grant.ends_at.filter(|_| grant.is_last());
        Self { grant: signed, outcome, not_after, renewable_from, last, remarks }
    }
}

/// Sites are warned from then on, and a site that registers within that time does not lapse.
fn renewable_from(grant: &Grant) -> Timestamp {
    notice::renewable_from(grant.vendor_time, grant.not_after)
}

/// Whether the server may register the serial number.
fn check_server(
    connection: &Connection,
    registration: &Registration,
    entry: &SerialEntry,
) -> Result<(), RegisterError> {
    match &entry.server_id {
        Some(bound) if *bound != registration.server_id => return Err(RegisterError::BoundToOtherServer),
        // Nobody can claim the id of another server: not before that one has registered, and not after its binding was
        // cleared. A restored server comes with its old key, and a new server has an id of its own.
        None if registration.server_id != ServerId::of_site_key(&registration.site_key) => {
            return Err(RegisterError::NotItsOwnId);
        }
        _ => {}
    }
    if serials::has_other_site_key(connection, registration)? {
        return Err(RegisterError::OtherSiteKey);
    }
    Ok(())
}

/// Whether the newest grant is the answer, if its epoch is still the server's. Never for a restored server, which needs a higher
/// epoch, and never after the binding was cleared, which has to be made again.
fn still_good(entry: &SerialEntry, registration: &Registration, grant: &Grant, now: Timestamp) -> bool {
    registration.reason != RegistrationReason::Restored
        && entry.server_id.is_some()
        && entry.terms.are_those_of(grant)
        && entry.ends_at == grant.ends_at
        && (grant.is_last() || now < renewable_from(grant))
}

fn next(
    connection: &Connection,
    entry: &SerialEntry,
    registration: &Registration,
    highest: Epoch,
    issuer: &Issuer<'_>,
    now: Timestamp,
) -> Result<Grant, RegisterError> {
    let epoch = match registration.reason {
        RegistrationReason::Restored => {
            // The vendor's own records may be older than the server's.
            let known = highest.max(registration.epoch);
            let next = known.next_of_vendor().ok_or(RegisterError::NoHigherEpoch { epoch: known })?;
            if known.vendor().saturating_sub(highest.vendor()) > MAX_EPOCHS_AHEAD {
                return Err(RegisterError::EpochNotGranted { said: known, granted: highest });
            }
            next
        }
        _ => highest,
    };
    Ok(Grant {
        vendor: issuer.vendor.to_owned(),
        serial: registration.serial.clone(),
        server_id: registration.server_id.clone(),
        site_key: registration.site_key.clone(),
        key_epoch: key_epoch(connection, registration)?,
        epoch,
        packages: entry.terms.packages.clone(),
        model: entry.terms.model,
        seats: entry.terms.seats,
        generation: entry.generation.checked_add(1).ok_or_else(|| damaged("a grant's generation"))?,
        not_after: match (end_of_day(now, issuer)?, entry.ends_at) {
            (day, Some(end)) => day.min(end),
            (day, None) => day,
        },
        vendor_time: now,
        ends_at: entry.ends_at,
        request_id: Some(registration.request_id.clone()),
    })
}

/// The last second of the day on which a grant ends.
fn end_of_day(now: Timestamp, issuer: &Issuer<'_>) -> Result<Timestamp, AuthorityError> {
    let days = issuer.grant_days;
    let end = || -> Result<Timestamp, jiff::Error> {
        let today = now.to_zoned(issuer.time_zone.clone()).date();
        let last = today.checked_add(i64::from(days).days())?.to_zoned(issuer.time_zone.clone())?;
        Timestamp::from_second(last.end_of_day()?.timestamp().as_second())
    };
    end().map_err(|source| AuthorityError::End { days, source })
}

/// 1 for the first site key of a server, and one more for each that followed it.
fn key_epoch(connection: &Connection, registration: &Registration) -> Result<u32, AuthorityError> {
    let newest: Option<String> = connection
        .query_row(
            "SELECT document FROM grants WHERE server_id = ?1 ORDER BY rowid DESC LIMIT 1",
            [registration.server_id.as_str()],
            |row| row.get(0),
        )
        .optional()
        .map_err(failed("look a server's key up"))?;
    let Some(newest) = newest else { return Ok(1) };
    let grant: Grant = document::read(newest.as_bytes()).map_err(|_| damaged("a stored grant"))?;
    let is_new = u32::from(grant.site_key != registration.site_key);
    grant.key_epoch.checked_add(is_new).ok_or_else(|| damaged("a key epoch"))
}

/// The highest epoch in any grant of a server, whichever its serial number.
fn highest_epoch(connection: &Connection, server: &ServerId) -> Result<Epoch, AuthorityError> {
    let vendor: Option<u32> = connection
        .query_row("SELECT max(epoch_vendor) FROM grants WHERE server_id = ?1", [server.as_str()], |row| {
            row.get(0)
        })
        .map_err(failed("look a server's epoch up"))?;
    Ok(vendor.map_or(FIRST_EPOCH, |vendor| Epoch::of(vendor, 0)))
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
            "INSERT INTO grants (serial, generation, server_id, epoch_vendor, seats, issued_at, not_after, document, \
             minisig) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            params![
                grant.serial.as_str(),
                generation,
                grant.server_id.as_str(),
                grant.epoch.vendor(),
                grant.seats,
                grant.vendor_time.to_string(),
                grant.not_after.to_string(),
                signed.document,
                signed.minisig.as_str()
            ],
        )
        .map_err(failed("record a grant"))?;
    Ok(())
}

fn newest(
    connection: &Connection,
    entry: &SerialEntry,
    issuer: &Issuer<'_>,
) -> Result<Option<(SignedDocument, Grant)>, AuthorityError> {
    match entry.generation {
        0 => Ok(None),
        generation => stored(connection, &entry.serial, generation, issuer).map(Some),
    }
}

/// A grant that was handed out, as this vendor signed it.
fn stored(
    connection: &Connection,
    serial: &SerialNumber,
    generation: u64,
    issuer: &Issuer<'_>,
) -> Result<(SignedDocument, Grant), AuthorityError> {
    let generation = i64::try_from(generation).map_err(|_| damaged("a grant's generation"))?;
    let signed = connection
        .query_row(
            "SELECT document, minisig FROM grants WHERE serial = ?1 AND generation = ?2",
            params![serial.as_str(), generation],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .map_err(failed("look a grant up"))?;
    let signed = signed_document(signed)?;
    let grant = signed.verify::<Grant>(&[issuer.key.public()]).map_err(|_| damaged("a stored grant"))?;
    Ok((signed, grant.into_inner()))
}

fn signed_document((document, minisig): (String, String)) -> Result<SignedDocument, AuthorityError> {
    let minisig = Minisig::parse(&minisig).map_err(|_| damaged("a stored grant"))?;
    Ok(SignedDocument { document, minisig })
}

/// Digests of the grants that a key signed and that have not ended.
pub(super) fn live(
    connection: &Connection,
    key: &PublicKey,
    now: Timestamp,
) -> Result<BTreeSet<Sha256Digest>, AuthorityError> {
    let attempt = "list the grants";
    let mut statement = connection
        .prepare("SELECT document, minisig FROM grants WHERE not_after >= ?1")
        .map_err(failed(attempt))?;
    let rows = statement
        .query_map([now.to_string()], |row| Ok((row.get(0)?, row.get(1)?)))
        .map_err(failed(attempt))?;
    let mut digests = BTreeSet::new();
    for row in rows {
        let signed = signed_document(row.map_err(failed(attempt))?)?;
        if signed.verify::<Grant>(std::slice::from_ref(key)).is_ok() {
            digests.insert(signed.digest());
        }
    }
    Ok(digests)
}

/// Every grant of a serial number, oldest first.
pub(super) fn all(connection: &Connection, serial: &SerialNumber) -> Result<Vec<GrantEntry>, AuthorityError> {
    let attempt = "list the grants of a serial number";
    let mut statement = connection
        .prepare(
            "SELECT generation, epoch_vendor, seats, issued_at, not_after, json_extract(document, '$.ends_at') FROM grants \
             WHERE serial = ?1 ORDER BY generation",
        )
        .map_err(failed(attempt))?;
    let rows = statement
        .query_map([serial.as_str()], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?))
        })
        .map_err(failed(attempt))?;
    let time = |text: String| text.parse::<Timestamp>().map_err(|_| damaged("a time"));
    rows.map(|row| {
        let (generation, epoch, seats, issued_at, not_after, ends_at): (
            i64,
            u32,
            u32,
            String,
            String,
            Option<String>,
        ) = row.map_err(failed(attempt))?;
        Ok(GrantEntry {
            generation: u64::try_from(generation).map_err(|_| damaged("a grant's generation"))?,
            epoch: Epoch::of(epoch, 0),
            seats,
            issued_at: time(issued_at)?,
            not_after: time(not_after)?,
            ends_at: ends_at.map(time).transpose()?,
        })
    })
    .collect()
}
