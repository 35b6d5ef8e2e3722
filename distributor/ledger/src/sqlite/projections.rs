//! The tables as projections: what each change does to them, and nothing else does.
//!
//! Invariant: [`apply`] depends on the tables and the entry only, so that a replay of all entries in order reproduces
//! the chained tables row by row. It decides nothing: every consequence stands in the change.

use rusqlite::{Connection, params};
use sealpost_manifests::document;
use sealpost_manifests::document::SignedDocument;
use sealpost_manifests::grant::Grant;
use sealpost_manifests::ids::{ChannelName, ClientId, ComputerName, SerialNumber};
use sealpost_manifests::wire::report::Report;
use sealpost_site::changes::{ActivityEntry, Change};
use sealpost_site::rules::assignment::AssignedRelease;
use sealpost_site::rules::reports::ReportEffect;

use super::connection::execute;
use super::releases;
use super::values::{integer, json, micros, word};
use crate::store::StoreError;

/// Applies one entry's change to the tables.
pub(super) fn apply(connection: &Connection, entry: &ActivityEntry) -> Result<(), StoreError> {
    match &entry.change {
        Change::ServerInitialized { server_id, site_key } => execute(
            connection,
            "INSERT INTO server (id, server_id, site_key) VALUES (1, ?1, ?2)",
            params![server_id.as_str(), site_key.to_base64()],
        ),
        Change::SerialRegistered { .. } | Change::Refused { .. } => Ok(()),
        Change::GrantAccepted { grant, .. } => grant_accepted(connection, entry, grant),
        Change::SeatReserved { name, channel, serial } => {
            seat_reserved(connection, entry, name, channel, serial)
        }
        Change::SetupIssued { name, code_sha256 } => execute(
            connection,
            "INSERT INTO setups (name, code_sha256, issued_at) VALUES (?1, ?2, ?3) \
             ON CONFLICT (name) DO UPDATE SET code_sha256 = ?2, issued_at = ?3, used_by = NULL",
            params![name.as_str(), code_sha256.to_string(), micros(entry.at)],
        ),
        Change::ClientEnrolled { .. } => client_enrolled(connection, entry),
        Change::UnknownComputerSeen { name, source, drops } => {
            if let Some(dropped) = drops {
                execute(connection, "DELETE FROM pending WHERE name = ?1", [dropped.as_str()])?;
            }
            execute(
                connection,
                "INSERT INTO pending (name, source, seen_at, sequence) VALUES (?1, ?2, ?3, ?4) \
                 ON CONFLICT (name) DO UPDATE SET source = ?2, seen_at = ?3, sequence = ?4",
                params![name.as_str(), source, micros(entry.at), integer(entry.sequence)],
            )
        }
        Change::LeaseIssued { client_id, sequence, not_after } => execute(
            connection,
            "UPDATE clients SET sequence = ?2, lease_sequence = ?2, lease_until = ?3 WHERE client_id = ?1",
            params![client_id.as_str(), integer(*sequence), micros(*not_after)],
        ),
        Change::AssignmentChanged { client_id, sequence, releases } => {
            assignment_changed(connection, client_id, *sequence, releases)
        }
        Change::StepReported { client_id, report, effect } => {
            step_reported(connection, client_id, report, *effect)
        }
        Change::ForkDetected { client_id } => {
            execute(connection, "UPDATE clients SET forked = 1 WHERE client_id = ?1", [client_id.as_str()])
        }
        Change::MetadataPulled { timestamp_version, snapshot_version, root_version } => execute(
            connection,
            "INSERT INTO pulls (id, root_version, timestamp_version, snapshot_version) VALUES (1, ?1, ?2, ?3) \
             ON CONFLICT (id) DO UPDATE SET root_version = ?1, timestamp_version = ?2, snapshot_version = ?3, \
             failure = NULL",
            params![integer(*root_version), integer(*timestamp_version), integer(*snapshot_version)],
        ),
        Change::PullFailed { reason } => execute(
            connection,
            "INSERT INTO pulls (id, failure) VALUES (1, ?1) ON CONFLICT (id) DO UPDATE SET failure = ?1",
            [reason],
        ),
        Change::ReleaseStaged { .. }
        | Change::ReleaseRefused { .. }
        | Change::ReleaseChannelsChanged { .. }
        | Change::DeltaMade { .. }
        | Change::ReleaseApproved { .. }
        | Change::ReleaseRejected { .. }
        | Change::ReleaseWithdrawn { .. } => releases::apply(connection, entry),
    }
}

