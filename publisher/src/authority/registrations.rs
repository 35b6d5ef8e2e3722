//! The table of registrations: what each server said of itself, and what it was answered with.
//!
//! Invariants: a registration is recorded once, with its answer, in the transaction that gives the answer; what is odd
//! about it is judged then, and recorded too. Nothing here refuses a license: what is odd is shown to people.

use std::fmt;

use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, OptionalExtension, Row, params};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::grant::{Registration, RegistrationReason};
use sealpost_manifests::ids::{RequestId, SerialNumber};
use sealpost_manifests::log::LogHead;
use sealpost_manifests::order::Epoch;
use serde::Serialize;

use super::error::{AuthorityError, RegisterError, damaged, failed};

/// The time within which new registrations are counted.
const DAY: SignedDuration = SignedDuration::from_hours(24);

/// A registration as it was recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RegistrationEntry {
    pub request_id: RequestId,
    pub answered_at: Timestamp,
    pub reason: RegistrationReason,
    /// The generation of the grant that it was answered with.
    pub generation: u64,
    /// The epoch that the server said; in JSON the vendor's part.
    #[serde(serialize_with = "super::grants::vendor_part")]
    pub epoch: Epoch,
    /// The head of the server's log, which the vendor witnesses by keeping it.
    pub ledger_head: LogHead,
    /// Seats in use, as the server said; `None` if it said nothing of this serial number.
    pub used: Option<u32>,
    /// Seats that the grant granted.
    pub seats: u32,
    /// What is odd about its log.
    pub remark: Option<HeadRemark>,
}

impl RegistrationEntry {
    /// Whether more seats are in use than were granted.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.used.is_some_and(|used| used > self.seats)
    }
}

/// What is odd about the head of a server's log, next to the one that it showed before. Its ledger may have been
/// restored without saying so, or rewritten.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum HeadRemark {
    /// It has fewer entries.
    HeadSmaller,
    /// It has as many entries, and others.
    HeadDiffers,
}

impl HeadRemark {
    const ALL: [Self; 2] = [Self::HeadSmaller, Self::HeadDiffers];

    const fn code(self) -> &'static str {
        match self {
            Self::HeadSmaller => "head_smaller",
            Self::HeadDiffers => "head_differs",
        }
    }
}

impl fmt::Display for HeadRemark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::HeadSmaller => "the server's log has fewer entries than at its last registration",
            Self::HeadDiffers => "the server's log has other entries than at its last registration",
        })
    }
}

/// What a request was answered with before.
pub(super) struct Answered {
    pub(super) serial: SerialNumber,
    pub(super) generation: u64,
}

