//! The tables as projections: what each change does to them, and nothing else does.
//!
//! Invariant: [`apply`] depends on the tables and the entry only, so that a replay of all entries in order reproduces
//! the chained tables row by row. It decides nothing: every consequence stands in the change. Changes of computers stand
//! in [`super::computers`] and [`super::seats`], those of releases in [`super::releases`], and those of accounts in [`super::approvals`].

use rusqlite::{Connection, params};
use sealpost_manifests::document::{self, SignedDocument};
use sealpost_manifests::grant::{Grant, RegistrationReason};
use sealpost_manifests::ids::EraId;
use sealpost_manifests::order::Epoch;
use sealpost_site::changes::{ActivityEntry, Change};

use super::connection::execute;
use super::values::{integer, json, micros};
use super::{approvals, computers, releases, rollouts, seats};
use crate::store::StoreError;

/// Applies one entry's change to the tables.
pub(super) fn apply(connection: &Connection, entry: &ActivityEntry) -> Result<(), StoreError> {
    match &entry.change {
        Change::ServerInitialized { server_id, site_key } => execute(
            connection,
            "INSERT INTO server (id, server_id, site_key, era) VALUES (1, ?1, ?2, ?3)",
            params![server_id.as_str(), site_key.to_base64(), EraId::first().as_str()],
        ),
        Change::SerialRegistered { reason: RegistrationReason::Restored, request_id, .. } => execute(
            connection,
            "INSERT OR IGNORE INTO restore_requests (request_id, sequence) VALUES (?1, ?2)",
            params![request_id.as_str(), integer(entry.sequence)],
        ),
        // They stand in the log alone.
        Change::SerialRegistered { .. }
        | Change::Refused { .. }
        | Change::AdminTokenUsed { .. }
        | Change::ServerOperated { .. }
        | Change::ServerStarted { .. } => Ok(()),
        Change::AdminTokenMade { .. }
        | Change::AdminTokenRevoked { .. }
        | Change::AccountAdded(_)
        | Change::AccountDisabled(_)
        | Change::AccountEnabled(_)
        | Change::AdminTokenConfirmed(_)
        | Change::ProposalMade(_)
        | Change::ProposalEnded(_)
        | Change::ReleaseDeferred(_) => approvals::apply(connection, entry),
        Change::ComputerKnocked(_)
        | Change::ComputerAdmitted(_)
        | Change::CopySeen(_)
        | Change::CopyResolved(_)
        | Change::ScheduleChanged(_)
        | Change::InstallTried(_) => seats::apply(connection, entry),
        Change::ServerListChanged { sequence, ways } => execute(
            connection,
            "INSERT INTO server_list (id, sequence, issued_at, ways) VALUES (1, ?1, ?2, ?3) \
             ON CONFLICT (id) DO UPDATE SET sequence = ?1, issued_at = ?2, ways = ?3",
            params![integer(*sequence), micros(entry.at), json(ways)?],
        ),
        Change::GrantAccepted { grant, confirms, .. } => grant_accepted(connection, entry, grant, *confirms),
        Change::SeatReserved { .. }
        | Change::SetupIssued { .. }
        | Change::ClientEnrolled { .. }
        | Change::UnknownComputerSeen { .. }
        | Change::LeaseIssued { .. }
        | Change::AssignmentChanged { .. }
        | Change::StepReported { .. }
        | Change::ForkDetected { .. }
        | Change::LogForkReported { .. }
        | Change::ClientResumed { .. }
        | Change::ChannelChanged { .. }
        | Change::DriftReported { .. } => computers::apply(connection, entry),
        Change::LedgerRestored { era, epoch, resumes_until, lost_era, .. } => {
            ledger_restored(connection, entry, era, *epoch, *resumes_until)?;
            match lost_era {
                Some(lost) => execute(
                    connection,
                    "UPDATE server SET past_eras = json_insert(past_eras, '$[#]', ?1)",
                    [lost.as_str()],
                ),
                None => Ok(()),
            }
        }
        Change::RestoreAcknowledged { comment, .. } => execute(
            connection,
            "UPDATE server SET acknowledged_at = ?1, acknowledged_by = ?2, acknowledgement = ?3",
            params![micros(entry.at), json(&entry.actor)?, comment],
        ),
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
        | Change::CounterReset { .. }
        | Change::DeltaMade { .. }
        | Change::ReleaseApproved { .. }
        | Change::ReleaseRejected { .. }
        | Change::ReleaseWithdrawn { .. }
        | Change::ReleaseHalted { .. }
        | Change::ReleaseReconsidered { .. }
        | Change::ReleaseMandatoryChanged { .. }
        | Change::ReleaseTestLoaded(_)
        | Change::ReleaseRetried { .. } => releases::apply(connection, entry),
        Change::RolloutCompleted { .. } | Change::RolloutResumed { .. } => {
            rollouts::apply(connection, entry)?;
            releases::apply(connection, entry)
        }
        Change::SettingsChanged { .. }
        | Change::GroupMembersChanged { .. }
        | Change::RingOpened { .. }
        | Change::RolloutPaused { .. }
        | Change::RolloutEdited { .. }
        | Change::DeliveriesChanged { .. } => rollouts::apply(connection, entry),
    }
}

fn grant_accepted(
    connection: &Connection,
    entry: &ActivityEntry,
    document: &SignedDocument,
    confirms: bool,
) -> Result<(), StoreError> {
    // Its signature was verified before it was recorded; here only its text is read again.
    let grant: Grant = document::read(document.document.as_bytes())?;
    // Reservations may stand here before the grant does: those that a restored ledger made again.
    execute(
        connection,
        "INSERT INTO grants (serial, generation, epoch, seats, model, not_after, vendor_time, digest, document, \
         accepted_sequence, used, active) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, \
         (SELECT count(*) FROM reservations WHERE serial = ?1), \
         (SELECT count(*) FROM reservations r JOIN clients c ON c.name = r.name WHERE r.serial = ?1)) \
         ON CONFLICT (serial) DO UPDATE SET generation = ?2, epoch = ?3, seats = ?4, model = ?5, not_after = ?6, \
         vendor_time = ?7, digest = ?8, document = ?9, accepted_sequence = ?10",
        params![
            grant.serial.as_str(),
            integer(grant.generation),
            integer(grant.epoch.0),
            grant.seats,
            grant.model.as_str(),
            micros(grant.not_after),
            micros(grant.vendor_time),
            document.digest().to_string(),
            json(document)?,
            integer(entry.sequence),
        ],
    )?;
    if confirms {
        execute(connection, "UPDATE server SET confirmed = 1", [])?;
    }
    Ok(())
}

fn ledger_restored(
    connection: &Connection,
    entry: &ActivityEntry,
    era: &EraId,
    epoch: Epoch,
    resumes_until: jiff::Timestamp,
) -> Result<(), StoreError> {
    execute(connection, "DELETE FROM restore_requests", [])?;
    execute(
        connection,
        "UPDATE server SET past_eras = json_insert(past_eras, '$[#]', era), era = ?1, restored_at = ?2, \
         restored_epoch = ?3, resumes_until = ?4, confirmed = 0, \
         acknowledged_at = NULL, acknowledged_by = NULL, acknowledgement = NULL",
        params![era.as_str(), micros(entry.at), integer(epoch.0), micros(resumes_until)],
    )
}
