//! What version 9 adds: how computers tried a release, kept with each delivery.

use rusqlite::{Connection, params};
use sealpost_site::changes::chain::{ReadEntry, StoredEntry, read};

use crate::sqlite::audit::private_tables;
use crate::sqlite::open_error::OpenError;
use crate::sqlite::{entries, projections};
use crate::store::{StoreError, Walk};

/// The version that this starts from.
pub(super) const VERSION: u32 = 8;

pub(super) const STEP: &str = "
ALTER TABLE deliveries ADD COLUMN way TEXT;
ALTER TABLE deliveries ADD COLUMN bytes INTEGER;
ALTER TABLE deliveries ADD COLUMN tries INTEGER NOT NULL DEFAULT 0;
ALTER TABLE deliveries ADD COLUMN failed_step TEXT;
ALTER TABLE deliveries ADD COLUMN failed_reason TEXT;
ALTER TABLE deliveries ADD COLUMN failed_detail TEXT;
";

/// Fills the new columns with what the reports in the log say. Which delivery a report was about depends on what the computer
/// had been told by then, so that the log is replayed; a file without deliveries needs none of it. Nothing but a report of the
/// past hangs on it.
pub(super) fn fill(connection: &Connection) -> Result<(), OpenError> {
    if !connection.prepare("SELECT 1 FROM deliveries")?.exists([])? {
        return Ok(());
    }
    let replayed = private_tables()?;
    let mut failure = None;
    entries::walk(connection, &mut |stored| match apply(&replayed, &stored) {
        Ok(()) => Walk::Continue,
        Err(error) => {
            failure = Some(error);
            Walk::Stop
        }
    })?;
    if let Some(failure) = failure {
        return Err(failure.into());
    }
    copy(&replayed, connection)
}

fn apply(replayed: &Connection, stored: &StoredEntry) -> Result<(), StoreError> {
    let sequence = stored.sequence;
    match read(&stored.bytes) {
        Ok(ReadEntry::Known(entry)) => projections::apply(replayed, &entry),
        Ok(ReadEntry::Newer(newer)) => Err(StoreError::NewerEntry { sequence, kind: newer.kind }),
        Err(source) => Err(StoreError::Entry { sequence, source }),
    }
}

fn copy(from: &Connection, to: &Connection) -> Result<(), OpenError> {
    let mut tried = from.prepare(
        "SELECT rollout, bytes, tries, client_id, way, failed_step, failed_reason, failed_detail FROM deliveries \
         WHERE tries > 0",
    )?;
    let mut fill = to.prepare(
        "UPDATE deliveries SET bytes = ?2, tries = ?3, way = ?5, failed_step = ?6, failed_reason = ?7, \
         failed_detail = ?8 WHERE rollout = ?1 AND client_id = ?4",
    )?;
    let mut rows = tried.query([])?;
    while let Some(row) = rows.next()? {
        let (rollout, bytes, tries): (i64, Option<i64>, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let [client_id, way, step, reason, detail]: [Option<String>; 5] =
            [row.get(3)?, row.get(4)?, row.get(5)?, row.get(6)?, row.get(7)?];
        fill.execute(params![rollout, bytes, tries, client_id, way, step, reason, detail])?;
    }
    Ok(())
}
