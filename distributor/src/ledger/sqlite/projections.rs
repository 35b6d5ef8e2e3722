//! The tables as projections: what each change does to them, and nothing else does.
//!
//! Invariant: [`apply`] depends on the tables and the entry only, so that a replay of all entries in order reproduces
//! the chained tables row by row. It decides nothing: a change that is in the log happened.

use rusqlite::{Connection, params};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::document;
use sealpost_manifests::grant::Grant;
use sealpost_manifests::ids::{ChannelName, ClientId, ComputerName, PackageName};
use sealpost_manifests::release::{PackageKind, Severity};
use sealpost_manifests::wire::contact::MAX_PACKAGES;
use sealpost_manifests::wire::report::{InstallStep, Outcome, Report};

use super::queries;
use super::step::CommandError;
use super::values::{integer, json, micros, word};
use crate::domain::activity::{ActivityEntry, Change};
use crate::domain::release::{ReleaseState, is_superseded};

/// Most computers in the pending list; the oldest makes room.
pub(super) const MAX_PENDING: u64 = 1_000;

/// Applies one entry's change to the tables.
pub(super) fn apply(connection: &Connection, entry: &ActivityEntry) -> Result<(), CommandError> {
    match &entry.change {
        Change::ServerInitialized { server_id, site_key } => execute(
            connection,
            "INSERT INTO server (id, server_id, site_key) VALUES (1, ?1, ?2)",
            params![server_id.as_str(), site_key.to_base64()],
        ),
        Change::SerialRegistered { .. } | Change::Refused { .. } => Ok(()),
        Change::GrantAccepted { grant, .. } => {
            // Its signature was verified before it was recorded; here only its text is read again.
            let facts: Grant = document::read(grant.document.as_bytes())?;
            execute(
                connection,
                "INSERT OR REPLACE INTO grants (serial, generation, epoch, seats, model, valid_until, vendor_time, \
                 digest, document, accepted_sequence) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
                params![
                    facts.serial.as_str(),
                    integer(facts.generation),
                    integer(facts.epoch),
                    facts.seats,
                    word(&facts.model)?,
                    micros(facts.valid_until),
                    micros(facts.vendor_time),
                    grant.digest().to_string(),
                    json(grant)?,
                    integer(entry.sequence),
                ],
            )
        }
        Change::SeatReserved { name, channel, serial } => {
            execute(connection, "DELETE FROM pending WHERE name = ?1", [name.as_str()])?;
            execute(
                connection,
                "INSERT INTO reservations (name, channel, serial, reserved_at) VALUES (?1, ?2, ?3, ?4)",
                params![name.as_str(), channel.as_str(), serial.as_str(), micros(entry.at)],
            )
        }
        Change::SetupIssued { name, code_sha256 } => execute(
            connection,
            "INSERT OR REPLACE INTO setups (name, code_sha256, issued_at, used_by) VALUES (?1, ?2, ?3, NULL)",
            params![name.as_str(), code_sha256.to_string(), micros(entry.at)],
        ),
        Change::ClientEnrolled { client_id, name, client_key, platform, agent_version, replaces, .. } => {
            if let Some(replaced) = replaces {
                forget_client(connection, replaced)?;
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
        Change::UnknownComputerSeen { name, source } => pend(connection, entry, name, source),
        Change::LeaseIssued { client_id, sequence, not_after } => execute(
            connection,
            "UPDATE clients SET sequence = ?2, lease_sequence = ?2, lease_until = ?3 WHERE client_id = ?1",
            params![client_id.as_str(), integer(*sequence), micros(*not_after)],
        ),
        Change::AssignmentChanged { client_id, sequence, releases } => {
            execute(
                connection,
                "UPDATE clients SET sequence = ?2, assignment_sequence = ?2 WHERE client_id = ?1",
                params![client_id.as_str(), integer(*sequence)],
            )?;
            execute(connection, "DELETE FROM assigned WHERE client_id = ?1", [client_id.as_str()])?;
            for (release, manifest) in releases {
                execute(
                    connection,
                    "INSERT OR REPLACE INTO assigned (client_id, package, version, platform, manifest) \
                     VALUES (?1, ?2, ?3, ?4, ?5)",
                    params![
                        client_id.as_str(),
                        release.package.as_str(),
                        release.version.as_str(),
                        release.platform.as_str(),
                        manifest.to_string()
                    ],
                )?;
            }
            Ok(())
        }
        Change::StepReported { client_id, report } => reported(connection, client_id, report),
        Change::ForkDetected { client_id } => {
            execute(connection, "UPDATE clients SET forked = 1 WHERE client_id = ?1", [client_id.as_str()])
        }
        Change::MetadataPulled { timestamp_version, snapshot_version, root_version } => execute(
            connection,
            "INSERT OR REPLACE INTO pulls (id, root_version, timestamp_version, snapshot_version, failure) \
             VALUES (1, ?1, ?2, ?3, NULL)",
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
        | Change::ReleaseWithdrawn { .. } => apply_to_release(connection, entry),
    }
}

fn apply_to_release(connection: &Connection, entry: &ActivityEntry) -> Result<(), CommandError> {
    match &entry.change {
        Change::ReleaseStaged {
            release,
            manifest,
            kind,
            counter,
            severity,
            channels,
            signer,
            payload_bytes,
        } => execute(
            connection,
            "INSERT OR REPLACE INTO releases (manifest, package, version, platform, kind, counter, severity, state, \
             channels, signer, payload_bytes, staged_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
            params![
                manifest.to_string(),
                release.package.as_str(),
                release.version.as_str(),
                release.platform.as_str(),
                word(kind)?,
                integer(counter.0),
                word(severity)?,
                ReleaseState::Staged.as_str(),
                json(channels)?,
                signer.to_base64(),
                integer(*payload_bytes),
                micros(entry.at),
            ],
        ),
        Change::ReleaseRefused { release, manifest, problems } => execute(
            connection,
            // Nothing of a refused release is believed: no counter, no signer, no channel.
            "INSERT OR REPLACE INTO releases (manifest, package, version, platform, kind, counter, severity, state, \
             channels, payload_bytes, staged_at, reason) VALUES (?1, ?2, ?3, ?4, ?5, 0, ?6, ?7, '[]', 0, ?8, ?9)",
            params![
                manifest.to_string(),
                release.package.as_str(),
                release.version.as_str(),
                release.platform.as_str(),
                word(&PackageKind::Program)?,
                word(&Severity::default())?,
                ReleaseState::Refused.as_str(),
                micros(entry.at),
                problems.join("\n"),
            ],
        ),
        Change::ReleaseChannelsChanged { manifest, channels } => {
            execute(
                connection,
                "UPDATE releases SET channels = ?2 WHERE manifest = ?1",
                params![manifest.to_string(), json::<Vec<ChannelName>>(channels)?],
            )?;
            match queries::package_of(connection, manifest)? {
                Some(package) => supersede(connection, &package),
                None => Ok(()),
            }
        }
        Change::DeltaMade { base, target, bytes } => execute(
            connection,
            "INSERT OR REPLACE INTO deltas (target, base, bytes) VALUES (?1, ?2, ?3)",
            params![target.to_string(), base.to_string(), integer(*bytes)],
        ),
        Change::ReleaseApproved { release, manifest, rollout } => {
            decided(connection, entry, manifest, ReleaseState::Approved, None)?;
            execute(
                connection,
                "UPDATE releases SET rollout = ?2 WHERE manifest = ?1",
                params![manifest.to_string(), integer(*rollout)],
            )?;
            supersede(connection, &release.package)
        }
        Change::ReleaseRejected { manifest, reason, .. } => {
            decided(connection, entry, manifest, ReleaseState::Rejected, Some(reason))
        }
        Change::ReleaseWithdrawn { release, manifest, reason } => {
            execute(
                connection,
                "UPDATE releases SET state = ?2, reason = ?3 WHERE manifest = ?1",
                params![manifest.to_string(), ReleaseState::Withdrawn.as_str(), reason],
            )?;
            // From now on, and not from the next contact on: whoever was told to install it does not get it any more.
            execute(connection, "DELETE FROM assigned WHERE manifest = ?1", [manifest.to_string()])?;
            supersede(connection, &release.package)
        }
        // Every other change has its arm in `apply`.
        _ => Ok(()),
    }
}

fn execute(connection: &Connection, sql: &str, params: impl rusqlite::Params) -> Result<(), CommandError> {
    connection.prepare_cached(sql)?.execute(params)?;
    Ok(())
}

fn decided(
    connection: &Connection,
    entry: &ActivityEntry,
    manifest: &Sha256Digest,
    state: ReleaseState,
    reason: Option<&String>,
) -> Result<(), CommandError> {
    execute(
        connection,
        "UPDATE releases SET state = ?2, decided_at = ?3, decided_by = ?4, reason = ?5 WHERE manifest = ?1",
        params![manifest.to_string(), state.as_str(), micros(entry.at), json(&entry.actor)?, reason],
    )
}

/// Judges anew which approved releases of a package are superseded; a withdrawal can bring an older one back.
fn supersede(connection: &Connection, package: &PackageName) -> Result<(), CommandError> {
    let rows = queries::approved_of(connection, package)?;
    let approved: Vec<_> = rows.iter().map(|(_, facts)| facts.clone()).collect();
    for (manifest, facts) in &rows {
        let state =
            if is_superseded(facts, &approved) { ReleaseState::Superseded } else { ReleaseState::Approved };
        execute(
            connection,
            "UPDATE releases SET state = ?2 WHERE manifest = ?1 AND state <> ?2",
            params![manifest.to_string(), state.as_str()],
        )?;
    }
    Ok(())
}

fn forget_client(connection: &Connection, client_id: &ClientId) -> Result<(), CommandError> {
    for sql in [
        "DELETE FROM clients WHERE client_id = ?1",
        "DELETE FROM assigned WHERE client_id = ?1",
        "DELETE FROM last_reports WHERE client_id = ?1",
        "DELETE FROM contacts WHERE client_id = ?1",
        "DELETE FROM installed WHERE client_id = ?1",
    ] {
        execute(connection, sql, [client_id.as_str()])?;
    }
    Ok(())
}

fn pend(
    connection: &Connection,
    entry: &ActivityEntry,
    name: &ComputerName,
    source: &str,
) -> Result<(), CommandError> {
    execute(
        connection,
        "INSERT INTO pending (name, source, seen_at, sequence) VALUES (?1, ?2, ?3, ?4) \
         ON CONFLICT (name) DO UPDATE SET source = ?2, seen_at = ?3, sequence = ?4",
        params![name.as_str(), source, micros(entry.at), integer(entry.sequence)],
    )?;
    execute(
        connection,
        "DELETE FROM pending WHERE name IN (SELECT name FROM pending ORDER BY sequence DESC LIMIT -1 OFFSET ?1)",
        [integer(MAX_PENDING)],
    )
}

fn reported(connection: &Connection, client_id: &ClientId, report: &Report) -> Result<(), CommandError> {
    execute(
        connection,
        "UPDATE clients SET acknowledged_report = max(acknowledged_report, ?2) WHERE client_id = ?1",
        params![client_id.as_str(), integer(report.id)],
    )?;
    let known: u64 = queries::other_reported_packages(connection, client_id, &report.release.package)?;
    if known >= u64::try_from(MAX_PACKAGES).unwrap_or(u64::MAX) {
        return Ok(());
    }
    let failed = report.outcome != Outcome::Ok || report.step == InstallStep::RollBack;
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
