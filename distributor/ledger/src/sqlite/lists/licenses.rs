//! Whose ledger it is, its licenses, its pulls and its time.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row};
use sealpost_manifests::ids::SerialNumber;
use sealpost_manifests::license_time::VendorStatement;
use sealpost_manifests::log::LogHead;
use sealpost_manifests::order::Epoch;
use sealpost_site::commands::restores::LoadAcknowledgement;
use sealpost_site::queries::{
    LastPull, LicenseTime, Licenses, LogForks, RefusedGrants, Restores, Server, StoredTime, page_limit,
};
use sealpost_site::rows::{LicenseRow, LogForkRow, PullRow, RefusedGrantRow, ServerIdentity};
use sealpost_site::rules::restore::{Acknowledged, RestoreState, Restored};

use crate::grants::{TrustedGrant, TrustedGrants};
use crate::sqlite::connection::Connected;
use crate::sqlite::granted::{epoch_of, granted, refused};
use crate::sqlite::values::{count, from_json, optional_count, optional_time, text, time};
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
        Ok(stored_time(self.connection())?)
    }
}

/// The floor of license time, and what the vendor said last.
pub(in crate::sqlite) fn stored_time(connection: &Connection) -> rusqlite::Result<StoredTime> {
    let found = connection
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

impl<C: Connected> Read<Restores> for C {
    fn read(&mut self, _: &Restores) -> Result<RestoreState, StoreError> {
        Ok(with_acknowledgement(self.connection(), self.grants())?)
    }
}

impl<C: Connected> Read<LoadAcknowledgement> for C {
    fn read(&mut self, _: &LoadAcknowledgement) -> Result<RestoreState, StoreError> {
        Ok(with_acknowledgement(self.connection(), self.grants())?)
    }
}

/// Where the ledger stands after restores, and who has seen the last one.
fn with_acknowledgement(connection: &Connection, trusted: &TrustedGrants) -> rusqlite::Result<RestoreState> {
    let mut state = restore_state(connection, trusted)?;
    if let Some(restored) = &mut state.restored {
        restored.acknowledged = connection
            .prepare_cached("SELECT acknowledged_at, acknowledged_by, acknowledgement FROM server")?
            .query_row([], |row| {
                let Some(at) = optional_time(row, 0)? else { return Ok(None) };
                Ok(Some(Acknowledged { at, by: from_json(row, 1)?, comment: row.get(2)? }))
            })?;
    }
    Ok(state)
}

/// The highest epoch of any grant that counts; 0 before the first.
pub(in crate::sqlite) fn highest_epoch(
    connection: &Connection,
    trusted: &TrustedGrants,
) -> rusqlite::Result<Epoch> {
    Ok(epoch_of(&granted(connection, trusted)?))
}

/// Names that hold a seat of a serial number: the reservations themselves, and not the count beside the grant.
pub(in crate::sqlite) fn used(connection: &Connection, serial: &SerialNumber) -> rusqlite::Result<u32> {
    connection
        .prepare_cached("SELECT count(*) FROM reservations WHERE serial = ?1")?
        .query_row([serial.as_str()], |row| row.get(0))
}

/// Where the ledger stands after restores.
pub(in crate::sqlite) fn restore_state(
    connection: &Connection,
    trusted: &TrustedGrants,
) -> rusqlite::Result<RestoreState> {
    restored(connection, highest_epoch(connection, trusted)?, trusted)
}

/// The same where the highest epoch of grants that count is known.
pub(in crate::sqlite) fn restored(
    connection: &Connection,
    epoch: Epoch,
    trusted: &TrustedGrants,
) -> rusqlite::Result<RestoreState> {
    Ok(logged(connection, trusted)?.believed(epoch))
}

/// When the last restore was found; whether the vendor confirmed it says nothing here.
pub(in crate::sqlite) fn restored_at(
    connection: &Connection,
    trusted: &TrustedGrants,
) -> rusqlite::Result<Option<Timestamp>> {
    Ok(logged(connection, trusted)?.restored.map(|restored| restored.at))
}

/// As the row says, or the log where that is stricter.
fn logged(connection: &Connection, trusted: &TrustedGrants) -> rusqlite::Result<RestoreState> {
    let found = connection
        .prepare_cached(
            "SELECT era, past_eras, restored_at, restored_epoch, resumes_until, confirmed FROM server",
        )?
        .query_row([], restore_columns)
        .optional()?;
    Ok(trusted.log().stricter(found.unwrap_or_default()))
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
            Some(Restored { at, epoch: Epoch(epoch), resumes_until, confirmed, acknowledged: None })
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
        let connection = self.connection();
        let mut granted = granted(connection, self.grants())?;
        granted.sort_by(|one, other| one.grant.serial.cmp(&other.grant.serial));
        let rows = granted.into_iter().map(|TrustedGrant { grant, .. }| {
            let used = self.used(&grant.serial)?;
            // Only shown: to count it anew would look up each computer.
            let active: u32 = connection
                .prepare_cached("SELECT active FROM grants WHERE serial = ?1")?
                .query_row([grant.serial.as_str()], |row| row.get(0))?;
            Ok(LicenseRow {
                serial: grant.serial.clone(),
                licenses: grant.seats,
                used,
                active,
                reserved: used.saturating_sub(active),
                model: grant.model,
                generation: grant.generation,
                epoch: grant.epoch,
                granted_at: grant.vendor_time,
                not_after: grant.not_after,
                ends_at: grant.ends_at,
                packages: grant.packages.clone(),
            })
        });
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }
}

impl<C: Connected> Read<RefusedGrants> for C {
    fn read(&mut self, _: &RefusedGrants) -> Result<Vec<RefusedGrantRow>, StoreError> {
        Ok(refused(self.connection(), self.grants())?)
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
