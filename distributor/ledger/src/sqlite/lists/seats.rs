//! Computers that wait, copies of one computer, and installs at a time.

use rusqlite::{OptionalExtension, Row, params};
use sealpost_manifests::ids::ComputerName;
use sealpost_site::commands::clients::{LoadSchedule, ScheduleFacts};
use sealpost_site::queries::{CopiesOf, GivenUpCopy, Schedules, Waiting, page_limit};
use sealpost_site::rows::{CopiesRow, CopyRow, KnockRow, ScheduleRow, TriedRow, WaitingRow};
use sealpost_site::rules::schedule::Schedule;

use crate::sqlite::connection::Connected;
use crate::sqlite::lists::licenses::restore_state;
use crate::sqlite::restored::{kept, kept_before};
use crate::sqlite::values::{
    count, from_json, integer, optional_from_json, optional_text, optional_time, text, time,
};
use crate::store::{Read, StoreError};

const WAITING: &str = "SELECT w.name, w.source, w.seen_at, w.sequence, w.client_key, w.platform, w.agent_version, \
    EXISTS (SELECT 1 FROM computers WHERE name = w.name), EXISTS (SELECT 1 FROM clients WHERE name = w.name) FROM ( \
    SELECT name, source, seen_at, sequence, client_key, platform, agent_version FROM knocks WHERE sequence > ?1 \
    UNION ALL SELECT name, source, seen_at, sequence, NULL, NULL, NULL FROM pending WHERE sequence > ?1) w \
    ORDER BY w.sequence LIMIT ?2";

impl<C: Connected> Read<Waiting> for C {
    fn read(&mut self, query: &Waiting) -> Result<Vec<WaitingRow>, StoreError> {
        let mut statement = self.connection().prepare_cached(WAITING)?;
        let values = params![integer(query.after.unwrap_or(0)), page_limit(Some(query.limit))];
        let rows = statement.query_map(values, |row| {
            let knock = match optional_text(row, 4)? {
                None => None,
                Some(client_key) => {
                    Some(KnockRow { client_key, platform: text(row, 5)?, agent_version: row.get(6)? })
                }
            };
            Ok(WaitingRow {
                name: text(row, 0)?,
                source: row.get(1)?,
                seen_at: time(row, 2)?,
                sequence: count(row, 3)?,
                knock,
                reserved: row.get(7)?,
                enrolled: row.get(8)?,
            })
        })?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }
}

const OF_TWO: &str = concat!(
    "SELECT c.client_id, c.forked, c.kept_copy, ",
    kept_before!(),
    " FROM clients c WHERE c.name = ?1"
);

impl<C: Connected> Read<CopiesOf> for C {
    fn read(&mut self, query: &CopiesOf) -> Result<Option<CopiesRow>, StoreError> {
        let connection = self.connection();
        let restore = restore_state(connection, self.grants())?;
        let client = connection
            .prepare_cached(OF_TWO)?
            .query_row([query.name.as_str()], |row| {
                Ok(CopiesRow {
                    client_id: text(row, 0)?,
                    forked: row.get(1)?,
                    kept: kept(row, (2, 3), &restore)?,
                    copies: Vec::new(),
                })
            })
            .optional()?;
        let Some(client) = client else { return Ok(None) };
        let mut statement = connection.prepare_cached(
            "SELECT branch, seen_at, came_by, hostname, instance, agent_version, packages FROM copies \
             WHERE client_id = ?1 ORDER BY seen_at, branch",
        )?;
        let copies = statement.query_map([client.client_id.as_str()], copy)?;
        Ok(Some(CopiesRow { copies: copies.collect::<rusqlite::Result<_>>()?, ..client }))
    }
}

fn copy(row: &Row<'_>) -> rusqlite::Result<CopyRow> {
    Ok(CopyRow {
        branch: text(row, 0)?,
        seen_at: time(row, 1)?,
        came_by: optional_text(row, 2)?,
        hostname: row.get(3)?,
        instance: optional_text(row, 4)?,
        agent_version: row.get(5)?,
        packages: from_json(row, 6)?,
    })
}

/// What is planned, from the table `schedules`.
const SCHEDULE: &str = "name, at, ssh, planned_at, planned_by, attempt, outcome, reason, tried_at";

impl<C: Connected> Read<GivenUpCopy> for C {
    fn read(&mut self, query: &GivenUpCopy) -> Result<Option<ComputerName>, StoreError> {
        let name = self
            .connection()
            .prepare_cached("SELECT name FROM former_clients WHERE client_id = ?1 AND given_up = 1")?
            .query_row([query.client_id.as_str()], |row| text(row, 0))
            .optional()?;
        Ok(name)
    }
}

impl<C: Connected> Read<Schedules> for C {
    fn read(&mut self, query: &Schedules) -> Result<Vec<ScheduleRow>, StoreError> {
        let after = query.after.as_ref().map_or("", ComputerName::as_str);
        let mut statement = self.connection().prepare_cached(&format!(
            "SELECT {SCHEDULE} FROM schedules WHERE name > ?1 ORDER BY name LIMIT ?2"
        ))?;
        let rows = statement.query_map(params![after, page_limit(Some(query.limit))], schedule)?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }
}

impl<C: Connected> Read<LoadSchedule> for C {
    fn read(&mut self, query: &LoadSchedule) -> Result<ScheduleFacts, StoreError> {
        let (connection, name) = (self.connection(), query.name.as_str());
        let (reserved, enrolled) = connection
            .prepare_cached(
                "SELECT EXISTS (SELECT 1 FROM computers WHERE name = ?1), \
                 EXISTS (SELECT 1 FROM clients WHERE name = ?1)",
            )?
            .query_row([name], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let planned = connection
            .prepare_cached(&format!("SELECT {SCHEDULE} FROM schedules WHERE name = ?1"))?
            .query_row([name], schedule)
            .optional()?;
        Ok(ScheduleFacts { reserved, enrolled, planned })
    }
}

fn schedule(row: &Row<'_>) -> rusqlite::Result<ScheduleRow> {
    Ok(ScheduleRow {
        name: text(row, 0)?,
        schedule: Schedule { at: time(row, 1)?, ssh: optional_from_json(row, 2)? },
        planned_at: time(row, 3)?,
        planned_by: from_json(row, 4)?,
        tried: tried(row, 5)?,
    })
}

/// The last try, from four columns that begin here: its number, outcome, reason and time.
pub(super) fn tried(row: &Row<'_>, begin: usize) -> rusqlite::Result<Option<TriedRow>> {
    Ok(match (optional_text(row, begin + 1)?, optional_time(row, begin + 3)?) {
        (Some(outcome), Some(at)) => {
            Some(TriedRow { attempt: row.get(begin)?, outcome, reason: row.get(begin + 2)?, at })
        }
        _ => None,
    })
}
