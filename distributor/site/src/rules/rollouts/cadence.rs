//! How often a computer comes, and how long it may be silent before that says something.
//!
//! Invariant: a computer is silent only after more than the longest pause of its last fortnight: a contact in between, as when
//! it is called for an update, makes no pause shorter. An office that is closed at night or over a weekend is no failure.
//! Time in which the server did not run belongs to nobody's pause, and to nobody's silence.
//! Left out on purpose: times in which nobody at all came although the server ran. A network that failed looks like an office
//! that is closed, and whoever takes closed hours out of pauses finds everybody silent on the first weekend on which one
//! computer was left on.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::outages::Outages;
use super::progress::USUAL_CADENCE;

/// Pauses of this time and of the same time before are remembered.
const FORTNIGHT: SignedDuration = SignedDuration::from_hours(14 * 24);
/// The pause that is believed of a computer that is not known for a fortnight: it may be one that is off at night.
const UNKNOWN: SignedDuration = SignedDuration::from_hours(24);
/// The longest pause that is believed: a computer that comes once a fortnight is not waited for longer.
const LONGEST: SignedDuration = FORTNIGHT;

/// How long a computer could have come and did not, if it was heard of last at `heard`.
#[must_use]
pub fn absence(heard: Timestamp, now: Timestamp, outages: &Outages) -> SignedDuration {
    now.duration_since(heard).saturating_sub(outages.within(heard, now)).max(SignedDuration::ZERO)
}

/// How long a computer paused between its contacts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cadence {
    /// The longest pause since `since`, in seconds.
    longest_secs: u32,
    /// Since when.
    since: Timestamp,
    /// The longest one of the fortnight before, in seconds; absent until there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    before_secs: Option<u32>,
}

impl Cadence {
    /// As it is with a contact at `now`. `last` is the contact before, with what was known at it.
    #[must_use]
    pub fn at(last: Option<(Timestamp, Option<Self>)>, now: Timestamp, outages: &Outages) -> Self {
        let Some((at, known)) = last else { return Self { longest_secs: 0, since: now, before_secs: None } };
        let pause = seconds(absence(at, now, outages));
        match known {
            None => Self { longest_secs: pause, since: at, before_secs: None },
            // A clock that was ahead and is right again: what it counted since then says nothing.
            Some(known) if now < known.since => {
                Self { longest_secs: pause, since: now, before_secs: known.before_secs }
            }
            Some(known) if now.duration_since(known.since) < FORTNIGHT => {
                Self { longest_secs: known.longest_secs.max(pause), ..known }
            }
            Some(known) => {
                Self { longest_secs: pause, since: now, before_secs: Some(known.longest_secs.max(pause)) }
            }
        }
    }

    /// How long the computer may be silent before that counts as a failure, if nothing else keeps it waiting.
    #[must_use]
    pub fn silence(&self) -> SignedDuration {
        let least = if self.before_secs.is_some() { USUAL_CADENCE } else { UNKNOWN };
        self.longest().max(least).saturating_add(USUAL_CADENCE)
    }

    /// Its longest pause of the last two to four weeks: at least the usual time between two contacts, and at most a fortnight.
    #[must_use]
    pub fn longest(&self) -> SignedDuration {
        let longest = SignedDuration::from_secs(self.longest_secs.max(self.before_secs.unwrap_or(0)).into());
        longest.clamp(USUAL_CADENCE, LONGEST)
    }
}

