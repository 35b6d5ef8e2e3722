//! Reports of a computer: which are new, what each means for the list of failed computers.
//!
//! Invariant: a report is logged once, in the order of its id; how many packages one computer may fill the lists with
//! is bounded.

use std::collections::{BTreeMap, BTreeSet};

use sealpost_manifests::ids::PackageName;
use sealpost_manifests::wire::contact::MAX_PACKAGES;
use sealpost_manifests::wire::report::{InstallStep, Outcome, ReasonCode, Report};
use serde::{Deserialize, Serialize};

/// What a report does to the state of its package on its computer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReportEffect {
    /// It is the newest of its package, and the install goes on or is done.
    Progress,
    /// It is the newest of its package, and the computer refused the release, or went back without being asked to by the
    /// site.
    Failure,
    /// It is only logged: an audit, or the computer reported about too many packages before.
    Unlisted,
}

/// Reasons for which an agent refuses a release and does not try it again by itself: it fails the same way each time.
pub const GIVEN_UP_FOR: [ReasonCode; 3] =
    [ReasonCode::HookFailed, ReasonCode::HookTimedOut, ReasonCode::AgentFailed];

/// Whether a report that is a failure says that the release was given up; after any other the agent tries again by itself.
#[must_use]
pub fn gives_up(report: &Report) -> bool {
    report.step == InstallStep::RollBack || GIVEN_UP_FOR.contains(&report.reason)
}

/// Whether a report says nothing about the release: before the product was touched, the agent was stopped, made way for something
/// else, or had no network. It goes on by itself.
#[must_use]
pub fn says_nothing_of_the_release(report: &Report) -> bool {
    report.outcome == Outcome::Refused
        && report.step != InstallStep::RollBack
        && matches!(report.reason, ReasonCode::Interrupted | ReasonCode::NetworkFailed | ReasonCode::LinkBusy)
}

/// Reports above what was acknowledged, by id: each once, oldest first.
#[must_use]
pub fn fresh(reports: &[Report], acknowledged: u64) -> BTreeMap<u64, &Report> {
    reports.iter().filter(|report| report.id > acknowledged).map(|report| (report.id, report)).collect()
}

/// The effect of a report; `reported` are the packages that this computer reported about before.
#[must_use]
pub fn effect(report: &Report, reported: &BTreeSet<PackageName>) -> ReportEffect {
    if !reported.contains(&report.release.package) && reported.len() >= MAX_PACKAGES {
        return ReportEffect::Unlisted;
    }
    // It says something about files, and nothing about how an install ends.
    if report.step == InstallStep::Audit {
        return ReportEffect::Unlisted;
    }
    let asked_by_site = report.reason == ReasonCode::AskedBySite;
    if report.outcome != Outcome::Ok || (report.step == InstallStep::RollBack && !asked_by_site) {
        ReportEffect::Failure
    } else {
        ReportEffect::Progress
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;
    use sealpost_manifests::digest::Sha256Digest;
    use sealpost_manifests::ids::Platform;
    use sealpost_manifests::release::ReleaseId;
    use sealpost_manifests::version::Version;

    fn report(id: u64, package: &str, step: InstallStep, outcome: Outcome) -> Report {
        Report {
            id,
            at: Timestamp::UNIX_EPOCH,
            release: ReleaseId {
                package: PackageName::new(package).unwrap(),
                version: Version::new("1.0").unwrap(),
                platform: Platform::any(),
            },
            manifest: Sha256Digest::of(b"manifest"),
            rollout: 1,
            attempt: 1,
            step,
            outcome,
            reason: ReasonCode::Done,
            detail: String::new(),
            ring: None,
            way: None,
            bytes: None,
            duration_ms: None,
        }
    }

    #[test]
    fn only_what_was_not_acknowledged_is_new_once_and_in_order() {
        let reports: Vec<Report> =
            [3, 1, 2, 3].map(|id| report(id, "a", InstallStep::Check, Outcome::Ok)).into();
        assert_eq!(fresh(&reports, 1).into_keys().collect::<Vec<_>>(), [2, 3]);
        assert!(fresh(&reports, 3).is_empty());
    }

    #[test]
    fn a_refusal_a_failure_and_a_rollback_count_as_failed() {
        let none = BTreeSet::new();
        let of = |step, outcome| effect(&report(1, "a", step, outcome), &none);
        assert_eq!(of(InstallStep::Keep, Outcome::Ok), ReportEffect::Progress);
        assert_eq!(of(InstallStep::TestLoad, Outcome::Refused), ReportEffect::Failure);
        assert_eq!(of(InstallStep::Download, Outcome::Failed), ReportEffect::Failure);
        assert_eq!(of(InstallStep::RollBack, Outcome::Ok), ReportEffect::Failure);
    }

    #[test]
    fn what_stopped_a_computer_before_its_product_was_touched_says_nothing_of_the_release() {
        let of = |step, outcome, reason| {
            says_nothing_of_the_release(&Report { reason, ..report(1, "a", step, outcome) })
        };
        for reason in [ReasonCode::Interrupted, ReasonCode::NetworkFailed, ReasonCode::LinkBusy] {
            for step in [InstallStep::Download, InstallStep::Build, InstallStep::Stop] {
                assert!(of(step, Outcome::Refused, reason), "{step} {reason}");
            }
            // Power that went off in the midst of an install may be the release itself.
            assert!(!of(InstallStep::RollBack, Outcome::Ok, reason), "{reason}");
            assert!(!of(InstallStep::RollBack, Outcome::Refused, reason), "{reason}");
            assert!(!of(InstallStep::Switch, Outcome::Failed, reason), "{reason}");
        }
        for reason in [ReasonCode::HookFailed, ReasonCode::PayloadInvalid, ReasonCode::DiskFull] {
            assert!(!of(InstallStep::Download, Outcome::Refused, reason), "{reason}");
        }
    }

    #[test]
    fn an_audit_is_logged_and_says_nothing_about_how_an_install_ended() {
        for outcome in [Outcome::Ok, Outcome::Failed] {
            let audit = report(1, "a", InstallStep::Audit, outcome);
            assert_eq!(effect(&audit, &BTreeSet::new()), ReportEffect::Unlisted);
        }
    }

    #[test]
    fn a_rollback_counts_as_failed_unless_the_site_asked_for_it_and_it_worked() {
        let of = |outcome, reason| {
            let report = Report { reason, ..report(1, "a", InstallStep::RollBack, outcome) };
            effect(&report, &BTreeSet::new())
        };
        assert_eq!(of(Outcome::Ok, ReasonCode::AskedBySite), ReportEffect::Progress);
        assert_eq!(of(Outcome::Failed, ReasonCode::AskedBySite), ReportEffect::Failure);
        for reason in [ReasonCode::HookFailed, ReasonCode::Interrupted, ReasonCode::AskedLocally] {
            assert_eq!(of(Outcome::Ok, reason), ReportEffect::Failure, "{reason}");
        }
    }

    #[test]
    fn a_computer_fills_the_lists_with_a_bounded_number_of_packages() {
        let many: BTreeSet<PackageName> =
            (0..MAX_PACKAGES).map(|number| PackageName::new(format!("p{number}")).unwrap()).collect();
        let of = |package| effect(&report(1, package, InstallStep::Keep, Outcome::Ok), &many);
        assert_eq!(of("p0"), ReportEffect::Progress, "a known package goes on");
        assert_eq!(of("one-more"), ReportEffect::Unlisted);
    }
}
