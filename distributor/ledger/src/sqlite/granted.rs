//! The grants of the ledger that count, as their signed texts say.

use rusqlite::{Connection, OptionalExtension, Row};
use sealpost_manifests::document::{self, SignedDocument};
use sealpost_manifests::grant::Grant;
use sealpost_manifests::ids::SerialNumber;
use sealpost_manifests::order::Epoch;
use sealpost_site::commands::contact::RaisedGrant;
use sealpost_site::rows::RefusedGrantRow;
use sealpost_site::rules::grants::{GrantFlaw, HeldGrant};
use sealpost_site::rules::vendor_time::GrantedTimes;

use super::values::{integer, micros};
use crate::grants::{TrustedGrant, TrustedGrants};

/// The grants that count, in the order in which their serial numbers came.
pub(super) fn granted(
    connection: &Connection,
    trusted: &TrustedGrants,
) -> rusqlite::Result<Vec<TrustedGrant>> {
    let mut statement =
        connection.prepare_cached("SELECT serial, document FROM grants ORDER BY accepted_sequence")?;
    let mut rows = statement.query([])?;
    let mut granted = Vec::new();
    while let Some(row) = rows.next()? {
        granted.extend(trusted.check_text(&lossy(row, 0)?, &lossy(row, 1)?).ok());
    }
    Ok(granted)
}

/// The times of the grants that count.
pub(super) fn granted_times(
    connection: &Connection,
    trusted: &TrustedGrants,
) -> rusqlite::Result<Vec<GrantedTimes>> {
    Ok(granted(connection, trusted)?.iter().map(|trusted| GrantedTimes::of(&trusted.grant)).collect())
}

/// The highest epoch of grants that count; 0 before the first.
pub(super) fn epoch_of(granted: &[TrustedGrant]) -> Epoch {
    granted.iter().map(|trusted| trusted.grant.epoch).max().unwrap_or_default()
}

/// Of grants with several epochs one of the highest.
pub(super) fn raised(granted: &[TrustedGrant]) -> Option<RaisedGrant> {
    let TrustedGrant { grant: highest, document, digest } =
        granted.iter().max_by_key(|trusted| (trusted.grant.epoch, &trusted.grant.serial))?;
    let differ = granted.iter().any(|trusted| trusted.grant.epoch < highest.epoch);
    differ.then(|| RaisedGrant { document: document.clone(), digest: *digest })
}

/// The highest epoch that any row claims, whether it counts or not: for what must not be lower than it was.
pub(super) fn claimed_epoch(connection: &Connection) -> rusqlite::Result<Epoch> {
    let mut statement = connection.prepare_cached("SELECT epoch, document FROM grants")?;
    let mut rows = statement.query([])?;
    let mut highest = Epoch::default();
    while let Some(row) = rows.next()? {
        let column = u64::try_from(row.get::<_, i64>(0)?).map_or_else(|_| Epoch::default(), Epoch);
        let said = serde_json::from_str::<SignedDocument>(&lossy(row, 1)?).ok();
        let said = said.and_then(|signed| document::read::<Grant>(signed.document.as_bytes()).ok());
        highest = highest.max(column).max(said.map_or_else(Epoch::default, |grant| grant.epoch));
    }
    Ok(highest)
}

/// Columns of a row, in the order of [`Columns::of`].
const COLUMNS: &str =
    "SELECT serial, document, generation, epoch, seats, model, not_after, vendor_time, digest FROM grants";

