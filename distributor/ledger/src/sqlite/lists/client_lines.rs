//! The list of all computers, as it is looked through: one statement for a page, and none for each row.

use rusqlite::{OptionalExtension, Row, params};
use sealpost_manifests::ids::{ComputerName, SerialNumber};
use sealpost_site::queries::{ClientLineByName, ClientLines, page_limit};
use sealpost_site::rows::{ClientLineRow, PlannedRow};

use super::fleet::HEARD_SINCE;
use super::seats::tried;
use crate::sqlite::connection::Connected;
use crate::sqlite::values::{from_json, optional_from_json, optional_text, optional_time, text, time};
use crate::store::{Read, StoreError};

/// What a line is read from; most sites list nobody by name, and that is looked up once.
const LINE_COLUMNS: &str = "SELECT r.name, r.channel, r.reserved_at, c.client_id, c.forked, c.enrolled_at, \
     coalesce(s.platform, c.platform), coalesce(s.agent_version, c.agent_version), s.installed, k.at, k.cadence, \
     c.lease_until, (SELECT json_group_array(o.serial) FROM reservations o WHERE o.name = r.name), \
     CASE WHEN (SELECT EXISTS (SELECT 1 FROM group_members)) THEN \
     (SELECT json_group_array(of_group) FROM group_members WHERE name = r.name) ELSE '[]' END, s.tags, s.came_by";

/// The install that is planned for it.
const INSTALL: &str = "i.at, i.ssh IS NOT NULL, i.attempt, i.outcome, i.reason, i.tried_at";

/// Where it is read.
const LINE_ROWS: &str = "FROM computers r LEFT JOIN clients c ON c.name = r.name \
     LEFT JOIN contacts k ON k.client_id = c.client_id LEFT JOIN seen s ON s.client_id = c.client_id \
     LEFT JOIN schedules i ON i.name = r.name";

impl<C: Connected> Read<ClientLines> for C {
    fn read(&mut self, query: &ClientLines) -> Result<Vec<ClientLineRow>, StoreError> {
        let mut statement = self.connection().prepare_cached(&format!(
            "{LINE_COLUMNS}, {HEARD_SINCE}, {INSTALL} {LINE_ROWS} WHERE r.name > ?1 ORDER BY r.name LIMIT ?2"
        ))?;
        let after = query.after.as_ref().map_or("", ComputerName::as_str);
        let rows = statement.query_map(params![after, page_limit(Some(query.limit))], line)?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }
}

impl<C: Connected> Read<ClientLineByName> for C {
    fn read(&mut self, query: &ClientLineByName) -> Result<Option<ClientLineRow>, StoreError> {
        let mut statement = self.connection().prepare_cached(&format!(
            "{LINE_COLUMNS}, {HEARD_SINCE}, {INSTALL} {LINE_ROWS} WHERE r.name = ?1"
        ))?;
        Ok(statement.query_row([query.name.as_str()], line).optional()?)
    }
}

fn line(row: &Row<'_>) -> rusqlite::Result<ClientLineRow> {
    // Sorted here: of one value a sorter of the database costs more than the look.
    let mut serials: Vec<SerialNumber> = from_json(row, 12)?;
    serials.sort();
    Ok(ClientLineRow {
        name: text(row, 0)?,
        channel: text(row, 1)?,
        reserved_at: time(row, 2)?,
        client_id: optional_text(row, 3)?,
        forked: row.get(4)?,
        enrolled_at: optional_time(row, 5)?,
        platform: optional_text(row, 6)?,
        agent_version: row.get(7)?,
        installed: optional_from_json(row, 8)?.unwrap_or_default(),
        last_contact: optional_time(row, 9)?,
        heard: optional_time(row, 16)?,
        cadence: optional_from_json(row, 10)?,
        lease_until: optional_time(row, 11)?,
        serials,
        listed: from_json(row, 13)?,
        tags: optional_from_json(row, 14)?.unwrap_or_default(),
        came_by: optional_text(row, 15)?,
        install: match optional_time(row, 17)? {
            Some(at) => Some(PlannedRow { at, over_ssh: row.get(18)?, tried: tried(row, 19)? }),
            None => None,
        },
    })
}
