//! When a release is tried again whose last try did not succeed, although nothing is wrong with the release for good.
//!
//! Invariant: however often the server wakes this computer, what fails is fetched less and less often. Counted per release and
//! attempt and not per reason: causes that take turns are no way around it. A person who asks is not kept waiting.
//! Left out on purpose: what is given up for good ([`super::policy::GivenUp`]), and refusals that cost nothing.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use sealpost_manifests::assignment::PackageAssignment;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::wire::report::ReasonCode;
use serde::{Deserialize, Serialize};

/// The pause after the first try that failed; it doubles with each further one.
const FIRST_PAUSE: SignedDuration = SignedDuration::from_mins(1);
/// The longest pause: about the time between two contacts.
const LONGEST_PAUSE: SignedDuration = SignedDuration::from_hours(4);

/// A release whose last try failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failing {
    /// Digest of its manifest.
    manifest: Sha256Digest,
    attempt: u32,
    /// Why the last try failed.
    pub reason: ReasonCode,
    /// How many tries failed.
    tries: u32,
    /// When it is tried again.
    pub again_at: Timestamp,
}

impl Failing {
    /// The state after a try that failed; `None` if the next one waits for nothing.
    #[must_use]
    pub fn after(
        before: Option<&Self>,
        wanted: &PackageAssignment,
        reason: ReasonCode,
        now: Timestamp,
    ) -> Option<Self> {
        if !is_costly(reason) {
            return None;
        }
        let before = before.filter(|before| before.is_about(wanted));
        let tries = before.map_or(1, |before| before.tries.saturating_add(1));
        let pause = FIRST_PAUSE.saturating_mul(1 << tries.saturating_sub(1).min(10)).min(LONGEST_PAUSE);
        Some(Self {
            manifest: wanted.manifest,
            attempt: wanted.attempt,
            reason,
            tries,
            again_at: now.saturating_add(pause).unwrap_or(Timestamp::MAX),
        })
    }

    /// The state while the link to the server is in use: that is no failure, and those before it still count.
    #[must_use]
    pub fn waits_for_link(
        before: Option<&Self>,
        wanted: &PackageAssignment,
        again_in: Duration,
        now: Timestamp,
    ) -> Self {
        let tries = before.filter(|before| before.is_about(wanted)).map_or(0, |before| before.tries);
        let again_in = SignedDuration::try_from(again_in).unwrap_or(LONGEST_PAUSE);
        Self {
            manifest: wanted.manifest,
            attempt: wanted.attempt,
            reason: ReasonCode::LinkBusy,
            tries,
            again_at: now.saturating_add(again_in).unwrap_or(Timestamp::MAX),
        }
    }

    /// How many tries of it failed.
    #[must_use]
    pub const fn tries(&self) -> u32 {
        self.tries
    }

    /// Whether it is about what is assigned now.
    #[must_use]
    pub fn is_about(&self, wanted: &PackageAssignment) -> bool {
        (self.manifest, self.attempt) == (wanted.manifest, wanted.attempt)
    }

    /// The same, to be tried at once.
    #[must_use]
    pub const fn due(self, now: Timestamp) -> Self {
        Self { again_at: now, ..self }
    }
}

/// Whether a try that ended so may have moved many bytes, or will end the same way if it is repeated at once.
const fn is_costly(reason: ReasonCode) -> bool {
    matches!(
        reason,
        ReasonCode::DiskFull
            | ReasonCode::NetworkFailed
            | ReasonCode::PayloadInvalid
            | ReasonCode::LocalFault
    )
}

#[cfg(test)]
mod tests {
    use sealpost_manifests::ids::{PackageName, Platform};
    use sealpost_manifests::release::ReleaseId;
    use sealpost_manifests::version::Version;

    use super::*;

    fn wanted(attempt: u32) -> PackageAssignment {
        let release = ReleaseId {
            package: PackageName::new("acme").unwrap(),
            version: Version::new("2").unwrap(),
            platform: Platform::any(),
        };
        PackageAssignment::install(release, Sha256Digest::of(b"two"), 4, attempt)
    }

    #[test]
    fn what_fails_again_and_again_is_tried_less_and_less_often_whatever_the_cause() {
        let now = Timestamp::UNIX_EPOCH;
        let (mut state, mut pauses) = (None, Vec::new());
        for reason in [ReasonCode::NetworkFailed, ReasonCode::PayloadInvalid].into_iter().cycle().take(12) {
            state = Failing::after(state.as_ref(), &wanted(1), reason, now);
            pauses.push(state.unwrap().again_at.duration_since(now).as_mins());
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 64, 128, 240, 240, 240, 240]);
        let next = Failing::after(state.as_ref(), &wanted(2), ReasonCode::DiskFull, now).unwrap();
        assert_eq!(next.again_at.duration_since(now).as_mins(), 1, "an admin had it tried again");
        assert!(next.is_about(&wanted(2)) && !next.is_about(&wanted(1)));
        assert_eq!(next.due(now).again_at, now);
    }

    #[test]
    fn waiting_for_the_link_counts_no_failure_and_forgets_none() {
        let now = Timestamp::UNIX_EPOCH;
        let waits = Failing::waits_for_link(None, &wanted(1), Duration::from_secs(300), now);
        assert_eq!((waits.reason, waits.again_at.as_second()), (ReasonCode::LinkBusy, 300));
        let first = Failing::after(Some(&waits), &wanted(1), ReasonCode::NetworkFailed, now).unwrap();
        assert_eq!(first.again_at.as_second(), 60, "it is the first failure");
        let waits = Failing::waits_for_link(Some(&first), &wanted(1), Duration::from_secs(5), now);
        let second = Failing::after(Some(&waits), &wanted(1), ReasonCode::NetworkFailed, now).unwrap();
        assert_eq!(second.again_at.as_second(), 120);
    }

    #[test]
    fn what_costs_nothing_or_is_given_up_has_no_pause() {
        let now = Timestamp::UNIX_EPOCH;
        let costly = ReasonCode::KNOWN
            .iter()
            .filter(|reason| Failing::after(None, &wanted(1), **reason, now).is_some());
        assert_eq!(
            costly.map(ReasonCode::as_str).collect::<Vec<_>>(),
            ["disk_full", "network_failed", "payload_invalid", "local_fault"]
        );
    }
}
