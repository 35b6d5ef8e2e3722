//! Whose ledger it is, its licenses, its pulls and its time.

use rusqlite::{Connection, OptionalExtension, Row};
use sealpost_manifests::grant::LicenseModel;
use sealpost_manifests::license_time::VendorStatement;
use sealpost_manifests::log::LogHead;
use sealpost_manifests::order::Epoch;
use sealpost_site::queries::{
    LastPull, LicenseTime, Licenses, LogForks, Restores, Server, StoredTime, page_limit,
};
use sealpost_site::rows::{LicenseRow, LogForkRow, PullRow, ServerIdentity};
use sealpost_site::rules::restore::{RestoreState, Restored};

use crate::sqlite::connection::Connected;
use crate::sqlite::values::{count, from_json, from_word, optional_count, optional_time, text, time};
use crate::store::{Read, StoreError};

impl<C: Connected> Read<Server> for C {
    fn read(&mut self, _: &Server) -> Result<Option<ServerIdentity>, StoreError> {
        let found = self
            .connection()
            .prepare_cached("SELECT server_id, site_key FROM server")?
            .query_row([], |row| Ok(ServerIdentity { server_id: text(row, 0)?, site_key: text(row, 1)? }))
            .optional()?;
        Ok(found)
    }
}

impl<C: Connected> Read<LicenseTime> for C {
    fn read(&mut self, _: &LicenseTime) -> Result<StoredTime, StoreError> {
        let found = self
            .connection()
            .prepare_cached("SELECT floor, signed_at, not_after FROM clock")?
            .query_row([], |row| {
                let statement = match (optional_time(row, 1)?, optional_time(row, 2)?) {
                    (Some(signed_at), Some(not_after)) => Some(VendorStatement::new(signed_at, not_after)),
                    _ => None,
                };
                Ok(StoredTime { floor: optional_time(row, 0)?, statement })
            })
            .optional()?;
        Ok(found.unwrap_or_default())
    }
}

impl<C: Connected> Read<Restores> for C {
    fn read(&mut self, _: &Restores) -> Result<RestoreState, StoreError> {
        Ok(restore_state(self.connection())?)
    }
}

/// The highest epoch of any grant; 0 before the first.
pub(in crate::sqlite) fn highest_epoch(connection: &Connection) -> rusqlite::Result<Epoch> {
    connection
        .prepare_cached("SELECT coalesce(max(epoch), 0) FROM grants")?
        .query_row([], |row| Ok(Epoch(count(row, 0)?)))
}

/// Where the ledger stands after restores.
pub(in crate::sqlite) fn restore_state(connection: &Connection) -> rusqlite::Result<RestoreState> {
    let found = connection
        .prepare_cached(
            "SELECT era, past_eras, restored_at, restored_epoch, resumes_until, confirmed FROM server",
        )?
        .query_row([], restore_columns)
        .optional()?;
    Ok(found.unwrap_or_default())
}

/// The first six columns of a row as the state of restores.
pub(in crate::sqlite) fn restore_columns(row: &Row<'_>) -> rusqlite::Result<RestoreState> {
    let parts = (
        optional_time(row, 2)?,
        optional_count(row, 3)?,
        optional_time(row, 4)?,
        row.get::<_, Option<bool>>(5)?,
    );
    let restored = match parts {
        (Some(at), Some(epoch), Some(resumes_until), Some(confirmed)) => {
            Some(Restored { at, epoch: Epoch(epoch), resumes_until, confirmed })
        }
        _ => None,
    };
    Ok(RestoreState { era: text(row, 0)?, past: from_json(row, 1)?, restored })
}

impl<C: Connected> Read<LogForks> for C {
    fn read(&mut self, _: &LogForks) -> Result<Vec<LogForkRow>, StoreError> {
        let rows = self
            .connection()
            .prepare_cached(
                "SELECT c.name, f.held_size, f.held_root, f.seen_size, f.seen_root, f.at FROM log_forks f \
                 JOIN clients c ON c.client_id = f.client_id ORDER BY c.name LIMIT ?1",
            )?
            .query_map([page_limit(None)], |row| {
                Ok(LogForkRow {
                    name: text(row, 0)?,
                    held: LogHead { size: count(row, 1)?, root: text(row, 2)? },
                    seen: LogHead { size: count(row, 3)?, root: text(row, 4)? },
                    at: time(row, 5)?,
                })
            })?
            .collect::<rusqlite::Result<_>>()?;
        Ok(rows)
    }
}

impl<C: Connected> Read<Licenses> for C {
    fn read(&mut self, _: &Licenses) -> Result<Vec<LicenseRow>, StoreError> {
        let rows = self
            .connection()
            .prepare_cached(
                "SELECT serial, seats, model, generation, not_after, used, active, epoch, vendor_time FROM grants ORDER BY serial",
            )?
            .query_map([], |row| {
                let (used, active): (u32, u32) = (row.get(5)?, row.get(6)?);
                Ok(LicenseRow {
                    serial: text(row, 0)?,
                    licenses: row.get(1)?,
                    used,
                    active,
                    reserved: used.saturating_sub(active),
                    model: from_word::<LicenseModel>(row, 2)?,
                    generation: count(row, 3)?,
                    epoch: Epoch(count(row, 7)?),
                    granted_at: time(row, 8)?,
                    not_after: time(row, 4)?,
                })
            })?
            .collect::<rusqlite::Result<_>>()?;
        Ok(rows)
    }
}

impl<C: Connected> Read<LastPull> for C {
    fn read(&mut self, _: &LastPull) -> Result<PullRow, StoreError> {
        let connection = self.connection();
        let row = connection
            .prepare_cached(
                "SELECT (SELECT metadata_as_of FROM freshness), (SELECT tried_at FROM freshness), \
                 (SELECT failure FROM pulls), (SELECT timestamp_version FROM pulls)",
            )?
            .query_row([], |row| {
                Ok(PullRow {
                    metadata_as_of: optional_time(row, 0)?,
                    timestamp_version: optional_count(row, 3)?,
                    tried_at: optional_time(row, 1)?,
                    failure: row.get(2)?,
                })
            })?;
        Ok(row)
    }
}
