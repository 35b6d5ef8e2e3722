//! What was put off at this computer: by a person ("not for two hours") or by the product ("a scan runs").
//!
//! Invariants: whoever puts off does so for a time that ends, and no further than the site allows; putting off is no failure
//! and uses up no try. A person's word goes before the product's. Counts belong to the package and not to one release: a newer
//! release that takes the place of one that waits begins none of them anew, only an install does.

use jiff::{SignedDuration, Timestamp};
use sealpost_manifests::assignment::{PackageAssignment, Urgency};
use sealpost_manifests::digest::Sha256Digest;
use serde::{Deserialize, Serialize};

/// The pause after the first "not now" of the product; it grows by as much with each further one.
const FIRST_PAUSE: SignedDuration = SignedDuration::from_mins(5);
/// The longest pause until the product is asked again.
const LONGEST_PAUSE: SignedDuration = SignedDuration::from_mins(30);
/// For how long a product may say "not now" if the site names no end.
const LONGEST_DECLINED: SignedDuration = SignedDuration::from_hours(7 * 24);
/// What a product said before it was left alone for so long is over.
const LEFT_ALONE: SignedDuration = SignedDuration::from_hours(24);

/// What was put off of one package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PutOff {
    /// Digest of the manifest of the release that it is about; of several that followed each other while the computer
    /// waited, the last one that anybody said something about.
    pub manifest: Sha256Digest,
    /// Digest of what ran meanwhile, once that was looked at: when another one runs, a release was installed since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    over: Option<Sha256Digest>,
    /// A person's hold ends then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    held_until: Option<Timestamp>,
    /// How often a person put the package off since a release of it was installed.
    #[serde(default, skip_serializing_if = "is_zero")]
    holds: u32,
    /// The product's last answer, if it was "not now".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    declined: Option<Declined>,
    /// Whether a person asked for the install of this release.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_asked_for: bool,
}

/// That a product said "not now".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Declined {
    /// When it said so first since a release was installed.
    since: Timestamp,
    times: u32,
    again_at: Timestamp,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
const fn is_zero(count: &u32) -> bool {
    *count == 0
}

/// Why a person cannot put a release off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HoldRefusal {
    #[error("it is an emergency, which is installed at once")]
    Emergency,
    #[error("the site allows no putting off; ask the administrator")]
    NotAllowed,
    #[error("it was put off {times} of {times} times already, as often as the site allows")]
    UsedUp { times: u32 },
    #[error("the site allows putting off until {until} only")]
    TooLate { until: Timestamp },
}

/// Whether a change is to be carried out whatever holds it back at this computer.
#[must_use]
pub fn is_forced(wanted: &PackageAssignment, now: Timestamp) -> bool {
    wanted.urgency == Urgency::Emergency || wanted.deadline.is_some_and(|deadline| deadline <= now)
}

impl PutOff {
    /// What of it concerns the release that is assigned now. If that is a newer one, a hold goes on, and so do all counts and
    /// the pause until the product is asked again; but a person asked for the release of before, and not for this one.
    #[must_use]
    pub fn of(kept: Option<&Self>, wanted: &PackageAssignment, now: Timestamp) -> Self {
        match kept {
            Some(kept) if kept.manifest == wanted.manifest => kept.clone(),
            Some(kept) => Self {
                manifest: wanted.manifest,
                held_until: kept.held_until.filter(|until| *until > now),
                is_asked_for: false,
                ..kept.clone()
            },
            None => Self {
                manifest: wanted.manifest,
                over: None,
                held_until: None,
                holds: 0,
                declined: None,
                is_asked_for: false,
            },
        }
    }

    /// What is left of it when `runs` is found to run and `wanted` is assigned; `None` if a release was installed since, or
    /// if nothing waits any more.
    #[must_use]
    pub fn while_runs(self, runs: Option<Sha256Digest>, wanted: &PackageAssignment) -> Option<Self> {
        let Some(runs) = runs else { return Some(self) };
        let is_over =
            [wanted.manifest, self.manifest].contains(&runs) || self.over.is_some_and(|over| over != runs);
        (!is_over).then_some(Self { over: Some(runs), ..self })
    }

    /// Whether there is nothing to keep.
    #[must_use]
    pub const fn is_nothing(&self) -> bool {
        self.holds == 0 && self.held_until.is_none() && self.declined.is_none() && !self.is_asked_for
    }

    /// When the hold of a person ends, as far as the site allows it.
    #[must_use]
    pub fn held_until(&self, wanted: &PackageAssignment) -> Option<Timestamp> {
        let until = self.held_until?.min(wanted.postpone?.until);
        Some(wanted.deadline.map_or(until, |deadline| until.min(deadline)))
    }

