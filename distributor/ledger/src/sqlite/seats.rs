//! What changes do to the rows of computers that knock, copies of one computer, and installs at a time.

use rusqlite::{Connection, params};
use sealpost_site::changes::{
    ActivityEntry, Change, ComputerAdmitted, ComputerKnocked, CopyResolved, CopySeen, Dropped, InstallTried,
    ScheduleChanged,
};

use super::connection::execute;
use super::values::{integer, json, micros};
use crate::store::StoreError;

/// Applies such a change; any other does nothing here.
pub(super) fn apply(connection: &Connection, entry: &ActivityEntry) -> Result<(), StoreError> {
    match &entry.change {
        Change::ComputerKnocked(knocked) => computer_knocked(connection, entry, knocked),
        Change::ComputerAdmitted(ComputerAdmitted { name, client_key, setup, expires_at }) => {
            execute(connection, "DELETE FROM knocks WHERE name = ?1", [name.as_str()])?;
            execute(
                connection,
                "INSERT INTO setups (name, setup, issued_at, expires_at, admitted_key) VALUES (?1, ?2, ?3, ?4, ?5) \
                 ON CONFLICT (name) DO UPDATE SET setup = ?2, issued_at = ?3, expires_at = ?4, used_by = NULL, \
                 admitted_key = ?5",
                params![
                    name.as_str(),
                    setup.as_str(),
                    micros(entry.at),
                    micros(*expires_at),
                    client_key.to_base64()
                ],
            )
        }
        Change::CopySeen(seen) => copy_seen(connection, seen),
        Change::CopyResolved(CopyResolved { client_id, keep, .. }) => execute(
            connection,
            "UPDATE clients SET kept_copy = ?2 WHERE client_id = ?1",
            params![client_id.as_str(), keep.to_string()],
        ),
        Change::ScheduleChanged(ScheduleChanged { name, schedule: None }) => {
            execute(connection, "DELETE FROM schedules WHERE name = ?1", [name.as_str()])
        }
        Change::ScheduleChanged(ScheduleChanged { name, schedule: Some(schedule) }) => execute(
            connection,
            "INSERT OR REPLACE INTO schedules (name, at, ssh, planned_at, planned_by) VALUES (?1, ?2, ?3, ?4, ?5)",
            params![
                name.as_str(),
                micros(schedule.at),
                schedule.ssh.as_ref().map(json).transpose()?,
                micros(entry.at),
                json(&entry.actor)?
            ],
        ),
        Change::InstallTried(InstallTried { name, attempt, outcome, reason }) => execute(
            connection,
            "UPDATE schedules SET attempt = ?2, outcome = ?3, reason = ?4, tried_at = ?5 WHERE name = ?1",
            params![name.as_str(), attempt, outcome.as_str(), reason, micros(entry.at)],
        ),
        _ => Ok(()),
    }
}

fn computer_knocked(
    connection: &Connection,
    entry: &ActivityEntry,
    knocked: &ComputerKnocked,
) -> Result<(), StoreError> {
    let ComputerKnocked { name, client_key, source, platform, agent_version, drops } = knocked;
    match drops {
        Some(Dropped { name, client_key: Some(client_key) }) => execute(
            connection,
            "DELETE FROM knocks WHERE name = ?1 AND client_key = ?2",
            params![name.as_str(), client_key.to_base64()],
        )?,
        Some(Dropped { name, client_key: None }) => {
            execute(connection, "DELETE FROM pending WHERE name = ?1", [name.as_str()])?;
        }
        None => {}
    }
    // It was noted without its key before, if it came then.
    execute(connection, "DELETE FROM pending WHERE name = ?1", [name.as_str()])?;
    execute(
        connection,
        "INSERT OR REPLACE INTO knocks (name, client_key, source, platform, agent_version, seen_at, sequence) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        params![
            name.as_str(),
            client_key.to_base64(),
            source,
            platform.as_str(),
            agent_version,
            micros(entry.at),
            integer(entry.sequence)
        ],
    )
}

fn copy_seen(connection: &Connection, seen: &CopySeen) -> Result<(), StoreError> {
    let CopySeen { client_id, branch, seen_at, came_by, hostname, instance, agent_version, packages } = seen;
    execute(
        connection,
        "INSERT OR REPLACE INTO copies (client_id, branch, seen_at, came_by, hostname, instance, agent_version, packages) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        params![
            client_id.as_str(),
            branch.to_string(),
            micros(*seen_at),
            came_by.map(|way| way.to_string()),
            hostname,
            instance.map(|instance| instance.to_string()),
            agent_version,
            json(packages)?
        ],
    )
}
