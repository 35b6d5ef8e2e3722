//! The table of serial numbers: what was sold, and to which server each is bound.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};
use sealpost_manifests::grant::{Grant, LicenseModel, Registration};
use sealpost_manifests::ids::{PackageName, SerialNumber, ServerId};
use serde::Serialize;

use super::error::{AuthorityError, damaged, failed};
use super::terms::{MAX_SEATS, Terms};
use crate::notice;

/// A serial number as the vendor sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SerialEntry {
    pub serial: SerialNumber,
    #[serde(flatten)]
    pub terms: Terms,
    pub created_at: Timestamp,
    /// When it ends, or ended; `None` while it has no end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ends_at: Option<Timestamp>,
    /// The server that it is bound to, once it has registered.
    pub server_id: Option<ServerId>,
    /// The server that it was bound to until the vendor cleared that; the next registration binds it again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cleared_from: Option<ServerId>,
    /// The generation of the newest grant; 0 before the first.
    pub generation: u64,
    /// When the newest grant ends.
    pub not_after: Option<Timestamp>,
    /// From when on a registration gets a new one; `None` where the serial number itself ends no later than the grant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub renewable_from: Option<Timestamp>,
    /// Seats in use, as the server said when it registered last.
    pub used: Option<u32>,
    /// When it said so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub used_at: Option<Timestamp>,
}

pub(super) fn insert(
    connection: &Connection,
    serial: &SerialNumber,
    terms: &Terms,
    now: Timestamp,
) -> Result<(), AuthorityError> {
    check_seats(terms.seats)?;
    if terms.model != LicenseModel::Named {
        return Err(AuthorityError::Model { model: terms.model });
    }
    let packages: Vec<&str> = terms.packages.iter().map(PackageName::as_str).collect();
    connection
        .execute(
            "INSERT INTO serials (serial, seats, model, packages, created_at) VALUES (?1, ?2, ?3, ?4, ?5)",
            params![
                serial.as_str(),
                terms.seats,
                terms.model.to_string(),
                packages.join(","),
                now.to_string()
            ],
        )
        .map_err(failed("record a serial number"))?;
    Ok(())
}

pub(super) fn set_seats(
    connection: &Connection,
    serial: &SerialNumber,
    seats: u32,
) -> Result<(), AuthorityError> {
    check_seats(seats)?;
    let changed = connection
        .execute("UPDATE serials SET seats = ?2 WHERE serial = ?1", params![serial.as_str(), seats])
        .map_err(failed("change the seats of a serial number"))?;
    if changed == 1 { Ok(()) } else { Err(AuthorityError::UnknownSerial) }
}

/// Sets when a serial number ends, or that it has no end.
pub(super) fn set_end(
    connection: &Connection,
    serial: &SerialNumber,
    end: Option<Timestamp>,
) -> Result<(), AuthorityError> {
    let end = end.map(|end| end.to_string());
    let changed = connection
        .execute("UPDATE serials SET ends_at = ?2 WHERE serial = ?1", params![serial.as_str(), end])
        .map_err(failed("change the end of a serial number"))?;
    if changed == 1 { Ok(()) } else { Err(AuthorityError::UnknownSerial) }
}

/// Every serial number, oldest first.
pub(super) fn all(connection: &Connection) -> Result<Vec<SerialEntry>, AuthorityError> {
    let attempt = "list the serial numbers";
    let mut statement = connection
        .prepare(
            "SELECT s.serial, s.seats, s.model, s.packages, s.created_at, s.server_id, s.generation, \
             g.issued_at, g.not_after, \
             (SELECT r.used FROM registrations r WHERE r.serial = s.serial ORDER BY r.number DESC LIMIT 1), \
             s.cleared_at, s.ends_at, \
             (SELECT r.answered_at FROM registrations r WHERE r.serial = s.serial ORDER BY r.number DESC LIMIT 1) \
             FROM serials s LEFT JOIN grants g ON g.serial = s.serial AND g.generation = s.generation \
             ORDER BY s.rowid",
        )
        .map_err(failed(attempt))?;
    let rows = statement.query_map([], SerialRow::read).map_err(failed(attempt))?;
    rows.map(|row| row.map_err(failed(attempt))?.into_entry()).collect()
}