/// The answer that a request got, by its id.
pub(super) fn answered(
    connection: &Connection,
    registration: &Registration,
) -> Result<Option<Answered>, AuthorityError> {
    let found: Option<(String, i64)> = connection
        .query_row(
            "SELECT serial, generation FROM registrations WHERE server_id = ?1 AND request_id = ?2",
            params![registration.server_id.as_str(), registration.request_id.as_str()],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .optional()
        .map_err(failed("look a registration up"))?;
    let parsed = found.map(|(serial, generation)| {
        Ok(Answered {
            serial: SerialNumber::new(serial).map_err(|_| damaged("a serial number"))?,
            generation: u64::try_from(generation).map_err(|_| damaged("a grant's generation"))?,
        })
    });
    parsed.transpose()
}

/// Registrations of a serial number that were answered within a day of `now`, before or after: the clock may have been
/// set.
pub(super) fn count_within_a_day(
    connection: &Connection,
    serial: &SerialNumber,
    now: Timestamp,
) -> Result<u32, AuthorityError> {
    let text = |time: Result<Timestamp, jiff::Error>, end: Timestamp| time.unwrap_or(end).to_string();
    connection
        .query_row(
            "SELECT count(*) FROM registrations WHERE serial = ?1 AND answered_at > ?2 AND answered_at < ?3",
            params![
                serial.as_str(),
                text(now.checked_sub(DAY), Timestamp::MIN),
                text(now.checked_add(DAY), Timestamp::MAX)
            ],
            |row| row.get(0),
        )
        .map_err(failed("count registrations"))
}

/// Records a registration and its answer; answers with what is odd about its log.
pub(super) fn record(
    connection: &Connection,
    registration: &Registration,
    generation: u64,
    now: Timestamp,
) -> Result<Option<HeadRemark>, RegisterError> {
    let head = &registration.ledger_head;
    let size = i64::try_from(head.size).map_err(|_| RegisterError::Head { size: head.size })?;
    let generation = i64::try_from(generation).map_err(|_| damaged("a grant's generation"))?;
    let remark = match registration.reason {
        // The server says itself that its log went back.
        RegistrationReason::Restored => None,
        _ => last_head(connection, registration)?.and_then(|last| remark(head, &last)),
    };
    connection
        .execute(
            "INSERT INTO registrations (server_id, request_id, serial, generation, answered_at, reason, \
             epoch_vendor, epoch_term, head_size, head_root, remark, used, sealing_key) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
            params![
                registration.server_id.as_str(),
                registration.request_id.as_str(),
                registration.serial.as_str(),
                generation,
                now.to_string(),
                registration.reason.as_str(),
                registration.epoch.vendor(),
                registration.epoch.term(),
                size,
                head.root.to_string(),
                remark.map(HeadRemark::code),
                registration.used.get(&registration.serial),
                registration.sealing_key.to_string(),
            ],
        )
        .map_err(failed("record a registration"))?;
    Ok(remark)
}

fn remark(head: &LogHead, last: &LogHead) -> Option<HeadRemark> {
    if head.size < last.size {
        Some(HeadRemark::HeadSmaller)
    } else {
        (head.size == last.size && head.root != last.root).then_some(HeadRemark::HeadDiffers)
    }
}

/// The head that the server showed last, whichever of its serial numbers it registered.
fn last_head(
    connection: &Connection,
    registration: &Registration,
) -> Result<Option<LogHead>, AuthorityError> {
    let found: Option<(i64, String)> = connection
        .query_row(
            "SELECT head_size, head_root FROM registrations WHERE server_id = ?1 ORDER BY number DESC LIMIT 1",
            [registration.server_id.as_str()],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .optional()
        .map_err(failed("look a server's log up"))?;
    found.map(|(size, root)| head_of(size, &root)).transpose()
}

/// Every registration of a serial number, oldest first.
pub(super) fn all(
    connection: &Connection,
    serial: &SerialNumber,
) -> Result<Vec<RegistrationEntry>, AuthorityError> {
    let attempt = "list the registrations of a serial number";
    let mut statement = connection
        .prepare(
            "SELECT r.request_id, r.answered_at, r.reason, r.generation, r.epoch_vendor, r.epoch_term, r.head_size, \
             r.head_root, r.used, g.seats, r.remark \
             FROM registrations r JOIN grants g ON g.serial = r.serial AND g.generation = r.generation \
             WHERE r.serial = ?1 ORDER BY r.number",
        )
        .map_err(failed(attempt))?;
    let rows = statement.query_map([serial.as_str()], RegistrationRow::read).map_err(failed(attempt))?;
    rows.map(|row| row.map_err(failed(attempt))?.into_entry()).collect()
}

/// A row as it is stored, not parsed yet.
struct RegistrationRow {
    request_id: String,
    answered_at: String,
    reason: String,
    generation: i64,
    epoch: (u32, u32),
    head: (i64, String),
    used: Option<u32>,
    seats: u32,
    remark: Option<String>,
}

impl RegistrationRow {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            request_id: row.get(0)?,
            answered_at: row.get(1)?,
            reason: row.get(2)?,
            generation: row.get(3)?,
            epoch: (row.get(4)?, row.get(5)?),
            head: (row.get(6)?, row.get(7)?),
            used: row.get(8)?,
            seats: row.get(9)?,
            remark: row.get(10)?,
        })
    }

    fn into_entry(self) -> Result<RegistrationEntry, AuthorityError> {
        let remark = self.remark.map(|code| {
            let known = HeadRemark::ALL.into_iter().find(|remark| remark.code() == code);
            known.ok_or_else(|| damaged("a registration's remark"))
        });
        Ok(RegistrationEntry {
            request_id: RequestId::new(self.request_id).map_err(|_| damaged("a request id"))?,
            answered_at: self.answered_at.parse().map_err(|_| damaged("a time"))?,
            reason: self.reason.parse().map_err(|_| damaged("a registration's reason"))?,
            generation: u64::try_from(self.generation).map_err(|_| damaged("a grant's generation"))?,
            epoch: Epoch::of(self.epoch.0, self.epoch.1),
            ledger_head: head_of(self.head.0, &self.head.1)?,
            used: self.used,
            seats: self.seats,
            remark: remark.transpose()?,
        })
    }
}

fn head_of(size: i64, root: &str) -> Result<LogHead, AuthorityError> {
    let size = u64::try_from(size).map_err(|_| damaged("a log's head"))?;
    let root: Sha256Digest = root.parse().map_err(|_| damaged("a log's head"))?;
    Ok(LogHead { size, root })
}
