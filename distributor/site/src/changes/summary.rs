//! One line for people per activity entry, and the words by which entries are found: kind and computer name.
//!
//! Invariant: nothing that came from outside reaches a terminal or a log file as a control character.

use std::fmt::Write;

use jiff::Timestamp;
use sealpost_manifests::assignment::Action;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::ComputerName;
use sealpost_manifests::setup::ServerEntry;
use sealpost_manifests::wire::contact::DriftKind;
use sealpost_manifests::wire::report::{InstallStep, Outcome, ReasonCode, Report, TransferredBytes};

use super::activity::{Change, NewerEntry};
use super::approvals::of_approvals;
use super::entry::ActivityEntry;
use super::outages::started;
use super::parts::{ReleaseRetry, ServerOperation, TokenOwner, TokenRevoked, TokenUsed};
use super::rollouts::of_rollouts;
use super::seats::{ComputerAdmitted, ComputerKnocked, CopyResolved, InstallTried, ScheduleChanged};
use super::waiting::of_seats;
use crate::rules::account::Actor;
pub use crate::rules::account::named as actor;
use crate::rules::reports::ReportEffect;
use crate::rules::restore::RestoreCause;
use crate::rules::text::{bytes, counted, escape};

/// Every word that [`kind`] gives.
pub const KINDS: [&str; 60] = [
    "server_initialized",
    "serial_registered",
    "grant_accepted",
    "seat_reserved",
    "setup_issued",
    "client_enrolled",
    "unknown_computer_seen",
    "lease_issued",
    "assignment_changed",
    "step_reported",
    "fork_detected",
    "log_fork_reported",
    "ledger_restored",
    "client_resumed",
    "counter_reset",
    "metadata_pulled",
    "pull_failed",
    "release_staged",
    "release_refused",
    "release_channels_changed",
    "delta_made",
    "release_approved",
    "release_rejected",
    "release_withdrawn",
    "refused",
    "server_list_changed",
    "release_halted",
    "release_reconsidered",
    "release_retried",
    "channel_changed",
    "drift_reported",
    "admin_token_made",
    "admin_token_used",
    "admin_token_revoked",
    "server_operated",
    "restore_acknowledged",
    "release_mandatory_changed",
    "settings_changed",
    "group_members_changed",
    "ring_opened",
    "rollout_completed",
    "rollout_paused",
    "rollout_resumed",
    "rollout_edited",
    "deliveries_changed",
    "account_added",
    "account_disabled",
    "account_enabled",
    "admin_token_confirmed",
    "proposal_made",
    "proposal_ended",
    "release_deferred",
    "release_test_loaded",
    "server_started",
    "computer_knocked",
    "computer_admitted",
    "copy_seen",
    "copy_resolved",
    "schedule_changed",
    "install_tried",
];

/// Those that are also written while nobody can come: when a ledger is made, restored or rebuilt, and by the commands for tokens
/// that need no running server. To stay on the safe side, everything about tokens and the server's own home is one of them.
const WITHOUT_A_SERVER: [&str; 9] = [
    "server_initialized",
    "ledger_restored",
    "admin_token_made",
    "admin_token_used",
    "admin_token_revoked",
    "admin_token_confirmed",
    "proposal_made",
    "proposal_ended",
    "server_operated",
];

/// Those that only a server writes to which computers can come.
pub fn kinds_of_a_server() -> impl Iterator<Item = &'static str> {
    KINDS.into_iter().filter(|kind| !WITHOUT_A_SERVER.contains(kind))
}

