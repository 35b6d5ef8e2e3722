//! Setup files: the newest of each name.

use rusqlite::params;
use sealpost_manifests::ids::ComputerName;
use sealpost_site::queries::{Setups, page_limit};
use sealpost_site::rows::SetupRow;
use sealpost_site::rules::setups::CodeState;

use crate::sqlite::connection::Connected;
use crate::sqlite::lists::licenses::restored_at;
use crate::sqlite::restored::setup_end;
use crate::sqlite::values::{micros, text, time};
use crate::store::{Read, StoreError};

/// As `CodeState::of` says; `?2` is a state or null, `?3` the time.
const BY_NAME: &str = concat!(
    "SELECT name, issued_at, ends, used FROM (SELECT s.name, s.issued_at, ",
    setup_end!("?5"),
    " AS ends, s.used_by IS NOT NULL AS used FROM setups s WHERE s.admitted_key IS NULL AND s.name > ?1) \
     WHERE ?2 IS NULL OR ?2 = CASE WHEN used THEN 'used' WHEN ends < ?3 THEN 'expired' ELSE 'out' END \
     ORDER BY name LIMIT ?4"
);

impl<C: Connected> Read<Setups> for C {
    fn read(&mut self, query: &Setups) -> Result<Vec<SetupRow>, StoreError> {
        let after = query.after.as_ref().map_or("", ComputerName::as_str);
        let state = query.state.map(|state| match state {
            CodeState::Out => "out",
            CodeState::Used => "used",
            CodeState::Expired => "expired",
        });
        let restored_at = restored_at(self.connection(), self.grants())?.map(micros);
        let mut statement = self.connection().prepare_cached(BY_NAME)?;
        let values = params![after, state, micros(query.now), page_limit(Some(query.limit)), restored_at];
        let rows = statement.query_map(values, |row| {
            Ok(SetupRow {
                name: text(row, 0)?,
                issued_at: time(row, 1)?,
                expires_at: time(row, 2)?,
                used: row.get(3)?,
            })
        })?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }
}
