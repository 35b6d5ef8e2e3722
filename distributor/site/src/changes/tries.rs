//! What reports leave with the delivery that they are about: how the release came, how many tries there were, and what failed
//! last.
//!
//! Invariant: it follows from the entries alone, and what an entry of before leaves never changes, so that a ledger that is
//! rebuilt from its log has the same rows. It is bounded, however much a computer says.
//! Left out on purpose: which delivery that is. The store finds it: the one that the entry moves on, else the newest of the
//! release on that computer.

use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::wire::report::{InstallStep, Outcome, ReasonCode, Report, Way};

use crate::rules::reports::ReportEffect;
use crate::rules::rollouts::progress::DeliveryState;
use crate::rules::rollouts::tries::{FailedStep, Tries};
use crate::rules::text::at_most;

/// Longest detail that is kept of a failed step, in bytes: some lines of a hook. The log has all of it.
pub const MAX_KEPT_BYTES: usize = 1_024;
/// What a stored count holds at the most.
const MOST_BYTES: u64 = i64::MAX.unsigned_abs();

/// What one report adds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reported {
    /// The manifest of the release.
    pub manifest: Sha256Digest,
    /// The attempt; an earlier one than the computer was told says nothing of that.
    pub attempt: u32,
    /// Whether a try begins with it.
    pub begins: bool,
    /// How the release came.
    pub way: Option<Way>,
    /// Bytes that traveled in this try.
    pub bytes: Option<u64>,
    /// What failed.
    pub failed: Option<FailedStep>,
    /// Whether what failed lies beside the release: what made a computer count as failed stays its reason then.
    pub beside: bool,
}

impl Reported {
    /// What a report adds; nothing, if there is nothing in it to keep.
    #[must_use]
    pub fn of(report: &Report, effect: ReportEffect) -> Option<Self> {
        let Report { step, outcome, reason, .. } = report;
        let failed = match effect {
            ReportEffect::Unlisted => return None,
            ReportEffect::Progress => None,
            ReportEffect::Failure => Some(FailedStep {
                step: *step,
                reason: *reason,
                detail: at_most(&report.detail, MAX_KEPT_BYTES).to_owned(),
            }),
        };
        let refused = *outcome == Outcome::Refused;
        let fetched = *step == InstallStep::Download;
        let bytes = report.bytes.filter(|_| fetched);
        let bytes =
            bytes.map(|part| part.metadata.saturating_add(part.manifest).saturating_add(part.payload));
        let reported = Self {
            manifest: report.manifest,
            attempt: report.attempt,
            // Each try is checked first. What a person or a hook says beside that is no check of a try.
            begins: *step == InstallStep::Check && (*reason == ReasonCode::Done || refused),
            way: report.way.filter(|_| fetched),
            bytes: bytes.map(|bytes| bytes.min(MOST_BYTES)),
            failed,
            beside: refused
                && matches!(
                    reason,
                    ReasonCode::NetworkFailed | ReasonCode::Interrupted | ReasonCode::LinkBusy
                ),
        };
        let is_kept = reported.begins
            || reported.way.is_some()
            || reported.bytes.is_some()
            || reported.failed.is_some();
        is_kept.then_some(reported)
    }

