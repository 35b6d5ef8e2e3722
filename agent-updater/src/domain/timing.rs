//! When an assigned change may be made ready, and when it may touch the product.
//!
//! Making ready (download, build, test-load) changes nothing that the product sees, so it may come long before. Invariants:
//! from the deadline on, and in an emergency, nothing at this computer holds a change back; every wait that a person or the
//! product causes has an end. Left out on purpose: whether the change is wanted at all ([`super::policy`]).

use std::fmt;

use jiff::Timestamp;
use sealpost_manifests::assignment::{PackageAssignment, Start, Urgency};

use super::put_off::{PutOff, is_forced};

/// What the times of an assignment allow at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Timing {
    Now,
    /// Not even the download, before this time.
    NotBefore(Timestamp),
    /// The window closed; only the deadline, if there is one, or another assignment changes that.
    Closed {
        closed_at: Timestamp,
        deadline: Option<Timestamp>,
    },
    /// To be made ready; the product is not touched yet.
    Waits(Wait),
}

/// What a change waits for that is, or is to be made, ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// Its window, or its deadline if that comes before.
    Window { opens_at: Timestamp },
    /// A person who starts it; at the deadline it starts by itself.
    Person { deadline: Option<Timestamp> },
    /// The end of what a person put off.
    Hold { until: Timestamp },
    /// The product said "not now"; it is asked again then.
    Product { again_at: Timestamp },
}

impl Wait {
    /// A stable name, for programs.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Window { .. } => "waits_for_window",
            Self::Person { .. } => "waits_for_person",
            Self::Hold { .. } => "postponed_by_person",
            Self::Product { .. } => "not_ready",
        }
    }

    /// When it ends without anybody doing something, if it does.
    #[must_use]
    pub const fn ends_at(&self) -> Option<Timestamp> {
        match self {
            Self::Window { opens_at: at } | Self::Hold { until: at } | Self::Product { again_at: at } => {
                Some(*at)
            }
            Self::Person { deadline } => *deadline,
        }
    }
}

impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Window { opens_at } => write!(f, "it waits for its window, until {opens_at}"),
            Self::Person { deadline: None } => {
                f.write_str("it waits for a person to start it: `agent-updater install PACKAGE`")
            }
            Self::Person { deadline: Some(deadline) } => write!(
                f,
                "it waits for a person to start it: `agent-updater install PACKAGE`; at {deadline} it starts by itself"
            ),
            Self::Hold { until } => write!(
                f,
                "a person at this computer put it off until {until}; `agent-updater hold PACKAGE --end` ends that"
            ),
            Self::Product { again_at } => write!(
                f,
                "its `ready` hook said \"not now\" and is asked again at {again_at}; `agent-updater install PACKAGE` does not \
                 wait for it"
            ),
        }
    }
}

/// Judges the times of an assignment, and what was put off here.
#[must_use]
pub fn timing(wanted: &PackageAssignment, put_off: &PutOff, now: Timestamp) -> Timing {
    if is_forced(wanted, now) {
        return Timing::Now;
    }
    let by_deadline = |at: Timestamp| wanted.deadline.map_or(at, |deadline| at.min(deadline));
    if let Some(closed_at) = wanted.install_until.filter(|until| *until < now) {
        return Timing::Closed { closed_at, deadline: wanted.deadline };
    }
    if let Some(from) = wanted.download_from.filter(|from| *from > now) {
        return Timing::NotBefore(by_deadline(from));
    }
    if let Some(from) = wanted.install_from.filter(|from| *from > now) {
        let opens_at = by_deadline(from);
        // What ends last is what it waits for.
        let held = put_off.held_until(wanted).filter(|until| *until > opens_at);
        return Timing::Waits(held.map_or(Wait::Window { opens_at }, |until| Wait::Hold { until }));
    }
    if wanted.start == Start::ByPerson && !put_off.is_asked_for {
        return Timing::Waits(Wait::Person { deadline: wanted.deadline });
    }
    if let Some(until) = put_off.held_until(wanted).filter(|until| *until > now) {
        return Timing::Waits(Wait::Hold { until });
    }
    if let Some(again_at) = put_off.asks_nothing_before(wanted, now) {
        return Timing::Waits(Wait::Product { again_at });
    }
    Timing::Now
}

