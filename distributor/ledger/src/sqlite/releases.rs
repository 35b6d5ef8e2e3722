//! What changes of releases do to their rows.

use rusqlite::{Connection, OptionalExtension, params};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::ChannelName;
use sealpost_manifests::release::{PackageKind, ReleaseId, Severity};
use sealpost_site::changes::summary::reason_of;
use sealpost_site::changes::{ActivityEntry, Change, ReleaseRetry, ReleaseTest};
use sealpost_site::rules::release::{ReleaseState, Supersession};
use sealpost_site::rules::rollouts::progress::RolloutState;

use super::connection::execute;
use super::values::{integer, json, micros};
use super::{approvals, rollouts};
use crate::store::StoreError;

/// Applies a change of a release.
pub(super) fn apply(connection: &Connection, entry: &ActivityEntry) -> Result<(), StoreError> {
    match &entry.change {
        Change::ReleaseStaged { .. } => staged(connection, entry),
        Change::ReleaseRefused { release, manifest, problems } => {
            refused(connection, entry, release, manifest, problems)
        }
        Change::ReleaseChannelsChanged { manifest, channels, supersession } => {
            execute(
                connection,
                "UPDATE releases SET channels = ?2 WHERE manifest = ?1",
                params![manifest.to_string(), json::<Vec<ChannelName>>(channels)?],
            )?;
            rollouts::replan_if_shown(connection, entry, manifest)?;
            supersede(connection, entry, supersession)
        }
        Change::DeltaMade { base, target, bytes } => execute(
            connection,
            "INSERT OR REPLACE INTO deltas (target, base, bytes) VALUES (?1, ?2, ?3)",
            params![target.to_string(), base.to_string(), integer(*bytes)],
        ),
        Change::ReleaseTestLoaded(ReleaseTest { manifest, program, outcome, detail, .. }) => execute(
            connection,
            "INSERT OR REPLACE INTO test_loads (manifest, program, outcome, detail, at, by) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![
                manifest.to_string(),
                program.map(|program| program.to_string()),
                outcome.as_str(),
                detail,
                micros(entry.at),
                json(&entry.actor)?
            ],
        ),
        Change::ReleaseApproved { manifest, approval, rollout, staged, supersession, .. } => {
            decided(connection, entry, manifest, ReleaseState::Approved, None)?;
            execute(
                connection,
                "UPDATE releases SET rollout = ?2, approval = ?3 WHERE manifest = ?1",
                params![manifest.to_string(), integer(*rollout), json(approval)?],
            )?;
            if let Some(staged) = staged {
                rollouts::begun(connection, entry, *rollout, manifest, staged)?;
            }
            supersede(connection, entry, supersession)
        }
        Change::ReleaseMandatoryChanged { manifest, mandatory, .. } => {
            execute(
                connection,
                "UPDATE releases SET mandatory = ?2 WHERE manifest = ?1",
                params![manifest.to_string(), mandatory],
            )?;
            rollouts::replan(connection, entry)
        }
        Change::RolloutCompleted { manifest, supersession, .. } => {
            execute(
                connection,
                "UPDATE releases SET rolling_out = NULL WHERE manifest = ?1",
                [manifest.to_string()],
            )?;
            supersede(connection, entry, supersession)
        }
        Change::RolloutResumed { manifest, attempt, supersession, .. } => {
            execute(
                connection,
                "UPDATE releases SET reason = NULL, rollback = 0, state = ?2, decided_at = ?3, decided_by = ?4, \
                 attempt = coalesce(?6, attempt) WHERE manifest = ?1 AND state = ?5",
                params![
                    manifest.to_string(),
                    ReleaseState::Approved.as_str(),
                    micros(entry.at),
                    json(&entry.actor)?,
                    ReleaseState::Halted.as_str(),
                    attempt,
                ],
            )?;
            supersede(connection, entry, supersession)
        }
        Change::ReleaseRejected { manifest, reason, .. } => {
            decided(connection, entry, manifest, ReleaseState::Rejected, Some(reason))?;
            rollouts::replan_if_shown(connection, entry, manifest)
        }
        Change::ReleaseWithdrawn { manifest, reason, supersession, .. } => {
            execute(
                connection,
                "UPDATE releases SET state = ?2, reason = ?3, approval = CASE state WHEN ?4 \
                 THEN json_set(approval, '$.comment', reason) ELSE approval END WHERE manifest = ?1",
                params![
                    manifest.to_string(),
                    ReleaseState::Withdrawn.as_str(),
                    reason,
                    ReleaseState::Halted.as_str()
                ],
            )?;
            approvals::settled(connection, entry, manifest)?;
            // From now on, and not from the next contact on: whoever was told to install it does not get it any more.
            execute(connection, "DELETE FROM assigned WHERE manifest = ?1", [manifest.to_string()])?;
            rollouts::ended(connection, entry, manifest, RolloutState::Withdrawn, reason)?;
            supersede(connection, entry, supersession)
        }
        Change::ReleaseHalted { manifest, reason, rollback, withdrawn, aborted, supersession, .. } => {
            let ends = if *aborted { RolloutState::Aborted } else { RolloutState::Halted };
            rollouts::ended(connection, entry, manifest, ends, reason)?;
            // The vendor's reason stays beside the admin's.
            let (state, kept, comment) = if *withdrawn {
                let reasons = connection
                    .prepare_cached("SELECT reason FROM releases WHERE manifest = ?1")?
                    .query_row([manifest.to_string()], |row| row.get::<_, Option<String>>(0))
                    .optional()?;
                (ReleaseState::Withdrawn, reasons.flatten(), Some(reason))
            } else {
                (ReleaseState::Halted, Some(reason.clone()), None)
            };
            decided(connection, entry, manifest, state, kept.as_ref())?;
            let manifest = manifest.to_string();
            execute(
                connection,
                "UPDATE releases SET rollback = ?2, approval = CASE WHEN ?3 IS NULL \
                 THEN json_remove(approval, '$.comment') ELSE json_set(coalesce(approval, '{\"channels\":[],\"approvals\":[]}'), '$.comment', ?3) END WHERE manifest = ?1",
                params![manifest, rollback, comment],
            )?;
            execute(connection, "DELETE FROM assigned WHERE manifest = ?1", [manifest])?;
            supersede(connection, entry, supersession)
        }
        Change::ReleaseReconsidered { manifest, attempt, .. } => {
            decided(connection, entry, manifest, ReleaseState::Staged, None)?;
            execute(
                connection,
                "UPDATE releases SET approval = NULL, rollback = 0, rolling_out = NULL, attempt = ?2 WHERE manifest = ?1",
                params![manifest.to_string(), attempt],
            )?;
            rollouts::replan_if_shown(connection, entry, manifest)
        }
        Change::ReleaseRetried(ReleaseRetry { manifest, computers, .. }) => {
            computers.iter().try_for_each(|next| {
                execute(
                    connection,
                    "INSERT INTO attempts (client_id, manifest, attempt) VALUES (?1, ?2, ?3) \
                 ON CONFLICT (client_id, manifest) DO UPDATE SET attempt = ?3",
                    params![next.client_id.as_str(), manifest.to_string(), next.attempt],
                )
            })
        }
        Change::CounterReset { package, counter, number, voided } => {
            execute(
                connection,
                "INSERT INTO counter_resets (package, counter, number) VALUES (?1, ?2, ?3) \
                 ON CONFLICT (package) DO UPDATE SET counter = ?2, number = ?3",
                params![package.as_str(), integer(counter.0), integer(*number)],
            )?;
            voided.iter().try_for_each(|manifest| {
                let sql = "UPDATE releases SET voided = 1 WHERE manifest = ?1";
                execute(connection, sql, [manifest.to_string()])
            })
        }
        Change::ServerInitialized { .. }
        | Change::SerialRegistered { .. }
        | Change::GrantAccepted { .. }
        | Change::SeatReserved { .. }
        | Change::SetupIssued { .. }
        | Change::ClientEnrolled { .. }
        | Change::UnknownComputerSeen { .. }
        | Change::LeaseIssued { .. }
        | Change::AssignmentChanged { .. }
        | Change::StepReported { .. }
        | Change::ForkDetected { .. }
        | Change::LogForkReported { .. }
        | Change::LedgerRestored { .. }
        | Change::RestoreAcknowledged { .. }
        | Change::ClientResumed { .. }
        | Change::MetadataPulled { .. }
        | Change::PullFailed { .. }
        | Change::Refused { .. }
        | Change::AdminTokenMade { .. }
        | Change::AdminTokenUsed { .. }
        | Change::AdminTokenRevoked { .. }
        | Change::ServerOperated { .. }
        | Change::ServerStarted { .. }
        | Change::ServerListChanged { .. }
        | Change::ChannelChanged { .. }
        | Change::SettingsChanged { .. }
        | Change::GroupMembersChanged { .. }
        | Change::RingOpened { .. }
        | Change::RolloutPaused { .. }
        | Change::RolloutEdited { .. }
        | Change::DeliveriesChanged { .. }
        | Change::DriftReported { .. }
        | Change::AccountAdded(_)
        | Change::AccountDisabled(_)
        | Change::AccountEnabled(_)
        | Change::AdminTokenConfirmed(_)
        | Change::ProposalMade(_)
        | Change::ProposalEnded(_)
        | Change::ReleaseDeferred(_)
        | Change::ComputerKnocked(_)
        | Change::ComputerAdmitted(_)
        | Change::CopySeen(_)
        | Change::CopyResolved(_)
        | Change::ScheduleChanged(_)
        | Change::InstallTried(_) => Ok(()),
    }
}