/// The stable word for a change: its `type` in JSON.
#[must_use]
pub const fn kind(change: &Change) -> &'static str {
    match change {
        Change::ServerInitialized { .. } => "server_initialized",
        Change::SerialRegistered { .. } => "serial_registered",
        Change::GrantAccepted { .. } => "grant_accepted",
        Change::SeatReserved { .. } => "seat_reserved",
        Change::SetupIssued { .. } => "setup_issued",
        Change::ClientEnrolled { .. } => "client_enrolled",
        Change::UnknownComputerSeen { .. } => "unknown_computer_seen",
        Change::LeaseIssued { .. } => "lease_issued",
        Change::AssignmentChanged { .. } => "assignment_changed",
        Change::StepReported { .. } => "step_reported",
        Change::ForkDetected { .. } => "fork_detected",
        Change::LogForkReported { .. } => "log_fork_reported",
        Change::LedgerRestored { .. } => "ledger_restored",
        Change::ClientResumed { .. } => "client_resumed",
        Change::CounterReset { .. } => "counter_reset",
        Change::MetadataPulled { .. } => "metadata_pulled",
        Change::PullFailed { .. } => "pull_failed",
        Change::ReleaseStaged { .. } => "release_staged",
        Change::ReleaseRefused { .. } => "release_refused",
        Change::ReleaseChannelsChanged { .. } => "release_channels_changed",
        Change::DeltaMade { .. } => "delta_made",
        Change::ReleaseApproved { .. } => "release_approved",
        Change::ReleaseRejected { .. } => "release_rejected",
        Change::ReleaseWithdrawn { .. } => "release_withdrawn",
        Change::Refused { .. } => "refused",
        Change::ServerListChanged { .. } => "server_list_changed",
        Change::ReleaseHalted { .. } => "release_halted",
        Change::ReleaseReconsidered { .. } => "release_reconsidered",
        Change::ReleaseRetried { .. } => "release_retried",
        Change::RestoreAcknowledged { .. } => "restore_acknowledged",
        Change::ChannelChanged { .. } => "channel_changed",
        Change::DriftReported { .. } => "drift_reported",
        Change::AdminTokenMade { .. } => "admin_token_made",
        Change::AdminTokenUsed { .. } => "admin_token_used",
        Change::AdminTokenRevoked { .. } => "admin_token_revoked",
        Change::ServerOperated { .. } => "server_operated",
        Change::ServerStarted { .. } => "server_started",
        Change::ReleaseMandatoryChanged { .. } => "release_mandatory_changed",
        Change::SettingsChanged { .. } => "settings_changed",
        Change::GroupMembersChanged { .. } => "group_members_changed",
        Change::RingOpened { .. } => "ring_opened",
        Change::RolloutCompleted { .. } => "rollout_completed",
        Change::RolloutPaused { .. } => "rollout_paused",
        Change::RolloutResumed { .. } => "rollout_resumed",
        Change::RolloutEdited { .. } => "rollout_edited",
        Change::DeliveriesChanged { .. } => "deliveries_changed",
        Change::AccountAdded(_) => "account_added",
        Change::AccountDisabled(_) => "account_disabled",
        Change::AccountEnabled(_) => "account_enabled",
        Change::AdminTokenConfirmed(_) => "admin_token_confirmed",
        Change::ProposalMade(_) => "proposal_made",
        Change::ProposalEnded(_) => "proposal_ended",
        Change::ReleaseDeferred(_) => "release_deferred",
        Change::ReleaseTestLoaded(_) => "release_test_loaded",
        Change::ComputerKnocked(_) => "computer_knocked",
        Change::ComputerAdmitted(_) => "computer_admitted",
        Change::CopySeen(_) => "copy_seen",
        Change::CopyResolved(_) => "copy_resolved",
        Change::ScheduleChanged(_) => "schedule_changed",
        Change::InstallTried(_) => "install_tried",
    }
}

/// The computer that an entry is about, if it is about one.
#[must_use]
pub const fn computer(entry: &ActivityEntry) -> Option<&ComputerName> {
    match (&entry.change, &entry.actor) {
        (
            Change::SeatReserved { name, .. }
            | Change::SetupIssued { name, .. }
            | Change::ChannelChanged { name, .. }
            | Change::Refused { computer: Some(name), .. }
            | Change::ClientEnrolled { name, .. }
            | Change::ClientResumed { name, .. }
            | Change::UnknownComputerSeen { name, .. }
            | Change::ComputerKnocked(ComputerKnocked { name, .. })
            | Change::ComputerAdmitted(ComputerAdmitted { name, .. })
            | Change::CopyResolved(CopyResolved { name, .. })
            | Change::ScheduleChanged(ScheduleChanged { name, .. })
            | Change::InstallTried(InstallTried { name, .. }),
            _,
        )
        | (_, Actor::Client { name, .. }) => Some(name),
        _ => None,
    }
}