/// What is urgent comes before other packages; the rest stays in its order.
#[must_use]
pub fn by_urgency(packages: &[PackageAssignment]) -> Vec<&PackageAssignment> {
    let rank = |wanted: &&PackageAssignment| match wanted.urgency {
        Urgency::Emergency => 0,
        Urgency::Critical => 1,
        Urgency::Normal | Urgency::Other(_) => 2,
    };
    let mut packages: Vec<&PackageAssignment> = packages.iter().collect();
    packages.sort_by_key(rank);
    packages
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;
    use sealpost_manifests::assignment::Postpone;
    use sealpost_manifests::digest::Sha256Digest;
    use sealpost_manifests::ids::{PackageName, Platform};
    use sealpost_manifests::release::ReleaseId;
    use sealpost_manifests::version::Version;

    use super::*;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + minute * 60).unwrap()
    }

    fn wanted() -> PackageAssignment {
        let release = ReleaseId {
            package: PackageName::new("acme").unwrap(),
            version: Version::new("2").unwrap(),
            platform: Platform::any(),
        };
        PackageAssignment::install(release, Sha256Digest::of(b"two"), 4, 0)
    }

    /// Downloaded from 10 on, with a window from 60 to 120.
    fn windowed() -> PackageAssignment {
        PackageAssignment {
            download_from: Some(at(10)),
            install_from: Some(at(60)),
            install_until: Some(at(120)),
            ..wanted()
        }
    }

    fn untouched() -> PutOff {
        PutOff::of(None, &wanted(), at(0))
    }

    const fn window(opens_at: Timestamp) -> Timing {
        Timing::Waits(Wait::Window { opens_at })
    }

    #[test]
    fn a_release_is_fetched_ahead_of_its_window_and_touches_the_product_only_within_it() {
        let judged = |minute| timing(&windowed(), &untouched(), at(minute));
        let closed = Timing::Closed { closed_at: at(120), deadline: None };
        for (minute, expected) in [
            (0, Timing::NotBefore(at(10))),
            (9, Timing::NotBefore(at(10))),
            (10, window(at(60))),
            (59, window(at(60))),
            (60, Timing::Now),
            (120, Timing::Now),
            (121, closed),
            (9_999, closed),
        ] {
            assert_eq!(judged(minute), expected, "{minute}");
        }
        let at_once = PackageAssignment { download_from: None, ..windowed() };
        assert_eq!(timing(&at_once, &untouched(), at(0)), window(at(60)));
    }

    #[test]
    fn from_the_deadline_on_nothing_holds_a_release_back() {
        let held = untouched().hold(&postponable(), at(0), SignedDuration::from_hours(9)).unwrap();
        for deadline in [5, 30, 90, 200] {
            let wanted = PackageAssignment {
                deadline: Some(at(deadline)),
                start: Start::ByPerson,
                postpone: Some(Postpone { times: 9, until: at(9_000) }),
                ..windowed()
            };
            let before = timing(&wanted, &held, at(deadline - 1));
            assert_ne!(before, Timing::Now, "{deadline}");
            let changes_at = match before {
                Timing::NotBefore(at) => Some(at),
                Timing::Waits(wait) => wait.ends_at(),
                Timing::Closed { deadline, .. } => deadline,
                Timing::Now => None,
            };
            assert_eq!(changes_at, Some(at(deadline)), "{before:?}: it says when that changes");
            assert_eq!(timing(&wanted, &held, at(deadline)), Timing::Now, "{deadline}");
        }
    }

    #[test]
    fn an_emergency_waits_for_nothing() {
        let mut declined = untouched().hold(&postponable(), at(0), SignedDuration::from_hours(1)).unwrap();
        declined = declined.declined(&postponable(), at(0));
        for minute in [0, 20, 60, 500] {
            let wanted = PackageAssignment {
                urgency: Urgency::Emergency,
                start: Start::ByPerson,
                postpone: postponable().postpone,
                ..windowed()
            };
            assert_eq!(timing(&wanted, &declined, at(minute)), Timing::Now, "{minute}");
            assert!(!declined.asks_product(&wanted, at(minute)), "{minute}");
        }
        // Before other packages, but within its window.
        let critical = PackageAssignment { urgency: Urgency::Critical, ..windowed() };
        assert_eq!(timing(&critical, &untouched(), at(20)), window(at(60)));
    }

    fn postponable() -> PackageAssignment {
        PackageAssignment { postpone: Some(Postpone { times: 2, until: at(600) }), ..wanted() }
    }

    #[test]
    fn what_a_person_starts_waits_for_the_person_and_for_the_window() {
        let wanted = PackageAssignment { start: Start::ByPerson, ..windowed() };
        let person = Timing::Waits(Wait::Person { deadline: None });
        assert_eq!(timing(&wanted, &untouched(), at(60)), person);
        let asked = untouched().asked_for();
        assert_eq!(
            timing(&wanted, &asked, at(59)),
            window(at(60)),
            "the site's window stays closed to everybody"
        );
        assert_eq!(timing(&wanted, &asked, at(60)), Timing::Now);
    }

    #[test]
    fn a_hold_that_outlasts_the_opening_of_a_window_is_what_is_waited_for() {
        let wanted = PackageAssignment { postpone: postponable().postpone, ..windowed() };
        let held = |minutes| {
            let held = untouched().hold(&wanted, at(20), SignedDuration::from_mins(minutes)).unwrap();
            timing(&wanted, &held, at(20))
        };
        assert_eq!(held(39), window(at(60)));
        assert_eq!(held(40), window(at(60)));
        assert_eq!(held(41), Timing::Waits(Wait::Hold { until: at(61) }));
    }

    #[test]
    fn a_hold_ends_by_itself_and_says_when() {
        let held = untouched().hold(&postponable(), at(0), SignedDuration::from_mins(30)).unwrap();
        assert_eq!(timing(&postponable(), &held, at(29)), Timing::Waits(Wait::Hold { until: at(30) }));
        assert_eq!(timing(&postponable(), &held, at(30)), Timing::Now);
        assert_eq!(timing(&wanted(), &held, at(29)), Timing::Now, "the site allows none any more");
        assert_eq!(timing(&postponable(), &held.released(), at(1)), Timing::Now);
    }

    #[test]
    fn a_product_that_says_not_now_is_asked_again() {
        let declined = untouched().declined(&wanted(), at(0));
        assert_eq!(timing(&wanted(), &declined, at(4)), Timing::Waits(Wait::Product { again_at: at(5) }));
        assert_eq!(timing(&wanted(), &declined, at(5)), Timing::Now);
        assert_eq!(
            timing(&wanted(), &declined.asked_for(), at(1)),
            Timing::Now,
            "a person does not wait for it"
        );
    }

    #[test]
    fn what_is_urgent_comes_first_and_the_rest_stays_in_its_order() {
        let of = |rollout, urgency| PackageAssignment { rollout, urgency, ..wanted() };
        let packages = [
            of(1, Urgency::Normal),
            of(2, Urgency::Critical),
            of(3, Urgency::Other(sealpost_manifests::word::Word::new("of_later").unwrap())),
            of(4, Urgency::Emergency),
            of(5, Urgency::Critical),
        ];
        let order: Vec<u64> = by_urgency(&packages).iter().map(|wanted| wanted.rollout).collect();
        assert_eq!(order, [4, 2, 5, 1, 3]);
    }

    #[test]
    fn sentences_name_a_time_or_the_command_that_helps() {
        let waits = [
            Wait::Window { opens_at: at(0) },
            Wait::Person { deadline: None },
            Wait::Person { deadline: Some(at(0)) },
            Wait::Hold { until: at(0) },
            Wait::Product { again_at: at(0) },
        ];
        for wait in waits {
            let said = wait.to_string();
            assert!(said.contains(&at(0).to_string()) == wait.ends_at().is_some(), "{said}");
            assert!(wait.ends_at().is_some() || said.contains("`agent-updater install PACKAGE`"), "{said}");
        }
    }
}
