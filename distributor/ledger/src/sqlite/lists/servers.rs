//! The ways to this server, and who learned them.

use rusqlite::{Connection, OptionalExtension, Row, params};
use sealpost_site::queries::{LeftBehind, ServersLearned};
use sealpost_site::rows::{KnownServerList, LeftBehindRow, ServersLearnedRow, WAITING_NAMES};

use super::licenses::{highest_epoch, restore_state};
use crate::sqlite::connection::Connected;
use crate::sqlite::values::{
    count, integer, micros, optional_count, optional_from_json, optional_time, text,
};
use crate::store::{Read, StoreError};

/// Enrolled computers that did not say that they hold the list of the order (?1, ?2). All of them (?3) while the ledger is
/// not confirmed after a restore: what they hold may be another list of that order, which this ledger has lost.
const WAITING: &str = "FROM clients c LEFT JOIN contacts k ON k.client_id = c.client_id \
     WHERE ?3 OR k.list_epoch IS NULL OR (k.list_epoch, k.list_sequence) < (?1, ?2)";

/// Enrolled computers that said of no list from the sequence ?1 on that they hold it, and were not heard after ?2. A list
/// counts if its epoch is above ?3, that of the last restore; if that is `NULL`, there was none, and every list counts.
const LEFT_BEHIND: &str = "FROM clients c LEFT JOIN contacts k ON k.client_id = c.client_id \
     WHERE (coalesce(k.list_sequence, 0) < ?1 OR (?3 IS NOT NULL AND k.list_epoch <= ?3)) \
     AND coalesce(k.at, c.enrolled_at) <= ?2";

impl<C: Connected> Read<ServersLearned> for C {
    fn read(&mut self, _: &ServersLearned) -> Result<Option<ServersLearnedRow>, StoreError> {
        let connection = self.connection();
        let Some(list) = known_list(connection)? else { return Ok(None) };
        let order = list.order(highest_epoch(connection, self.grants())?);
        let (epoch, sequence) = (integer(order.epoch.0), integer(order.sequence));
        let all = restore_state(connection, self.grants())?.unconfirmed().is_some();
        let waiting = connection
            .prepare_cached(&format!("SELECT count(*) {WAITING}"))?
            .query_row(params![epoch, sequence, all], |row| count(row, 0))?;
        let names = connection
            .prepare_cached(&format!("SELECT c.name {WAITING} ORDER BY c.name LIMIT ?4"))?
            .query_map(params![epoch, sequence, all, WAITING_NAMES], |row| text(row, 0))?
            .collect::<rusqlite::Result<_>>()?;
        let KnownServerList { issued_at, ways, .. } = list;
        Ok(Some(ServersLearnedRow { order, issued_at, ways, waiting, names }))
    }
}

impl<C: Connected> Read<LeftBehind> for C {
    fn read(&mut self, query: &LeftBehind) -> Result<LeftBehindRow, StoreError> {
        let connection = self.connection();
        let (sequence, since) = (integer(query.sequence), micros(query.since));
        let lost =
            restore_state(connection, self.grants())?.restored.map(|restored| integer(restored.epoch.0));
        let count = connection
            .prepare_cached(&format!("SELECT count(*) {LEFT_BEHIND}"))?
            .query_row(params![sequence, since, lost], |row| count(row, 0))?;
        let names = connection
            .prepare_cached(&format!("SELECT c.name {LEFT_BEHIND} ORDER BY c.name LIMIT ?4"))?
            .query_map(params![sequence, since, lost, WAITING_NAMES], |row| text(row, 0))?
            .collect::<rusqlite::Result<_>>()?;
        Ok(LeftBehindRow { count, names })
    }
}

/// The newest list.
pub(in crate::sqlite) fn known_list(connection: &Connection) -> rusqlite::Result<Option<KnownServerList>> {
    let found = connection
        .prepare_cached("SELECT sequence, issued_at, ways FROM server_list")?
        .query_row([], |row| server_list(row, 0))
        .optional()?;
    Ok(found.flatten())
}

/// A list in three columns, from this one on.
pub(in crate::sqlite) fn server_list(
    row: &Row<'_>,
    column: usize,
) -> rusqlite::Result<Option<KnownServerList>> {
    let sequence = optional_count(row, column)?;
    let issued_at = optional_time(row, column + 1)?;
    Ok(match (sequence, issued_at, optional_from_json(row, column + 2)?) {
        (Some(sequence), Some(issued_at), Some(ways)) => {
            Some(KnownServerList::new(sequence, issued_at, ways))
        }
        _ => None,
    })
}