/// Whether a change tells of something that went wrong. Stores look for these in their own words: see
/// [`Activity`](crate::queries::Activity).
#[must_use]
pub fn is_failure(change: &Change) -> bool {
    match change {
        // What an audit finds says nothing about an install, and is a failure all the same.
        Change::StepReported { effect, report, .. } => {
            let failed_audit = report.step == InstallStep::Audit && report.outcome == Outcome::Failed;
            failed_audit || (*effect == ReportEffect::Failure && !is_asked_rollback(report))
        }
        Change::DriftReported { drift, .. } => !drift.is_empty(),
        change => FAILURES.contains(&kind(change)),
    }
}

/// Whether a report says that a computer went back because somebody asked for it. The release is given up there, as after
/// one that it made by itself, and nothing went wrong.
fn is_asked_rollback(report: &Report) -> bool {
    report.step == InstallStep::RollBack
        && report.outcome == Outcome::Ok
        && matches!(report.reason, ReasonCode::AskedLocally | ReasonCode::AskedBySite)
}

/// Whether an entry says that a release has no hook for a step, which is most of what an install reports.
#[must_use]
pub fn is_absent_hook(change: &Change) -> bool {
    matches!(change, Change::StepReported { report, .. }
        if report.outcome == Outcome::Ok && report.reason == ReasonCode::NoHook)
}

/// Kinds whose entries all tell of something that went wrong.
pub const FAILURES: [&str; 6] =
    ["fork_detected", "log_fork_reported", "ledger_restored", "pull_failed", "release_refused", "refused"];

/// The problems of a refused release as the one reason that its row shows.
#[must_use]
pub fn reason_of(problems: &[String]) -> String {
    problems.join("\n")
}

/// One line for people about an entry that a newer version of this program wrote.
#[must_use]
pub fn newer(entry: &NewerEntry) -> String {
    format!(
        "an entry of the kind {} (format version {}), written by a newer version of this program; update it to read it",
        escape(&entry.kind),
        entry.version
    )
}

/// One line for people: who did what.
#[must_use]
pub fn summary(entry: &ActivityEntry) -> String {
    format!("{}: {}", actor(&entry.actor), what(&entry.change, entry.at))
}