fn staged(connection: &Connection, entry: &ActivityEntry) -> Result<(), StoreError> {
    let Change::ReleaseStaged {
        release,
        manifest,
        kind,
        counter,
        severity,
        channels,
        signer,
        payload_bytes,
        mandatory,
    } = &entry.change
    else {
        return Ok(());
    };
    execute(
        connection,
        "INSERT OR REPLACE INTO releases (manifest, package, version, platform, kind, counter, severity, state, \
         channels, signer, payload_bytes, staged_at, mandatory) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
        params![
            manifest.to_string(),
            release.package.as_str(),
            release.version.as_str(),
            release.platform.as_str(),
            kind.as_str(),
            integer(counter.0),
            severity.as_str(),
            ReleaseState::Staged.as_str(),
            json(channels)?,
            signer.to_base64(),
            integer(*payload_bytes),
            micros(entry.at),
            mandatory,
        ],
    )?;
    approvals::settled(connection, entry, manifest)?;
    if *mandatory { rollouts::replan(connection, entry) } else { Ok(()) }
}

/// Nothing of a refused release is trusted: no counter, no signer, no channel.
fn refused(
    connection: &Connection,
    entry: &ActivityEntry,
    release: &ReleaseId,
    manifest: &Sha256Digest,
    problems: &[String],
) -> Result<(), StoreError> {
    execute(
        connection,
        "INSERT OR REPLACE INTO releases (manifest, package, version, platform, kind, counter, severity, state, \
         channels, payload_bytes, staged_at, reason) VALUES (?1, ?2, ?3, ?4, ?5, 0, ?6, ?7, '[]', 0, ?8, ?9)",
        params![
            manifest.to_string(),
            release.package.as_str(),
            release.version.as_str(),
            release.platform.as_str(),
            PackageKind::Program.as_str(),
            Severity::Normal.as_str(),
            ReleaseState::Refused.as_str(),
            micros(entry.at),
            reason_of(problems),
        ],
    )?;
    approvals::settled(connection, entry, manifest)
}