/// One serial number, without the end of its grant and without what is used.
pub(super) fn find(
    connection: &Connection,
    serial: &SerialNumber,
) -> Result<Option<SerialEntry>, AuthorityError> {
    connection
        .query_row(
            "SELECT serial, seats, model, packages, created_at, server_id, generation, NULL, NULL, \
             NULL, cleared_at, ends_at, NULL FROM serials WHERE serial = ?1",
            [serial.as_str()],
            SerialRow::read,
        )
        .optional()
        .map_err(failed("look a serial number up"))?
        .map(SerialRow::into_entry)
        .transpose()
}

/// Whether the server is known under another site key: it has one, whichever serial number it came with.
pub(super) fn has_other_site_key(
    connection: &Connection,
    registration: &Registration,
) -> Result<bool, AuthorityError> {
    let other: Option<i64> = connection
        .query_row(
            "SELECT 1 FROM serials WHERE server_id = ?1 AND site_key <> ?2 AND cleared_at IS NULL LIMIT 1",
            params![registration.server_id.as_str(), registration.site_key.to_base64()],
            |row| row.get(0),
        )
        .optional()
        .map_err(failed("look a server up"))?;
    Ok(other.is_some())
}

/// Binds a serial number to the server of its newest grant.
pub(super) fn bind(connection: &Connection, grant: &Grant, generation: i64) -> Result<(), AuthorityError> {
    connection
        .execute(
            "UPDATE serials SET server_id = ?2, site_key = ?3, generation = ?4, cleared_at = NULL WHERE serial = ?1",
            params![grant.serial.as_str(), grant.server_id.as_str(), grant.site_key.to_base64(), generation],
        )
        .map_err(failed("bind a serial number"))?;
    Ok(())
}

/// From when on a grant is renewed that is good from one time to another; never, if the serial number ends no later.
pub(super) fn renewable(end: Option<Timestamp>, from: Timestamp, until: Timestamp) -> Option<Timestamp> {
    let is_last = end.is_some_and(|end| end <= until);
    (!is_last).then(|| notice::renewable_from(from, until))
}

fn check_seats(seats: u32) -> Result<(), AuthorityError> {
    if (1..=MAX_SEATS).contains(&seats) { Ok(()) } else { Err(AuthorityError::Seats { seats }) }
}

/// A row as it is stored, not parsed yet.
struct SerialRow {
    serial: String,
    seats: u32,
    model: String,
    packages: String,
    created_at: String,
    server_id: Option<String>,
    generation: i64,
    issued_at: Option<String>,
    not_after: Option<String>,
    used: Option<u32>,
    cleared_at: Option<String>,
    ends_at: Option<String>,
    used_at: Option<String>,
}

impl SerialRow {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            serial: row.get(0)?,
            seats: row.get(1)?,
            model: row.get(2)?,
            packages: row.get(3)?,
            created_at: row.get(4)?,
            server_id: row.get(5)?,
            generation: row.get(6)?,
            issued_at: row.get(7)?,
            not_after: row.get(8)?,
            used: row.get(9)?,
            cleared_at: row.get(10)?,
            ends_at: row.get(11)?,
            used_at: row.get(12)?,
        })
    }

    fn into_entry(self) -> Result<SerialEntry, AuthorityError> {
        let model: LicenseModel = self.model.parse().map_err(|_| damaged("a license model"))?;
        let names = self.packages.split(',').filter(|name| !name.is_empty());
        let packages: Result<Vec<_>, _> = names.map(PackageName::new).collect();
        let time = |text: &str| text.parse::<Timestamp>().map_err(|_| damaged("a time"));
        let server = self.server_id.map(ServerId::new).transpose().map_err(|_| damaged("a server id"))?;
        let (server_id, cleared_from) =
            if self.cleared_at.is_some() { (None, server) } else { (server, None) };
        let issued_at = self.issued_at.as_deref().map(time).transpose()?;
        let not_after = self.not_after.as_deref().map(time).transpose()?;
        let ends_at = self.ends_at.as_deref().map(time).transpose()?;
        Ok(SerialEntry {
            serial: SerialNumber::new(&self.serial).map_err(|_| damaged("a serial number"))?,
            terms: Terms {
                seats: self.seats,
                model,
                packages: packages.map_err(|_| damaged("a package name"))?,
            },
            created_at: time(&self.created_at)?,
            ends_at,
            server_id,
            cleared_from,
            generation: u64::try_from(self.generation).map_err(|_| damaged("a grant's generation"))?,
            not_after,
            renewable_from: issued_at
                .zip(not_after)
                .and_then(|(from, until)| renewable(ends_at, from, until)),
            used: self.used,
            used_at: self.used_at.as_deref().filter(|_| self.used.is_some()).map(time).transpose()?,
        })
    }
}