    /// Adds it to what is known; `state` is what had become of the delivery before.
    pub fn add_to(&self, tries: &mut Tries, state: DeliveryState) {
        // Of one whose check was lost on the way something came all the same.
        tries.count = tries.count.saturating_add(u32::from(self.begins)).max(1);
        tries.way = self.way.or(tries.way);
        if let Some(bytes) = self.bytes {
            tries.bytes = Some(tries.bytes.unwrap_or(0).saturating_add(bytes).min(MOST_BYTES));
        }
        let stays = self.beside && state == DeliveryState::Failed;
        if let Some(failed) = self.failed.as_ref().filter(|_| !stays) {
            tries.failed = Some(failed.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;
    use sealpost_manifests::ids::{PackageName, Platform};
    use sealpost_manifests::release::ReleaseId;
    use sealpost_manifests::version::Version;
    use sealpost_manifests::wire::report::TransferredBytes;

    fn report(step: InstallStep, outcome: Outcome, reason: ReasonCode) -> Report {
        Report {
            id: 1,
            at: Timestamp::UNIX_EPOCH,
            release: ReleaseId {
                package: PackageName::new("acme").unwrap(),
                version: Version::new("1").unwrap(),
                platform: Platform::any(),
            },
            manifest: Sha256Digest::of(b"m"),
            rollout: 1,
            attempt: 1,
            step,
            outcome,
            reason,
            detail: "why".to_owned(),
            ring: None,
            way: None,
            bytes: None,
            duration_ms: None,
        }
    }

    fn came(way: Way, payload: u64) -> Report {
        let bytes = Some(TransferredBytes { metadata: 1, manifest: 1, payload });
        let came = report(InstallStep::Download, Outcome::Ok, ReasonCode::ByDelta);
        Report { way: Some(way), bytes, ..came }
    }

    fn take(tries: &mut Tries, report: &Report, state: DeliveryState) {
        let effect = match report.outcome {
            Outcome::Ok => ReportEffect::Progress,
            _ => ReportEffect::Failure,
        };
        if let Some(reported) = Reported::of(report, effect) {
            reported.add_to(tries, state);
        }
    }

    #[test]
    fn tries_are_counted_by_their_checks_and_bytes_add_up() {
        let mut tries = Tries::default();
        let refused = report(InstallStep::Check, Outcome::Refused, ReasonCode::DiskFull);
        take(&mut tries, &refused, DeliveryState::Told);
        assert_eq!((tries.count, tries.failed.clone().unwrap().reason), (1, ReasonCode::DiskFull));
        take(&mut tries, &report(InstallStep::Check, Outcome::Ok, ReasonCode::Done), DeliveryState::Failed);
        take(&mut tries, &came(Way::Gzip, 8), DeliveryState::Begun);
        // A person asked for it, which is no try.
        let asked = report(InstallStep::Check, Outcome::Ok, ReasonCode::AskedLocally);
        take(&mut tries, &asked, DeliveryState::Begun);
        take(&mut tries, &report(InstallStep::Check, Outcome::Ok, ReasonCode::Done), DeliveryState::Begun);
        take(&mut tries, &came(Way::Delta, 3), DeliveryState::Begun);
        take(&mut tries, &report(InstallStep::Keep, Outcome::Ok, ReasonCode::Done), DeliveryState::Begun);
        assert_eq!((tries.count, tries.way, tries.bytes), (3, Some(Way::Delta), Some(15)));
        assert_eq!(tries.failed.unwrap().reason, ReasonCode::DiskFull, "what failed before stays");
    }

    #[test]
    fn the_newest_failure_is_kept_and_a_line_that_is_cut_takes_no_ones_reason() {
        let mut tries = Tries::default();
        let no_network = report(InstallStep::Check, Outcome::Refused, ReasonCode::NetworkFailed);
        take(&mut tries, &no_network, DeliveryState::Told);
        assert_eq!(tries.failed.clone().unwrap().reason, ReasonCode::NetworkFailed, "it waits for that");
        let crashed = report(InstallStep::Health, Outcome::Failed, ReasonCode::HookFailed);
        take(&mut tries, &crashed, DeliveryState::Begun);
        take(&mut tries, &no_network, DeliveryState::Failed);
        let failed = tries.failed.unwrap();
        assert_eq!((failed.step, failed.reason), (InstallStep::Health, ReasonCode::HookFailed));
    }

    #[test]
    fn what_is_kept_is_bounded_whatever_a_computer_says() {
        let mut tries = Tries::default();
        let detail = "ü".repeat(2_000);
        let crashed =
            Report { detail, ..report(InstallStep::Health, Outcome::Failed, ReasonCode::HookFailed) };
        take(&mut tries, &crashed, DeliveryState::Begun);
        assert_eq!(tries.failed.as_ref().unwrap().detail.len(), MAX_KEPT_BYTES);
        for _ in 0..3 {
            take(&mut tries, &came(Way::Gzip, u64::MAX), DeliveryState::Begun);
        }
        assert_eq!((tries.count, tries.bytes), (1, Some(MOST_BYTES)), "one whose check was lost");
        let audit = report(InstallStep::Audit, Outcome::Failed, ReasonCode::PayloadInvalid);
        assert_eq!(Reported::of(&audit, ReportEffect::Unlisted), None);
        let built = report(InstallStep::Build, Outcome::Ok, ReasonCode::Done);
        assert_eq!(Reported::of(&built, ReportEffect::Progress), None, "nothing of it is kept");
    }
}