fn grant_accepted(
    connection: &Connection,
    entry: &ActivityEntry,
    document: &SignedDocument,
) -> Result<(), StoreError> {
    // Its signature was verified before it was recorded; here only its text is read again.
    let grant: Grant = document::read(document.document.as_bytes())?;
    execute(
        connection,
        "INSERT INTO grants (serial, generation, epoch, seats, model, valid_until, vendor_time, digest, document, \
         accepted_sequence) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10) \
         ON CONFLICT (serial) DO UPDATE SET generation = ?2, epoch = ?3, seats = ?4, model = ?5, valid_until = ?6, \
         vendor_time = ?7, digest = ?8, document = ?9, accepted_sequence = ?10",
        params![
            grant.serial.as_str(),
            integer(grant.generation),
            integer(grant.epoch),
            grant.seats,
            word(&grant.model)?,
            micros(grant.valid_until),
            micros(grant.vendor_time),
            document.digest().to_string(),
            json(document)?,
            integer(entry.sequence),
        ],
    )
}

fn seat_reserved(
    connection: &Connection,
    entry: &ActivityEntry,
    name: &ComputerName,
    channel: &ChannelName,
    serial: &SerialNumber,
) -> Result<(), StoreError> {
    execute(connection, "DELETE FROM pending WHERE name = ?1", [name.as_str()])?;
    execute(
        connection,
        "INSERT INTO reservations (name, channel, serial, reserved_at) VALUES (?1, ?2, ?3, ?4)",
        params![name.as_str(), channel.as_str(), serial.as_str(), micros(entry.at)],
    )?;
    execute(connection, "UPDATE grants SET used = used + 1 WHERE serial = ?1", [serial.as_str()])
}

fn client_enrolled(connection: &Connection, entry: &ActivityEntry) -> Result<(), StoreError> {
    let Change::ClientEnrolled { client_id, name, client_key, platform, agent_version, replaces, .. } =
        &entry.change
    else {
        return Ok(());
    };
    match replaces {
        Some(replaced) => forget_client(connection, replaced)?,
        None => execute(
            connection,
            "UPDATE grants SET active = active + 1 \
             WHERE serial = (SELECT serial FROM reservations WHERE name = ?1)",
            [name.as_str()],
        )?,
    }
    execute(
        connection,
        "INSERT INTO clients (client_id, name, client_key, platform, agent_version, enrolled_at) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        params![
            client_id.as_str(),
            name.as_str(),
            client_key.to_base64(),
            platform.as_str(),
            agent_version,
            micros(entry.at)
        ],
    )?;
    execute(
        connection,
        "UPDATE setups SET used_by = ?2 WHERE name = ?1",
        params![name.as_str(), client_id.as_str()],
    )
}

/// Rows and notes of a client that was replaced.
fn forget_client(connection: &Connection, client_id: &ClientId) -> Result<(), StoreError> {
    for sql in [
        "DELETE FROM clients WHERE client_id = ?1",
        "DELETE FROM assigned WHERE client_id = ?1",
        "DELETE FROM last_reports WHERE client_id = ?1",
        "DELETE FROM contacts WHERE client_id = ?1",
        "DELETE FROM seen WHERE client_id = ?1",
        "DELETE FROM installed WHERE client_id = ?1",
        "DELETE FROM sent WHERE client_id = ?1",
    ] {
        execute(connection, sql, [client_id.as_str()])?;
    }
    Ok(())
}

fn assignment_changed(
    connection: &Connection,
    client_id: &ClientId,
    sequence: u64,
    releases: &[AssignedRelease],
) -> Result<(), StoreError> {
    execute(
        connection,
        "UPDATE clients SET sequence = ?2, assignment_sequence = ?2 WHERE client_id = ?1",
        params![client_id.as_str(), integer(sequence)],
    )?;
    execute(connection, "DELETE FROM assigned WHERE client_id = ?1", [client_id.as_str()])?;
    for told in releases {
        execute(
            connection,
            "INSERT OR REPLACE INTO assigned (client_id, package, version, platform, manifest) \
             VALUES (?1, ?2, ?3, ?4, ?5)",
            params![
                client_id.as_str(),
                told.release.package.as_str(),
                told.release.version.as_str(),
                told.release.platform.as_str(),
                told.manifest.to_string()
            ],
        )?;
    }
    Ok(())
}

fn step_reported(
    connection: &Connection,
    client_id: &ClientId,
    report: &Report,
    effect: ReportEffect,
) -> Result<(), StoreError> {
    execute(
        connection,
        "UPDATE clients SET acknowledged_report = max(acknowledged_report, ?2) WHERE client_id = ?1",
        params![client_id.as_str(), integer(report.id)],
    )?;
    let failed = match effect {
        ReportEffect::Unlisted => return Ok(()),
        ReportEffect::Progress => false,
        ReportEffect::Failure => true,
    };
    execute(
        connection,
        "INSERT OR REPLACE INTO last_reports (client_id, package, manifest, failed, report) VALUES (?1, ?2, ?3, ?4, ?5)",
        params![
            client_id.as_str(),
            report.release.package.as_str(),
            report.manifest.to_string(),
            failed,
            json(report)?
        ],
    )
}