    /// How often a person put the package off since a release of it was installed.
    #[must_use]
    pub const fn holds(&self) -> u32 {
        self.holds
    }

    /// How often the product said "not now" since a release was installed.
    #[must_use]
    pub fn times_declined(&self) -> u32 {
        self.declined.map_or(0, |declined| declined.times)
    }

    /// When the product is asked again, if it said "not now".
    #[must_use]
    pub fn asked_again_at(&self) -> Option<Timestamp> {
        self.declined.map(|declined| declined.again_at)
    }

    /// The state once a person put it off for so long.
    ///
    /// # Errors
    /// [`HoldRefusal`].
    pub fn hold(
        &self,
        wanted: &PackageAssignment,
        now: Timestamp,
        length: SignedDuration,
    ) -> Result<Self, HoldRefusal> {
        if wanted.urgency == Urgency::Emergency {
            return Err(HoldRefusal::Emergency);
        }
        let postpone = wanted.postpone.ok_or(HoldRefusal::NotAllowed)?;
        if self.holds >= postpone.times {
            return Err(HoldRefusal::UsedUp { times: postpone.times });
        }
        let latest = wanted.deadline.map_or(postpone.until, |deadline| postpone.until.min(deadline));
        if latest <= now {
            return Err(HoldRefusal::TooLate { until: latest });
        }
        let until = now.saturating_add(length).unwrap_or(Timestamp::MAX).min(latest);
        let holds = self.holds.saturating_add(1);
        Ok(Self { held_until: Some(until), holds, is_asked_for: false, ..self.clone() })
    }

    /// The state once a person ended the hold.
    #[must_use]
    pub fn released(&self) -> Self {
        Self { held_until: None, ..self.clone() }
    }

    /// Whether a hold of a person is on.
    #[must_use]
    pub fn is_held(&self, wanted: &PackageAssignment, now: Timestamp) -> bool {
        self.held_until(wanted).is_some_and(|until| until > now)
    }

    /// The state once a person asked for the install: that ends a hold too.
    #[must_use]
    pub fn asked_for(&self) -> Self {
        Self { held_until: None, is_asked_for: true, ..self.clone() }
    }

    /// Whether the product is asked before the change.
    #[must_use]
    pub fn asks_product(&self, wanted: &PackageAssignment, now: Timestamp) -> bool {
        !is_forced(wanted, now) && !self.is_asked_for && now < self.last_answer_counts_until(wanted, now)
    }

    /// When the product is asked again, if nothing heavy is to be done before that.
    #[must_use]
    pub fn asks_nothing_before(&self, wanted: &PackageAssignment, now: Timestamp) -> Option<Timestamp> {
        self.asked_again_at().filter(|again_at| *again_at > now && self.asks_product(wanted, now))
    }

    /// The state once the product said "not now".
    #[must_use]
    pub fn declined(&self, wanted: &PackageAssignment, now: Timestamp) -> Self {
        let times = self.times_declined().saturating_add(1);
        let since = self.declines_since(now);
        let factor = i32::try_from(times).unwrap_or(i32::MAX);
        let pause = FIRST_PAUSE.saturating_mul(factor).min(LONGEST_PAUSE);
        let again_at = now.saturating_add(pause).unwrap_or(Timestamp::MAX);
        let again_at = again_at.min(self.last_answer_counts_until(wanted, now));
        Self { declined: Some(Declined { since, times, again_at }), ..self.clone() }
    }

    /// Since when the product declines one time after the other. What it said before it was left alone for a day, as between a
    /// download and a window that opens a week later, begins no such row. One that came to its end stays at it until an install.
    fn declines_since(&self, now: Timestamp) -> Timestamp {
        let goes_on = |declined: &Declined| {
            let left_alone = declined.again_at.saturating_add(LEFT_ALONE).unwrap_or(Timestamp::MAX);
            let end = declined.since.saturating_add(LONGEST_DECLINED).unwrap_or(Timestamp::MAX);
            now <= left_alone || left_alone >= end
        };
        self.declined.filter(goes_on).map_or(now, |declined| declined.since)
    }

    /// From then on the product is not asked any more.
    fn last_answer_counts_until(&self, wanted: &PackageAssignment, now: Timestamp) -> Timestamp {
        let of_site = wanted.postpone.map(|postpone| postpone.until).into_iter().chain(wanted.deadline).min();
        of_site.unwrap_or_else(|| {
            let since = self.declines_since(now);
            since.saturating_add(LONGEST_DECLINED).unwrap_or(Timestamp::MAX)
        })
    }
}

