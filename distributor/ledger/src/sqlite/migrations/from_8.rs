//! What version 9 adds: how computers tried a release, kept with each delivery.

use rusqlite::{Connection, params};
use sealpost_files::with_causes;
use sealpost_site::changes::Change;
use sealpost_site::changes::chain::{ReadEntry, StoredEntry, read};
use sealpost_site::changes::tries::Reported;

use crate::sqlite::audit::private_tables;
use crate::sqlite::open_error::OpenError;
use crate::sqlite::{deliveries, entries, projections};
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

/// Kinds of entries on which no delivery hangs: most of a log. They are not read.
const PASSED_OVER: [&str; 9] = [
    "lease_issued",
    "drift_reported",
    "metadata_pulled",
    "pull_failed",
    "delta_made",
    "refused",
    "unknown_computer_seen",
    "admin_token_used",
    "server_operated",
];

/// Fills the new columns with what the reports in the log say. Which delivery a report was about depends on what the computer
/// had been told by then, so that the log is replayed, as far as deliveries hang on it; a file without deliveries needs none of
/// it. Nothing but a report of the past hangs on it: a log that cannot be replayed keeps nobody from starting.
///
/// # Errors
/// What failed in the file itself: SQLite may have rolled back every step by then.
pub(super) fn fill(connection: &Connection) -> Result<(), OpenError> {
    if !connection.prepare("SELECT 1 FROM deliveries")?.exists([])? {
        return Ok(());
    }
    let entries: Option<i64> =
        connection.query_row("SELECT max(sequence) FROM activity", [], |row| row.get(0))?;
    tracing::info!(entries, "brings the ledger up: reads the log for how computers tried earlier releases");
    match replay(connection)? {
        Ok(replayed) => copy(&replayed, connection),
        Err(error) => {
            tracing::warn!(
                error = %with_causes(&error),
                "how computers tried earlier releases is not known: the log cannot be replayed; see `distributor log verify`"
            );
            Ok(())
        }
    }
}

/// The deliveries that the log makes, in tables of their own, or why it makes none.
fn replay(connection: &Connection) -> Result<Result<Connection, StoreError>, OpenError> {
    let replayed = match private_tables() {
        Ok(replayed) => replayed,
        Err(error) => return Ok(Err(error.into())),
    };
    let mut failure = None;
    entries::walk(connection, &mut |stored| match apply(&replayed, &stored) {
        Ok(()) => Walk::Continue,
        Err(error) => {
            failure = Some(error);
            Walk::Stop
        }
    })?;
    Ok(failure.map_or(Ok(replayed), Err))
}

fn apply(replayed: &Connection, stored: &StoredEntry) -> Result<(), StoreError> {
    if PASSED_OVER.contains(&stored.found_by.kind.as_str()) {
        return Ok(());
    }
    let sequence = stored.sequence;
    let entry = match read(&stored.bytes) {
        Ok(ReadEntry::Known(entry)) => entry,
        Ok(ReadEntry::Newer(newer)) => return Err(StoreError::NewerEntry { sequence, kind: newer.kind }),
        Err(source) => return Err(StoreError::Entry { sequence, source }),
    };
    match &entry.change {
        // Without what else they leave: of computers only the deliveries are wanted.
        Change::AssignmentChanged { client_id, deliveries: steps, .. } => {
            steps.iter().try_for_each(|step| deliveries::moved_on(replayed, &entry, client_id, step))
        }
        Change::StepReported { client_id, report, effect, delivery } => {
            let reported = Reported::of(report, *effect);
            deliveries::reported(replayed, &entry, client_id, reported.as_ref(), delivery.as_ref())
        }
        _ => projections::apply(replayed, &entry),
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