fn decided(
    connection: &Connection,
    entry: &ActivityEntry,
    manifest: &Sha256Digest,
    state: ReleaseState,
    reason: Option<&String>,
) -> Result<(), StoreError> {
    execute(
        connection,
        "UPDATE releases SET state = ?2, decided_at = ?3, decided_by = ?4, reason = ?5 WHERE manifest = ?1",
        params![manifest.to_string(), state.as_str(), micros(entry.at), json(&entry.actor)?, reason],
    )?;
    approvals::settled(connection, entry, manifest)
}

fn supersede(
    connection: &Connection,
    entry: &ActivityEntry,
    supersession: &Supersession,
) -> Result<(), StoreError> {
    if *supersession == Supersession::default() {
        return Ok(());
    }
    let to = |state: ReleaseState, manifests: &[Sha256Digest]| {
        manifests.iter().try_for_each(|manifest| {
            execute(
                connection,
                "UPDATE releases SET state = ?2 WHERE manifest = ?1",
                params![manifest.to_string(), state.as_str()],
            )
        })
    };
    to(ReleaseState::Superseded, &supersession.superseded)?;
    to(ReleaseState::Approved, &supersession.restored)?;
    rollouts::superseded(connection, entry, &supersession.superseded)?;
    rollouts::restored(connection, entry, &supersession.restored)?;
    rollouts::replan_again(connection, entry)
}