fn what(change: &Change, at: Timestamp) -> String {
    match change {
        Change::ServerInitialized { server_id, site_key } => {
            format!("server {server_id} was set up with site key {}", site_key.id())
        }
        Change::SerialRegistered { serial, reason, .. } => {
            format!("asked the vendor to unlock serial number {serial} ({reason})")
        }
        Change::GrantAccepted { serial, generation, epoch, seats, model, not_after, confirms, .. } => {
            let confirms = if *confirms { "; it confirms the restored ledger" } else { "" };
            let noun = if *seats == 1 { "seat" } else { "seats" };
            format!(
                "accepted a grant of {seats} {model} {noun} for {serial} (generation {generation}, epoch {epoch}, valid until {not_after}){confirms}"
            )
        }
        Change::SeatReserved { name, channel, serial } => {
            format!("reserved a seat of {serial} for {name}, channel {channel}")
        }
        Change::SetupIssued { name, expires_at, .. } => {
            format!("issued a setup file for {name}, good until {expires_at}")
        }
        Change::ClientEnrolled { client_id, name, platform, agent_version, replaces, .. } => {
            let again = if replaces.is_some() { " again" } else { "" };
            format!("{name} enrolled{again} as {client_id} ({platform}, agent {})", escape(agent_version))
        }
        Change::UnknownComputerSeen { name, .. } => {
            format!("{name} asked to be enrolled; no seat is reserved for it")
        }
        Change::LeaseIssued { order, entitlements, .. } => {
            match entitlements.iter().map(|entitlement| entitlement.not_after).max() {
                Some(not_after) => format!("got a lease until {not_after} (number {order})"),
                None => format!("got a lease without a seat (number {order})"),
            }
        }
        Change::AssignmentChanged { order, packages, .. } => {
            let mut text = "should run ".to_owned();
            if packages.is_empty() {
                text.push_str("nothing new");
            }
            for (index, told) in packages.iter().enumerate() {
                let separator = if index == 0 { "" } else { ", " };
                let back = if told.action == Action::Rollback { "again " } else { "" };
                // Writing to a string cannot fail.
                let _ = write!(text, "{separator}{back}{}", told.release);
            }
            format!("{text} (number {order})")
        }
        Change::StepReported { report, .. } => {
            let mut text =
                format!("{}: {} {} [{}]", report.release, report.step, report.outcome, report.reason);
            if let Some(TransferredBytes { metadata, manifest, payload }) = report.bytes {
                let of_release = manifest.saturating_add(payload);
                let _ = write!(
                    text,
                    ", {} came: {} of metadata, {} of the release",
                    bytes(metadata.saturating_add(of_release)),
                    bytes(metadata),
                    bytes(of_release)
                );
            }
            if !report.detail.is_empty() {
                let _ = write!(text, " {}", escape(&report.detail));
            }
            text
        }
        Change::ForkDetected { client_id } => {
            format!("two computers use the identity {client_id}; an admin decides")
        }
        Change::LogForkReported { held, seen, .. } => format!(
            "holds two heads of this log, of which the one at entry {} does not extend the one at entry {}",
            seen.size, held.size
        ),
        Change::LedgerRestored { cause, epoch, resumes_until, .. } => format!(
            "the ledger is older than what it answered: {}; no new license before the vendor raises epoch {epoch}, and computers go on until {resumes_until}",
            restored_by(cause)
        ),
        Change::RestoreAcknowledged { comment, .. } => {
            format!("has seen that the ledger was restored, cut or rewritten: {}", escape(comment))
        }
        Change::ClientResumed { name, recreated, displaces, contacts, .. } => {
            let mut text = format!("{name} goes on after the restore, from its contact {contacts}");
            if recreated.is_some() {
                text.push_str("; the ledger had lost it");
            }
            if let Some(displaced) = displaces {
                let _ = write!(
                    text,
                    "; another computer with its identity went on from contact {} and is refused from now on",
                    displaced.contacts
                );
            }
            text
        }
        Change::CounterReset { package, counter, voided, .. } => format!(
            "the vendor reset the release counter of {package} to {counter}; {} above it no more",
            counted(voided.len() as u64, "release counts", "releases count")
        ),
        Change::MetadataPulled { timestamp_version, snapshot_version, root_version } => format!(
            "pulled the vendor's metadata: timestamp {timestamp_version}, snapshot {snapshot_version}, root {root_version}"
        ),
        Change::PullFailed { reason } => format!("could not pull from the vendor: {}", escape(reason)),
        Change::ReleaseStaged { release, manifest, severity, channels, payload_bytes, .. } => {
            let channels: Vec<&str> = channels.iter().map(AsRef::as_ref).collect();
            format!(
                "staged {release}, manifest {}, severity {severity}, channels {}, {payload_bytes} bytes",
                manifest.short(),
                channels.join(" ")
            )
        }
        Change::ReleaseRefused { release, problems, .. } => {
            let first = problems.first().map(|problem| escape(problem)).unwrap_or_default();
            let count = counted(problems.len() as u64, "problem", "problems");
            format!("refused {release} at staging, {count}; the first: {first}")
        }
        Change::ReleaseChannelsChanged { manifest, channels, .. } => {
            let channels: Vec<&str> = channels.iter().map(AsRef::as_ref).collect();
            format!("manifest {} is now of channels {}", manifest.short(), channels.join(" "))
        }
        Change::DeltaMade { base, target, bytes } => {
            format!("made a delta of {bytes} bytes from {} to {}", base.short(), target.short())
        }
        Change::ReleaseApproved { release, manifest, rollout, approval, staged, .. } => {
            let channels: Vec<&str> = approval.channels.iter().map(AsRef::as_ref).collect();
            let mut text = format!(
                "approved {release}, manifest {manifest}, for {} (rollout {rollout})",
                channels.join(" ")
            );
            if let Some(staged) = staged {
                let _ = write!(text, ", by the strategy {}", staged.strategy);
            }
            if !approval.comment.is_empty() {
                let _ = write!(text, ": {}", escape(&approval.comment));
            }
            text
        }
        Change::ReleaseRejected { release, reason, .. } => format!("rejected {release}: {}", escape(reason)),
        Change::ReleaseWithdrawn { release, reason, .. } => {
            format!("the vendor withdrew {release}: {}", escape(reason))
        }
        Change::Refused { code, source, minute, count, computer } => {
            let about = match computer {
                Some(name) if name.as_str() != source => format!(" about {name}"),
                _ => String::new(),
            };
            format!(
                "refused {} of {}{about} in the minute of {minute}: {code}",
                counted(*count, "request", "requests"),
                escape(source)
            )
        }
        Change::ServerListChanged { sequence, ways } => {
            // The CA in use first, then the one that is to take its place: who replaced it is the entry's actor.
            let pins = ways.first().map(|way| way.ca_spki_sha256.as_slice()).unwrap_or_default();
            let pins: Vec<String> = pins.iter().map(Sha256Digest::short).collect();
            let ways: Vec<String> = ways.iter().map(way).collect();
            let (ways, pins) = (ways.join(", then "), pins.join(", then "));
            format!("computers reach this server by {ways} (server list {sequence}, CA pin {pins})")
        }
        Change::ReleaseHalted { release, reason, rollback, .. } => {
            let back = if *rollback { "; computers that run it go back" } else { "" };
            format!("halted {release}: {}{back}", escape(reason))
        }
        Change::ReleaseReconsidered { release, comment, .. } => {
            let why = if comment.is_empty() { String::new() } else { format!(" ({})", escape(comment)) };
            format!("took back the decision against {release}; it waits for a review again{why}")
        }
        Change::ReleaseRetried(ReleaseRetry { release, computers, comment, .. }) => {
            let names: Vec<&str> = computers.iter().map(|computer| computer.name.as_str()).collect();
            let shown = escape(&names.join(" "));
            let count = counted(names.len() as u64, "computer", "computers");
            let why = if comment.is_empty() { String::new() } else { format!(" ({})", escape(comment)) };
            format!("lets {count} try {release} again: {shown}{why}")
        }
        Change::ChannelChanged { name, channel } => format!("moved {name} to the channel {channel}"),
        Change::DriftReported { drift, .. } if drift.is_empty() => {
            "runs its packages as they were signed again".to_owned()
        }
        Change::DriftReported { drift, .. } => {
            let (stopped, changed): (Vec<_>, Vec<_>) =
                drift.iter().partition(|drift| drift.kind == DriftKind::NotStarted);
            let stopped: Vec<&str> = stopped.iter().map(|drift| drift.package.as_str()).collect();
            let changed: Vec<String> =
                changed.iter().map(|drift| format!("{} [{}]", drift.package, drift.kind)).collect();
            let mut said = Vec::new();
            if !stopped.is_empty() {
                said.push(format!(
                    "says that products could not be started and do not run: {}",
                    stopped.join(", ")
                ));
            }
            if !changed.is_empty() {
                said.push(format!("says that packages are not as they were signed: {}", changed.join(", ")));
            }
            said.join("; ")
        }
        Change::AdminTokenMade { token, name, ends_at, found, owner, .. } => {
            let did = match owner {
                Some(TokenOwner { renews: Some(_), .. }) => "renewed",
                _ if *found => "took over from an earlier version",
                _ => "made",
            };
            let of = owner.as_ref().map_or_else(String::new, |owner| format!(" of {}", owner.account));
            let end = ends_at.map_or_else(|| "until it is revoked".to_owned(), |end| format!("until {end}"));
            format!("{did} the admin token {} [{token}]{of}, good {end}", escape(name))
        }
        Change::AdminTokenUsed(TokenUsed { name, token, source }) => {
            format!(
                "the admin token {} [{token}] was used for the first time, from {}",
                escape(name),
                escape(source)
            )
        }
        Change::AdminTokenRevoked(TokenRevoked { name, token }) => {
            format!("revoked the admin token {} [{token}]", escape(name))
        }
        Change::ServerOperated { operation } => operated(operation),
        Change::ServerStarted { last_sign } => started(*last_sign, at),
        Change::ReleaseMandatoryChanged { .. }
        | Change::SettingsChanged { .. }
        | Change::GroupMembersChanged { .. }
        | Change::RingOpened { .. }
        | Change::RolloutCompleted { .. }
        | Change::RolloutPaused { .. }
        | Change::RolloutResumed { .. }
        | Change::RolloutEdited { .. }
        | Change::DeliveriesChanged { .. }
        | Change::ReleaseTestLoaded(_) => of_rollouts(change),
        Change::AccountAdded(_)
        | Change::AccountDisabled(_)
        | Change::AccountEnabled(_)
        | Change::AdminTokenConfirmed(_)
        | Change::ProposalMade(_)
        | Change::ProposalEnded(_)
        | Change::ReleaseDeferred(_) => of_approvals(change),
        Change::ComputerKnocked(_)
        | Change::ComputerAdmitted(_)
        | Change::CopySeen(_)
        | Change::CopyResolved(_)
        | Change::ScheduleChanged(_)
        | Change::InstallTried(_) => of_seats(change),
    }
}

