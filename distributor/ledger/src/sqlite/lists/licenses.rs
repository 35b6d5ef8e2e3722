//! Whose ledger it is, its licenses, its pulls and its time.

use rusqlite::OptionalExtension;
use sealpost_manifests::grant::LicenseModel;
use sealpost_site::queries::{LastPull, Licenses, Server, TimeFloor};
use sealpost_site::rows::{LicenseRow, PullRow, ServerIdentity};

use crate::sqlite::connection::Connected;
use crate::sqlite::values::{count, from_word, optional_time, text, time};
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

impl<C: Connected> Read<TimeFloor> for C {
    fn read(&mut self, _: &TimeFloor) -> Result<Option<jiff::Timestamp>, StoreError> {
        let floor = self
            .connection()
            .prepare_cached(
                "SELECT max(floor) FROM (SELECT floor FROM clock UNION ALL SELECT max(vendor_time) FROM grants)",
            )?
            .query_row([], |row| optional_time(row, 0))?;
        Ok(floor)
    }
}

impl<C: Connected> Read<Licenses> for C {
    fn read(&mut self, _: &Licenses) -> Result<Vec<LicenseRow>, StoreError> {
        let rows = self
            .connection()
            .prepare_cached(
                "SELECT serial, seats, model, generation, valid_until, used, active FROM grants ORDER BY serial",
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
                    valid_until: time(row, 4)?,
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
                 (SELECT failure FROM pulls)",
            )?
            .query_row([], |row| {
                Ok(PullRow {
                    metadata_as_of: optional_time(row, 0)?,
                    tried_at: optional_time(row, 1)?,
                    failure: row.get(2)?,
                })
            })?;
        Ok(row)
    }
}
