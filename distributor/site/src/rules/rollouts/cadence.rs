//! How often a computer comes, and how long it may be silent before that says something.
//!
//! Invariant: a computer is silent only after more than the longest pause of its last fortnight: a contact in between, as when
//! it is called for an update, makes no pause shorter. An office that is closed at night or over a weekend is no failure.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::progress::USUAL_CADENCE;

/// Pauses of this time and of the same time before are remembered.
const FORTNIGHT: SignedDuration = SignedDuration::from_hours(14 * 24);
/// The pause that is believed of a computer that is not known for a fortnight: it may be one that is off at night.
const UNKNOWN: SignedDuration = SignedDuration::from_hours(24);
/// The longest pause that is believed: a computer that comes once a fortnight is not waited for longer.
const LONGEST: SignedDuration = FORTNIGHT;

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
    pub fn at(last: Option<(Timestamp, Option<Self>)>, now: Timestamp) -> Self {
        let Some((at, known)) = last else { return Self { longest_secs: 0, since: now, before_secs: None } };
        let pause = seconds(now.duration_since(at));
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
        let longest = SignedDuration::from_secs(self.longest_secs.max(self.before_secs.unwrap_or(0)).into());
        let least = if self.before_secs.is_some() { USUAL_CADENCE } else { UNKNOWN };
        longest.clamp(least, LONGEST).saturating_add(USUAL_CADENCE)
    }
}

fn seconds(duration: SignedDuration) -> u32 {
    u32::try_from(duration.as_secs().max(0)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(hours: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH.saturating_add(SignedDuration::from_hours(hours)).unwrap()
    }

    /// How many hours a computer may be silent after contacts at these hours.
    fn silence(contacts: impl IntoIterator<Item = i64>) -> i64 {
        let mut last = None;
        for hour in contacts {
            last = Some((at(hour), Some(Cadence::at(last, at(hour)))));
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
    fn a_clock_that_goes_back_makes_no_pause() {
        assert_eq!(Cadence::at(Some((at(5), None)), at(2)).silence(), SignedDuration::from_hours(28));
        // Hourly contacts for a month; for a day the clock is a year ahead.
        let year = 365 * 24;
        let jumped = (0..30 * 24).chain(30 * 24 + year..31 * 24 + year).chain(31 * 24..62 * 24);
        assert_eq!(silence(jumped), 8);
    }
}