fn operated(operation: &ServerOperation) -> String {
    match operation {
        ServerOperation::RenewCertificate => "asked for a new certificate".to_owned(),
        ServerOperation::SwitchCertificate => "asked for the switch to the certificate that waits".to_owned(),
        ServerOperation::FinishAddresses => "asked to end the ways of before".to_owned(),
        ServerOperation::CleanStorage => "asked to remove what nothing needs from the storage".to_owned(),
        ServerOperation::MakeBackup => "makes a backup, which holds the server's keys".to_owned(),
        ServerOperation::Other(word) => format!("did {} at the server", escape(word)),
    }
}

fn way(way: &ServerEntry) -> String {
    format!("{} port {}", escape(&way.addresses.join(" ")), way.port)
}

fn restored_by(cause: &RestoreCause) -> String {
    match cause {
        RestoreCause::MarkerDiffers { marker } => {
            format!("it does not have entry {}, which this server wrote", marker.size)
        }
        RestoreCause::BackupRestored { head } => {
            format!("a backup with {} entries was restored", head.size)
        }
        RestoreCause::Rebuilt { head } => format!("it was rebuilt from a log of {} entries", head.size),
        RestoreCause::ClientKnowsMore { client_id, lease, contacts, .. } => format!(
            "the client {client_id} shows lease {lease} and a receipt for contact {contacts}, which it does not have"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outside_text_cannot_move_a_cursor_or_forge_a_line() {
        let entry = ActivityEntry {
            version: crate::changes::activity::ENTRY_VERSION,
            sequence: 1,
            at: Timestamp::UNIX_EPOCH,
            actor: Actor::token("eve\n2 forged"),
            change: Change::PullFailed { reason: "\u{7}bell".into() },
        };
        let line = summary(&entry);
        assert!(!line.chars().any(char::is_control), "{line:?}");
    }

    #[test]
    fn the_kind_is_the_type_in_json() {
        let change = Change::PullFailed { reason: String::new() };
        let json = serde_json::to_value(&change).unwrap();
        assert_eq!(json.get("type").and_then(serde_json::Value::as_str), Some(kind(&change)));
    }
}
