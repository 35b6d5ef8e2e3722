//! Which fields of a change are optional, so that none of them is left empty in the golden log.

use sealpost_manifests::assignment::{PackageAssignment, Start, Urgency};
use sealpost_site::changes::Change;
use sealpost_site::rules::release::Supersession;

/// The optional fields of a change, and whether each is left out. A field that is added to a change is added here.
pub(super) fn optional_fields(change: &Change) -> Vec<(&'static str, bool)> {
    let supersession = |of: &Supersession| {
        vec![("superseded", of.superseded.is_empty()), ("restored", of.restored.is_empty())]
    };
    match change {
        Change::GrantAccepted { confirms, .. } => vec![("confirms", !confirms)],
        Change::ClientEnrolled { replaces, .. } => vec![("replaces", replaces.is_none())],
        Change::UnknownComputerSeen { drops, .. } => vec![("drops", drops.is_none())],
        Change::LeaseIssued { entitlements, .. } => vec![("entitlements", entitlements.is_empty())],
        Change::AssignmentChanged { packages, .. } => packages.iter().flat_map(of_package).collect(),
        Change::StepReported { report, .. } => vec![
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
        Change::ReleaseApproved { approval, supersession: of, .. } => {
            let mut fields = supersession(of);
            fields.push(("comment", approval.comment.is_empty()));
            fields
        }
        Change::ReleaseHalted { rollback, withdrawn, supersession: of, .. } => {
            let mut fields = supersession(of);
            fields.extend([("rollback", !rollback), ("withdrawn", !withdrawn)]);
            fields
        }
        Change::Refused { computer, .. } => vec![("computer", computer.is_none())],
        Change::DriftReported { drift, .. } => vec![("drift", drift.is_empty())],
        Change::AdminTokenMade { ends_at, found, .. } => {
            vec![("ends_at", ends_at.is_none()), ("found", !found)]
        }
        Change::ServerInitialized { .. }
        | Change::AdminTokenUsed { .. }
        | Change::AdminTokenRevoked { .. }
        | Change::ServerOperated { .. }
        | Change::SerialRegistered { .. }
        | Change::SeatReserved { .. }
        | Change::SetupIssued { .. }
        | Change::ForkDetected { .. }
        | Change::LogForkReported { .. }
        | Change::MetadataPulled { .. }
        | Change::PullFailed { .. }
        | Change::ReleaseStaged { .. }
        | Change::DeltaMade { .. }
        | Change::ReleaseRejected { .. }
        | Change::ServerListChanged { .. }
        | Change::ReleaseReconsidered { .. }
        | Change::ReleaseRetried { .. }
        | Change::RestoreAcknowledged { .. }
        | Change::ChannelChanged { .. } => Vec::new(),
    }
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
