//! The rows of notes: the latest of each key.

use rusqlite::{Connection, params};
use sealpost_manifests::ids::Nonce;
use sealpost_site::changes::Note;

use super::connection::execute;
use super::values::{integer, json, micros};
use crate::store::StoreError;

/// Keeps a note.
pub(super) fn keep(connection: &Connection, note: &Note) -> Result<(), StoreError> {
    match note {
        Note::ContactAnswered { client_id, previous, next, at, answer, progress, server_list, cadence } => {
            execute(
                connection,
                "INSERT INTO contacts (client_id, previous, next, at, answer, progress, list_epoch, list_sequence, \
             cadence) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT (client_id) DO UPDATE SET \
             previous = ?2, next = ?3, at = ?4, answer = ?5, progress = ?6, list_epoch = ?7, list_sequence = ?8, \
             cadence = ?9",
                params![
                    client_id.as_str(),
                    previous.as_ref().map(Nonce::as_str),
                    next.as_str(),
                    micros(*at),
                    json(answer)?,
                    json(progress)?,
                    server_list.map(|order| integer(order.epoch.0)),
                    server_list.map(|order| integer(order.sequence)),
                    cadence.as_ref().map(json).transpose()?,
                ],
            )
        }
        Note::ClientSeen {
            client_id,
            platform,
            agent_version,
            instance,
            hostname,
            installed,
            before,
            tags,
            postponed,
            came_by,
        } => {
            let client_id = client_id.as_str();
            execute(
                connection,
                "INSERT INTO seen (client_id, platform, agent_version, instance, hostname, installed, before, tags, \
                 postponed, came_by) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10) ON CONFLICT (client_id) DO UPDATE SET \
                 platform = ?2, agent_version = ?3, instance = ?4, hostname = ?5, installed = ?6, before = ?7, \
                 tags = ?8, postponed = ?9, came_by = ?10",
                params![
                    client_id,
                    platform.as_str(),
                    agent_version,
                    instance.map(|digest| digest.to_string()),
                    hostname,
                    json(installed)?,
                    json(before)?,
                    json(tags)?,
                    json(postponed)?,
                    came_by.map(|way| way.to_string()),
                ],
            )?;
            execute(connection, "DELETE FROM installed WHERE client_id = ?1", [client_id])?;
            for package in installed {
                execute(
                    connection,
                    "INSERT OR REPLACE INTO installed (client_id, package, manifest) VALUES (?1, ?2, ?3)",
                    params![client_id, package.package().as_str(), package.manifest.to_string()],
                )?;
            }
            Ok(())
        }
        Note::LeaseSent { lease } => execute(
            connection,
            "INSERT INTO sent (client_id, lease) VALUES (?1, ?2) ON CONFLICT (client_id) DO UPDATE SET lease = ?2",
            params![lease.client_id.as_str(), json(lease)?],
        ),
        Note::AssignmentSent { assignment } => execute(
            connection,
            "INSERT INTO sent (client_id, assignment) VALUES (?1, ?2) \
             ON CONFLICT (client_id) DO UPDATE SET assignment = ?2",
            params![assignment.client_id.as_str(), json(assignment)?],
        ),
        Note::PullTried { at } => execute(
            connection,
            "INSERT INTO freshness (id, tried_at) VALUES (1, ?1) ON CONFLICT (id) DO UPDATE SET tried_at = ?1",
            [micros(*at)],
        ),
        Note::MetadataFresh { as_of } => execute(
            connection,
            "INSERT INTO freshness (id, metadata_as_of) VALUES (1, ?1) \
             ON CONFLICT (id) DO UPDATE SET metadata_as_of = ?1",
            [micros(*as_of)],
        ),
        Note::TimeFloor { floor } => execute(
            connection,
            "INSERT INTO clock (id, floor) VALUES (1, ?1) ON CONFLICT (id) DO UPDATE SET floor = ?1",
            [micros(*floor)],
        ),
        Note::VendorStatement { statement } => execute(
            connection,
            "INSERT INTO clock (id, signed_at, not_after) VALUES (1, ?1, ?2) \
             ON CONFLICT (id) DO UPDATE SET signed_at = ?1, not_after = ?2",
            [micros(statement.signed_at()), micros(statement.not_after())],
        ),
        Note::RingSoaked { rollout, ring, soaked_millis } => execute(
            connection,
            "INSERT INTO soaks (rollout, ring, soaked_millis) VALUES (?1, ?2, ?3) \
             ON CONFLICT (rollout, ring) DO UPDATE SET soaked_millis = ?3",
            params![integer(*rollout), ring, integer(*soaked_millis)],
        ),
    }
}