fn seconds(duration: SignedDuration) -> u32 {
    u32::try_from(duration.as_secs().max(0)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::outages::Outage;
    use super::*;

    fn at(hours: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH.saturating_add(SignedDuration::from_hours(hours)).unwrap()
    }

    /// How many hours a computer may be silent after contacts at these hours.
    fn silence(contacts: impl IntoIterator<Item = i64>) -> i64 {
        silence_after(contacts, &[])
    }

    /// The same of a server that did not run between these hours, and whose computers nobody heard of then.
    fn silence_after(contacts: impl IntoIterator<Item = i64>, out: &[(i64, i64)]) -> i64 {
        let outages = || out.iter().filter_map(|(from, until)| Outage::between(at(*from), at(*until)));
        let runs = |hour: &i64| !out.iter().any(|(from, until)| (*from..*until).contains(hour));
        let mut last = None;
        for hour in contacts.into_iter().filter(runs) {
            // A server knows nothing of its next outage.
            let known = Outages::known(outages(), at(hour));
            last = Some((at(hour), Some(Cadence::at(last, at(hour), &known))));
        }
        last.and_then(|(_, known)| known).unwrap().silence().as_hours()
    }

    /// The hours from 8 to 18 o'clock of so many working days, from a Monday on.
    fn office(days: i64) -> impl Iterator<Item = i64> {
        (0..days).filter(|day| day % 7 < 5).flat_map(|day| (8..=18).map(move |hour| day * 24 + hour))
    }

    #[test]
    fn a_computer_may_be_silent_for_its_longest_pause_of_a_fortnight_and_four_hours() {
        let cases: [(&str, i64, i64); 6] = [
            ("nothing is known of a new one", silence([0]), 28),
            ("nor of one that came for a day", silence(0..24), 28),
            ("one that comes every hour for a month", silence(0..30 * 24), 8),
            ("one that comes once a day", silence((0..40).map(|day| day * 24)), 28),
            ("an office, on a Friday evening", silence(office(40 - 2)), 14 + 48 + 4),
            ("one that came back after three months", silence((0..40 * 24).chain([200 * 24])), 14 * 24 + 4),
        ];
        for (who, found, wanted) in cases {
            assert_eq!(found, wanted, "{who}");
        }
    }

    #[test]
    fn a_call_in_between_makes_no_pause_shorter_and_a_long_one_is_forgotten_after_a_month() {
        let called = office(26).flat_map(|hour| [hour, hour]);
        assert_eq!(silence(called), silence(office(26)));
        let was_away = (0..20 * 24).chain(26 * 24..26 * 24 + 13 * 24);
        assert_eq!(silence(was_away.clone()), 6 * 24 + 1 + 4);
        assert_eq!(silence(was_away.chain(39 * 24..70 * 24)), 8);
    }

    #[test]
    fn a_pause_is_as_much_shorter_as_the_server_was_out_in_it() {
        let month = 30 * 24;
        let daily = || (0..31).map(|day| day * 24);
        let friday = 26 * 24 - 6;
        let cases: [(&str, i64, i64); 6] = [
            ("hourly, out for three days", silence_after(0..34 * 24, &[(month, month + 72)]), 8),
            (
                "off for ten hours, and out for four of them",
                silence_after((0..month).chain([month + 10]), &[(month, month + 4)]),
                11,
            ),
            ("out before it was off", silence_after((0..month).chain([month + 40]), &[(600, 630)]), 41 + 4),
            ("once a day, out for two days", silence_after(daily(), &[(20 * 24 + 1, 22 * 24 + 1)]), 28),
            (
                "an office, out from Friday evening to Monday morning",
                silence_after(office(35), &[(friday, friday + 62)]),
                62 + 4,
            ),
            ("a new one, out for a week", silence_after([0, 170], &[(1, 169)]), 28),
        ];
        for (who, found, wanted) in cases {
            assert_eq!(found, wanted, "{who}");
        }
    }

    #[test]
    fn each_outage_in_a_pause_makes_it_shorter_and_not_the_last_one_alone() {
        let month = 30 * 24;
        // Out for three days, up for an hour in which nobody came, and out for an hour once or twice more.
        let twice = [(month, month + 72), (month + 73, month + 74)];
        let thrice = [(month, month + 72), (month + 73, month + 74), (month + 75, month + 76)];
        let came = |again: i64| (0..month).chain(month + again..month + again + 24);
        let cases: [(&str, i64, i64); 5] = [
            ("hourly, out twice", silence_after(came(74), &twice), 8),
            ("hourly, out three times", silence_after(came(76), &thrice), 8),
            ("off for ten hours more", silence_after(came(84), &twice), 12 + 4),
            ("off for ten hours more, out three times", silence_after(came(86), &thrice), 13 + 4),
            (
                "a new one, out for two weeks of three",
                silence_after([0, 504], &[(1, 169), (300, 468)]),
                168 + 4,
            ),
        ];
        for (who, found, wanted) in cases {
            assert_eq!(found, wanted, "{who}");
        }
        assert!(silence_after(came(74), &twice[1..]) > 70, "what the last one alone would make of it");
    }

    #[test]
    fn who_could_not_come_was_not_away() {
        let outages = |out: &[(i64, i64)]| {
            let found = out.iter().filter_map(|(from, until)| Outage::between(at(*from), at(*until)));
            Outages::known(found, at(100))
        };
        let once: &[(i64, i64)] = &[(10, 20)];
        let more: &[(i64, i64)] = &[(10, 20), (24, 25), (26, 28)];
        let cases = [
            ((0, 30, once), 20),
            ((12, 30, once), 10),
            ((0, 15, once), 10),
            ((12, 18, once), 0),
            ((20, 30, once), 10),
            ((0, 10, once), 10),
            ((30, 0, once), 0),
            ((0, 30, more), 17),
            ((18, 27, more), 5),
            ((25, 30, more), 3),
            ((0, 30, &[]), 30),
        ];
        for ((heard, now, out), wanted) in cases {
            assert_eq!(
                absence(at(heard), at(now), &outages(out)).as_hours(),
                wanted,
                "{heard} {now} {out:?}"
            );
        }
    }

    #[test]
    fn a_clock_that_goes_back_makes_no_pause() {
        assert_eq!(
            Cadence::at(Some((at(5), None)), at(2), Outages::none()).silence(),
            SignedDuration::from_hours(28)
        );
        // Hourly contacts for a month; for a day the clock is a year ahead.
        let year = 365 * 24;
        let jumped = (0..30 * 24).chain(30 * 24 + year..31 * 24 + year).chain(31 * 24..62 * 24);
        assert_eq!(silence(jumped), 8);
    }
}