#[cfg(test)]
mod tests {
    use sealpost_manifests::assignment::Postpone;
    use sealpost_manifests::ids::{PackageName, Platform};
    use sealpost_manifests::release::ReleaseId;
    use sealpost_manifests::version::Version;

    use super::*;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + minute * 60).unwrap()
    }

    fn wanted(manifest: &str) -> PackageAssignment {
        let release = ReleaseId {
            package: PackageName::new("acme").unwrap(),
            version: Version::new("2").unwrap(),
            platform: Platform::any(),
        };
        let install = PackageAssignment::install(release, Sha256Digest::of(manifest.as_bytes()), 4, 0);
        PackageAssignment { postpone: Some(Postpone { times: 2, until: at(600) }), ..install }
    }

    fn nothing() -> PutOff {
        PutOff::of(None, &wanted("two"), at(0))
    }

    const HOUR: SignedDuration = SignedDuration::from_hours(1);

    #[test]
    fn a_product_that_declined_at_the_download_is_asked_again_before_the_stop_days_later() {
        let wanted = PackageAssignment { postpone: None, ..wanted("two") };
        let days = |days: i64| days * 24 * 60;
        let declined = nothing().declined(&wanted, at(0));
        // It said yes then, and its window opens after eight days.
        assert!(declined.asks_product(&wanted, at(days(8))));
        let again = declined.declined(&wanted, at(days(8)));
        assert!(again.asks_product(&wanted, at(days(9))), "a row of its own");
        // One time after the other it declines for a week and no longer.
        let mut row = nothing();
        let mut now = 0;
        while row.asks_product(&wanted, at(now)) {
            row = row.declined(&wanted, at(now));
            now += 60 * 12;
        }
        assert_eq!(now, days(7));
    }

    #[test]
    fn a_person_puts_off_as_often_as_the_site_allows_and_no_further() {
        let wanted = wanted("two");
        let once = nothing().hold(&wanted, at(0), HOUR).unwrap();
        assert_eq!((once.held_until(&wanted), once.holds()), (Some(at(60)), 1));
        let twice = once.hold(&wanted, at(30), HOUR * 100).unwrap();
        assert_eq!(twice.held_until(&wanted), Some(at(600)), "not beyond what the site allows");
        assert_eq!(twice.hold(&wanted, at(40), HOUR), Err(HoldRefusal::UsedUp { times: 2 }));
        assert_eq!(twice.released().hold(&wanted, at(40), HOUR), Err(HoldRefusal::UsedUp { times: 2 }));
        let with_deadline = PackageAssignment { deadline: Some(at(50)), ..wanted };
        assert_eq!(once.held_until(&with_deadline), Some(at(50)));
    }

    #[test]
    fn what_the_site_does_not_allow_is_refused_with_the_reason() {
        let wanted = wanted("two");
        let without = PackageAssignment { postpone: None, ..wanted.clone() };
        assert_eq!(nothing().hold(&without, at(0), HOUR), Err(HoldRefusal::NotAllowed));
        let emergency = PackageAssignment { urgency: Urgency::Emergency, ..wanted.clone() };
        assert_eq!(nothing().hold(&emergency, at(0), HOUR), Err(HoldRefusal::Emergency));
        let late = HoldRefusal::TooLate { until: at(600) };
        assert_eq!(nothing().hold(&wanted, at(600), HOUR), Err(late));
        let due = PackageAssignment { deadline: Some(at(5)), ..wanted };
        assert_eq!(nothing().hold(&due, at(6), HOUR), Err(HoldRefusal::TooLate { until: at(5) }));
    }

    #[test]
    fn a_newer_release_begins_no_count_anew_and_a_hold_goes_on() {
        let held = nothing().hold(&wanted("two"), at(0), HOUR).unwrap().declined(&wanted("two"), at(0));
        let next = PutOff::of(Some(&held), &wanted("three"), at(10));
        assert_eq!((next.held_until(&wanted("three")), next.holds()), (Some(at(60)), 1));
        assert_eq!((next.times_declined(), next.asked_again_at()), (1, Some(at(5))));
        assert!(!PutOff::of(Some(&held.asked_for()), &wanted("three"), at(10)).is_asked_for);
        // Also once the hold has ended: a person cannot put off for ever by waiting for the next revision.
        let later = PutOff::of(Some(&next), &wanted("four"), at(61));
        assert_eq!((later.held_until(&wanted("four")), later.holds()), (None, 1));
        let twice = later.hold(&wanted("four"), at(61), HOUR).unwrap();
        let last = PutOff::of(Some(&twice), &wanted("five"), at(200));
        assert_eq!(last.hold(&wanted("five"), at(200), HOUR), Err(HoldRefusal::UsedUp { times: 2 }));
    }

    #[test]
    fn a_product_that_declines_each_hourly_revision_comes_to_its_end_all_the_same() {
        let mut state = nothing();
        let mut declined_last = None;
        for hour in 0..24 * 30 {
            let wanted = PackageAssignment { postpone: None, ..wanted(&format!("revision {hour}")) };
            state = PutOff::of(Some(&state), &wanted, at(hour * 60));
            state = state.while_runs(Some(Sha256Digest::of(b"old")), &wanted).unwrap();
            if state.asks_product(&wanted, at(hour * 60)) {
                state = state.declined(&wanted, at(hour * 60));
                declined_last = Some(hour);
            }
        }
        assert_eq!(declined_last, Some(7 * 24 - 1), "a week after it said so first");
    }

    #[test]
    fn an_install_and_nothing_else_begins_the_counts_anew() {
        let runs = |text: &str| Some(Sha256Digest::of(text.as_bytes()));
        let held = || nothing().hold(&wanted("two"), at(0), HOUR).unwrap();
        let seen = || held().while_runs(runs("one"), &wanted("two")).unwrap();
        for (state, now_runs, now_wanted, is_kept) in [
            (held(), None, "three", true),
            (held(), runs("one"), "three", true),
            (seen(), runs("one"), "three", true),
            // What was put off was installed, whether that was noted at once or not.
            (held(), runs("two"), "three", false),
            (seen(), runs("two"), "three", false),
            // A release between them was.
            (seen(), runs("two and a half"), "three", false),
            // What runs is assigned again: nothing waits.
            (seen(), runs("one"), "one", false),
        ] {
            let left = state.clone().while_runs(now_runs, &wanted(now_wanted));
            assert_eq!(left.is_some(), is_kept, "{state:?} {now_runs:?} {now_wanted}");
        }
    }

    #[test]
    fn a_product_is_asked_less_and_less_often_and_not_for_ever() {
        let (mut state, mut now, mut pauses) = (nothing(), at(0), Vec::new());
        let wanted = PackageAssignment { postpone: None, ..wanted("two") };
        while state.asks_product(&wanted, now) {
            state = state.declined(&wanted, now);
            let again = state.asked_again_at().unwrap();
            pauses.push(again.duration_since(now).as_mins());
            now = again;
        }
        assert_eq!(pauses[..7], [5, 10, 15, 20, 25, 30, 30]);
        assert_eq!(now, at(7 * 24 * 60), "a week after it said so first");
    }

    #[test]
    fn the_sites_end_ends_what_the_product_puts_off() {
        let wanted = wanted("two");
        for (deadline, end) in [(None, 600), (Some(at(90)), 90), (Some(at(900)), 600)] {
            let wanted = PackageAssignment { deadline, ..wanted.clone() };
            let state = nothing().declined(&wanted, at(end - 1));
            assert_eq!(state.asked_again_at(), Some(at(end)), "{deadline:?}");
            assert!(!state.asks_product(&wanted, at(end)), "{deadline:?}");
        }
    }

    #[test]
    fn the_record_keeps_its_form() {
        let digest = Sha256Digest::of(b"two");
        let state = nothing().hold(&wanted("two"), at(0), HOUR).unwrap().declined(&wanted("two"), at(0));
        let golden = format!(
            r#"{{"manifest":"{digest}","held_until":"2027-01-15T09:00:00Z","holds":1,"declined":{{"since":"2027-01-15T08:00:00Z","times":1,"again_at":"2027-01-15T08:05:00Z"}}}}"#
        );
        assert_eq!(serde_json::to_string(&state).unwrap(), golden);
        assert_eq!(
            serde_json::from_str::<PutOff>(&golden).unwrap(),
            state,
            "also of an agent that knew no `over`"
        );
        let over = PutOff { over: Some(Sha256Digest::of(b"one")), ..nothing() };
        let golden = format!(r#"{{"manifest":"{digest}","over":"{}"}}"#, Sha256Digest::of(b"one"));
        assert_eq!(serde_json::to_string(&over).unwrap(), golden);
        assert_eq!(serde_json::from_str::<PutOff>(&golden).unwrap(), over);
        let least: PutOff = serde_json::from_str(&format!(r#"{{"manifest":"{digest}"}}"#)).unwrap();
        assert_eq!(least, nothing());
        assert_eq!(
            serde_json::to_string(&least.asked_for()).unwrap(),
            format!(r#"{{"manifest":"{digest}","is_asked_for":true}}"#)
        );
    }
}
