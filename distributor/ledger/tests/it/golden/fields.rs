//! Which fields of a change are optional, so that none of them is left empty in the golden log.

use sealpost_manifests::assignment::{PackageAssignment, Start, Urgency};
use sealpost_site::changes::{Change, DeliveryStep};
use sealpost_site::rules::approvals::proposal::{Proposed, Steering};
use sealpost_site::rules::release::Supersession;

/// The optional fields of a change, and whether each is left out. A field that is added to a change is added here.
pub(super) fn optional_fields(change: &Change) -> Vec<(&'static str, bool)> {
    let supersession = |of: &Supersession| {
        vec![("superseded", of.superseded.is_empty()), ("restored", of.restored.is_empty())]
    };
    match change {
        Change::GrantAccepted { confirms, .. } => vec![("confirms", !confirms)],
        Change::ClientEnrolled { replaces, last_contact, by, .. } => vec![
            ("replaces", replaces.is_none()),
            ("last_contact", last_contact.is_none()),
            ("by", by.is_code()),
        ],
        Change::ComputerKnocked(knocked) => vec![
            ("drops", knocked.drops.is_none()),
            ("client_key", knocked.drops.as_ref().is_none_or(|dropped| dropped.client_key.is_none())),
        ],
        Change::CopySeen(seen) => vec![
            ("came_by", seen.came_by.is_none()),
            ("hostname", seen.hostname.is_none()),
            ("instance", seen.instance.is_none()),
            ("packages", seen.packages.is_empty()),
        ],
        Change::CopyResolved(resolved) => vec![("comment", resolved.comment.is_empty())],
        Change::ScheduleChanged(changed) => vec![
            ("schedule", changed.schedule.is_none()),
            ("ssh", changed.schedule.as_ref().is_none_or(|schedule| schedule.ssh.is_none())),
        ],
        Change::InstallTried(tried) => vec![("reason", tried.reason.is_empty())],
        Change::UnknownComputerSeen { drops, .. } => vec![("drops", drops.is_none())],
        Change::LeaseIssued { entitlements, .. } => vec![("entitlements", entitlements.is_empty())],
        Change::AssignmentChanged { packages, deliveries, .. } => {
            let mut fields: Vec<_> = packages.iter().flat_map(of_package).collect();
            fields.push(("deliveries", deliveries.is_empty()));
            fields.extend(deliveries.iter().flat_map(of_delivery));
            fields
        }
        Change::StepReported { report, delivery, .. } => vec![
            ("delivery", delivery.is_none()),
            ("detail", report.detail.is_empty()),
            ("report ring", report.ring.is_none()),
            ("way", report.way.is_none()),
            ("bytes", report.bytes.is_none()),
            ("duration_ms", report.duration_ms.is_none()),
        ],
        Change::LedgerRestored { lost_era, .. } => vec![("lost_era", lost_era.is_none())],
        Change::ClientResumed { shown, instance, recreated, displaces, .. } => vec![
            ("shown", shown.is_empty()),
            ("instance", instance.is_none()),
            ("recreated", recreated.is_none()),
            ("replaces", recreated.as_ref().is_none_or(|made| made.replaces.is_none())),
            ("serials", recreated.as_ref().is_none_or(|made| made.serials.is_empty())),
            ("displaces", displaces.is_none()),
            ("displaced instance", displaces.as_ref().is_none_or(|displaced| displaced.instance.is_none())),
        ],
        Change::CounterReset { voided, .. } => vec![("voided", voided.is_empty())],
        Change::ReleaseRefused { problems, .. } => vec![("problems", problems.is_empty())],
        Change::ReleaseChannelsChanged { supersession: of, .. }
        | Change::ReleaseWithdrawn { supersession: of, .. } => supersession(of),
        Change::ReleaseApproved { approval, staged, supersession: of, .. } => {
            let mut fields = supersession(of);
            fields.push(("comment", approval.comment.is_empty()));
            fields.push(("staged", staged.is_none()));
            if let Some(staged) = staged {
                fields.extend([("emergency", !staged.emergency), ("complete", !staged.complete)]);
            }
            fields
        }
        Change::ReleaseHalted { rollback, withdrawn, aborted, supersession: of, .. } => {
            let mut fields = supersession(of);
            fields.extend([("rollback", !rollback), ("withdrawn", !withdrawn), ("aborted", !aborted)]);
            fields
        }
        Change::Refused { computer, .. } => vec![("computer", computer.is_none())],
        Change::DriftReported { drift, .. } => vec![("drift", drift.is_empty())],
        Change::AdminTokenMade { ends_at, found, owner, .. } => {
            let renews = owner.as_ref().is_none_or(|owner| owner.renews.is_none());
            let (ends, owned) = (("ends_at", ends_at.is_none()), ("owner", owner.is_none()));
            vec![ends, ("found", !found), owned, ("renews", renews)]
        }
        Change::ReleaseTestLoaded(test) => {
            vec![("detail", test.detail.is_empty()), ("program", test.program.is_none())]
        }
        Change::AccountAdded(of) | Change::AccountDisabled(of) | Change::AccountEnabled(of) => {
            vec![("comment", of.comment.is_empty())]
        }
        Change::ProposalMade(made) => {
            let mut fields = vec![("account", made.account.is_none()), ("comment", made.comment.is_empty())];
            match &made.proposed {
                Proposed::ApproveRelease { emergency, .. }
                | Proposed::SteerRollout { how: Steering::Edit { emergency, .. }, .. } => {
                    fields.push(("emergency", !emergency));
                }
                Proposed::ChangeSettings { members, state, replaces, .. } => {
                    fields.push(("members", members.is_empty()));
                    fields.push(("state", state.is_none()));
                    fields.push(("replaces", replaces.is_none()));
                }
                Proposed::SteerRollout { .. }
                | Proposed::AddAccount { .. }
                | Proposed::EnableAccount { .. }
                | Proposed::ConfirmToken { .. } => {}
            }
            fields
        }
        Change::ProposalEnded(ended) => vec![("comment", ended.comment.is_empty())],
        Change::ReleaseDeferred(deferred) => vec![("comment", deferred.comment.is_empty())],
        Change::ReleaseStaged { mandatory, .. } => vec![("mandatory", !mandatory)],
        Change::SettingsChanged { changes, comment } => {
            let mut fields = vec![("comment", comment.is_empty())];
            fields.extend(changes.iter().map(|change| ("value", change.value.is_none())));
            fields
        }
        Change::GroupMembersChanged { added, removed, comment, .. } => {
            let comment = ("comment", comment.is_empty());
            vec![("added", added.is_empty()), ("removed", removed.is_empty()), comment]
        }
        Change::ReleaseReconsidered { comment, .. } => vec![("comment", comment.is_empty())],
        Change::RingOpened { below, comment, .. } => {
            vec![("below", below.is_none()), ("comment", comment.is_empty())]
        }
        Change::RolloutCompleted { supersession: of, .. } => supersession(of),
        Change::RolloutPaused { comment, .. } => vec![("comment", comment.is_empty())],
        Change::RolloutResumed { forgiven, attempt, comment, supersession: of, .. } => {
            let mut fields = supersession(of);
            fields.extend([
                ("forgiven", forgiven.is_empty()),
                ("attempt", attempt.is_none()),
                ("comment", comment.is_empty()),
            ]);
            fields
        }
        Change::RolloutEdited { emergency, comment, .. } => {
            vec![("emergency", !emergency), ("comment", comment.is_empty())]
        }
        Change::DeliveriesChanged { computers, .. } => {
            // Only who is told has a time to be silent.
            let steps = computers.iter().flat_map(|of| of_delivery(&of.step));
            steps.filter(|(field, _)| *field == "before").collect()
        }
        Change::ServerInitialized { .. }
        | Change::ComputerAdmitted(_)
        | Change::ReleaseMandatoryChanged { .. }
        | Change::AdminTokenUsed { .. }
        | Change::AdminTokenConfirmed(_)
        | Change::AdminTokenRevoked { .. }
        | Change::ServerOperated { .. }
        | Change::ServerStarted { .. }
        | Change::SerialRegistered { .. }
        | Change::SeatReserved { .. }
        | Change::SetupIssued { .. }
        | Change::ForkDetected { .. }
        | Change::LogForkReported { .. }
        | Change::MetadataPulled { .. }
        | Change::PullFailed { .. }
        | Change::DeltaMade { .. }
        | Change::ReleaseRejected { .. }
        | Change::ServerListChanged { .. }
        | Change::ReleaseRetried { .. }
        | Change::RestoreAcknowledged { .. }
        | Change::ChannelChanged { .. } => Vec::new(),
    }
}

fn of_delivery(step: &DeliveryStep) -> Vec<(&'static str, bool)> {
    vec![("before", step.before.is_none()), ("silence_secs", step.silence_secs.is_none())]
}

fn of_package(told: &PackageAssignment) -> Vec<(&'static str, bool)> {
    vec![
        ("download_from", told.download_from.is_none()),
        ("install_from", told.install_from.is_none()),
        ("install_until", told.install_until.is_none()),
        ("deadline", told.deadline.is_none()),
        ("start", told.start == Start::Automatic),
        ("urgency", told.urgency == Urgency::Normal),
        ("why", told.why.is_none()),
        ("postpone", told.postpone.is_none()),
        ("ring", told.ring.is_none()),
    ]
}
