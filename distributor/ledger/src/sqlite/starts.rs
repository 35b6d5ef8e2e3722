//! When servers ran over a ledger, as its rows and its log tell.
//!
//! Invariant: it looks at few entries, by their kind; no log is too long for a start.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};
use sealpost_site::changes::chain::{ReadEntry, read};
use sealpost_site::changes::outages::{RESTORED, SAYING, outage};
use sealpost_site::changes::summary::kinds_of_a_server;
use sealpost_site::commands::starts::{LOOKED_BACK, LoadStart};
use sealpost_site::rules::rollouts::outages::{MOST, Outage, Signs};

use super::connection::Connected;
use super::values::{micros, optional_time, time};
use crate::store::{Read, StoreError};

impl<C: Connected> Read<LoadStart> for C {
    fn read(&mut self, query: &LoadStart) -> Result<Signs, StoreError> {
        let connection = self.connection();
        Ok(Signs {
            last: last(connection, query.now)?,
            newest: newest(connection)?,
            restored: restored(connection)?,
            outages: outages(connection)?,
        })
    }
}

fn last(connection: &Connection, now: Timestamp) -> rusqlite::Result<Option<Timestamp>> {
    let now = micros(now);
    let noted = "SELECT max(at) FROM (SELECT at FROM contacts UNION ALL SELECT tried_at FROM freshness) \
                 WHERE at <= ?1";
    let mut last = connection.query_row(noted, [now], |row| optional_time(row, 0))?;
    let mut entries = connection.prepare(
        "SELECT max(at) FROM (SELECT at FROM activity INDEXED BY activity_by_kind WHERE kind = ?1 \
         ORDER BY sequence DESC LIMIT ?2) WHERE at <= ?3",
    )?;
    for kind in kinds_of_a_server() {
        let of_kind = entries.query_row(params![kind, LOOKED_BACK, now], |row| optional_time(row, 0))?;
        last = last.max(of_kind);
    }
    Ok(last)
}

fn newest(connection: &Connection) -> rusqlite::Result<Option<Timestamp>> {
    let written = "SELECT max(at) FROM (SELECT at FROM (SELECT at FROM activity ORDER BY sequence DESC LIMIT 1) \
                   UNION ALL SELECT tried_at FROM freshness)";
    connection.query_row(written, [], |row| optional_time(row, 0))
}

fn restored(connection: &Connection) -> rusqlite::Result<Option<Timestamp>> {
    let newest =
        "SELECT at FROM activity INDEXED BY activity_by_kind WHERE kind = ?1 ORDER BY sequence DESC LIMIT 1";
    connection.query_row(newest, [RESTORED], |row| time(row, 0)).optional()
}

/// What the log says. An entry that cannot be read says nothing, and keeps no server from starting: `log verify` finds it.
fn outages(connection: &Connection) -> rusqlite::Result<Vec<Outage>> {
    let mut entries = connection.prepare(
        "SELECT e.entry, before.at FROM activity e INDEXED BY activity_by_kind \
         LEFT JOIN activity before ON before.sequence = e.sequence - 1 WHERE e.kind = ?1 \
         ORDER BY e.sequence DESC LIMIT ?2",
    )?;
    let mut found = Vec::new();
    for kind in SAYING {
        let mut rows = entries.query(params![kind, MOST])?;
        while let Some(row) = rows.next()? {
            let (bytes, before): (Vec<u8>, _) = (row.get(0)?, optional_time(row, 1)?);
            if let Ok(ReadEntry::Known(entry)) = read(&bytes) {
                found.extend(outage(&entry, before));
            }
        }
    }
    Ok(found)
}
