//! The names that hold a seat.

use std::collections::BTreeSet;

use rusqlite::{OptionalExtension, params};
use sealpost_manifests::ids::ComputerName;
use sealpost_site::queries::{ReservedAmong, ReservedNames, page_limit};

use crate::sqlite::connection::Connected;
use crate::sqlite::values::text;
use crate::store::{Read, StoreError};

impl<C: Connected> Read<ReservedNames> for C {
    fn read(&mut self, query: &ReservedNames) -> Result<Vec<ComputerName>, StoreError> {
        let mut statement = self
            .connection()
            .prepare_cached("SELECT name FROM computers WHERE name > ?1 ORDER BY name LIMIT ?2")?;
        let after = query.after.as_ref().map_or("", ComputerName::as_str);
        let rows = statement.query_map(params![after, page_limit(Some(query.limit))], |row| text(row, 0))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }
}

impl<C: Connected> Read<ReservedAmong> for C {
    fn read(&mut self, query: &ReservedAmong) -> Result<BTreeSet<ComputerName>, StoreError> {
        let mut statement = self.connection().prepare_cached("SELECT 1 FROM computers WHERE name = ?1")?;
        let mut reserved = BTreeSet::new();
        for name in &query.names {
            if statement.query_row([name.as_str()], |_| Ok(())).optional()?.is_some() {
                reserved.insert(name.clone());
            }
        }
        Ok(reserved)
    }
}