/// What is held of a serial number. A row that does not count only says what a new grant must not be below.
pub(super) fn held(
    connection: &Connection,
    serial: &SerialNumber,
    trusted: &TrustedGrants,
) -> rusqlite::Result<Option<HeldGrant>> {
    connection
        .prepare_cached(&format!("{COLUMNS} WHERE serial = ?1"))?
        .query_row([serial.as_str()], |row| {
            let stored = Columns::of(row)?;
            Ok(match trusted.check_text(serial.as_str(), &lossy(row, 1)?) {
                Ok(TrustedGrant { grant, digest, .. }) => HeldGrant {
                    generation: grant.generation,
                    epoch: grant.epoch,
                    digest: (stored == Columns::in_text(&grant, digest.to_string())).then_some(digest),
                    not_after: grant.not_after,
                },
                Err(_) => HeldGrant {
                    generation: u64::try_from(stored.generation).unwrap_or(0),
                    epoch: Epoch(u64::try_from(stored.epoch).unwrap_or(0)),
                    digest: None,
                    not_after: jiff::Timestamp::from_microsecond(stored.not_after)
                        .unwrap_or(jiff::Timestamp::UNIX_EPOCH),
                },
            })
        })
        .optional()
}

/// The rows that do not count, or whose columns say something else than the signed text.
pub(super) fn refused(
    connection: &Connection,
    trusted: &TrustedGrants,
) -> rusqlite::Result<Vec<RefusedGrantRow>> {
    let mut statement = connection.prepare_cached(&format!("{COLUMNS} ORDER BY serial"))?;
    let mut rows = statement.query([])?;
    let mut refused = Vec::new();
    while let Some(row) = rows.next()? {
        let (serial, stored) = (lossy(row, 0)?, Columns::of(row)?);
        let flaw = match trusted.check_text(&serial, &lossy(row, 1)?) {
            Ok(TrustedGrant { grant, digest, .. }) => {
                stored.differs_from(&Columns::in_text(&grant, digest.to_string()))
            }
            Err(flaw) => Some(flaw),
        };
        refused.extend(flaw.map(|flaw| RefusedGrantRow { serial, flaw }));
    }
    Ok(refused)
}

/// What stands beside the text for searches, and decides nothing.
#[derive(Debug, PartialEq, Eq)]
struct Columns {
    generation: i64,
    epoch: i64,
    seats: i64,
    model: String,
    not_after: i64,
    vendor_time: i64,
    digest: String,
}

impl Columns {
    fn of(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            generation: row.get(2)?,
            epoch: row.get(3)?,
            seats: row.get(4)?,
            model: lossy(row, 5)?,
            not_after: row.get(6)?,
            vendor_time: row.get(7)?,
            digest: lossy(row, 8)?,
        })
    }

    fn in_text(grant: &Grant, digest: String) -> Self {
        Self {
            generation: integer(grant.generation),
            epoch: integer(grant.epoch.0),
            seats: i64::from(grant.seats),
            model: grant.model.as_str().to_owned(),
            not_after: micros(grant.not_after),
            vendor_time: micros(grant.vendor_time),
            digest,
        }
    }

    /// The first column that is not as the text says.
    fn differs_from(&self, text: &Self) -> Option<GrantFlaw> {
        let numbers = [
            ("generation", self.generation, text.generation),
            ("epoch", self.epoch, text.epoch),
            ("seats", self.seats, text.seats),
            ("not_after", self.not_after, text.not_after),
            ("vendor_time", self.vendor_time, text.vendor_time),
        ];
        let words = [("model", &self.model, &text.model), ("digest", &self.digest, &text.digest)];
        let numbers =
            numbers.iter().map(|(column, stored, said)| (*column, stored.to_string(), said.to_string()));
        let words = words.iter().map(|(column, stored, said)| (*column, (*stored).clone(), (*said).clone()));
        let mut all = numbers.chain(words);
        let (column, stored, said) = all.find(|(_, stored, said)| stored != said)?;
        Some(GrantFlaw::Edited { column, stored, said })
    }
}

/// A text of which nothing is known: bytes that are no text cannot fail the whole answer.
pub(super) fn lossy(row: &Row<'_>, column: usize) -> rusqlite::Result<String> {
    Ok(String::from_utf8_lossy(row.get_ref(column)?.as_bytes_or_null()?.unwrap_or_default()).into_owned())
}
