//! When to contact the server next.
//!
//! Every minute until licensed, then every four hours, every hour once contact is lost. Contact is lost when *all*
//! listed servers failed, not when one did. Jitter keeps many computers from contacting the server at the same moment.

use std::collections::VecDeque;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// Seconds between contacts until the computer is licensed.
pub const UNLICENSED_SECS: u32 = 60;
/// Seconds between contacts of a licensed computer.
pub const LICENSED_SECS: u32 = 4 * 60 * 60;
/// Seconds between contacts once contact is lost.
pub const LOST_SECS: u32 = 60 * 60;
/// Seconds between the questions of a computer that waits to be admitted.
pub const WAITING_SECS: u32 = 15 * 60;
/// By how much a delay may be longer or shorter, in percent.
pub const JITTER_PERCENT: u8 = 10;

/// How the agent stands with its server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    Unlicensed,
    /// Licensed, and the last contact was answered.
    Licensed,
    /// Licensed once, and the last contact failed at every listed server.
    LostContact,
}

/// The outcome of a contact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContactOutcome {
    /// A server answered, and the computer holds a lease.
    AnsweredWithLease,
    /// A server answered; there is no lease (yet).
    AnsweredWithoutLease,
    /// Every listed server failed or refused.
    AllFailed,
}

/// The configured delays between contacts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cadence {
    pub unlicensed_secs: u32,
    pub licensed_secs: u32,
    pub lost_secs: u32,
    /// Between the questions of a computer that waits to be admitted.
    pub waiting_secs: u32,
    pub jitter_percent: u8,
}

impl Default for Cadence {
    fn default() -> Self {
        Self {
            unlicensed_secs: UNLICENSED_SECS,
            licensed_secs: LICENSED_SECS,
            lost_secs: LOST_SECS,
            waiting_secs: WAITING_SECS,
            jitter_percent: JITTER_PERCENT,
        }
    }
}

/// The standing after a contact. A computer that was licensed once is never `Unlicensed` again.
#[must_use]
pub const fn standing_after(standing: Standing, outcome: ContactOutcome) -> Standing {
    match (standing, outcome) {
        (_, ContactOutcome::AnsweredWithLease) => Standing::Licensed,
        (Standing::Unlicensed, _) => Standing::Unlicensed,
        (_, ContactOutcome::AnsweredWithoutLease) => Standing::Licensed,
        (_, ContactOutcome::AllFailed) => Standing::LostContact,
    }
}

/// When the next contact is due; `seed` is any number that differs between computers and calls.
#[must_use]
pub fn next_contact(cadence: &Cadence, standing: Standing, now: Timestamp, seed: u64) -> Timestamp {
    let seconds = match standing {
        Standing::Unlicensed => cadence.unlicensed_secs,
        Standing::Licensed => cadence.licensed_secs,
        Standing::LostContact => cadence.lost_secs,
    };
    let delay = jittered_millis(seconds, cadence.jitter_percent, seed);
    now.checked_add(SignedDuration::from_millis(delay)).unwrap_or(Timestamp::MAX)
}

/// When a computer that waits to be admitted asks again.
#[must_use]
pub fn next_question(cadence: &Cadence, now: Timestamp, seed: u64) -> Timestamp {
    let delay = jittered_millis(cadence.waiting_secs, cadence.jitter_percent, seed);
    now.checked_add(SignedDuration::from_millis(delay)).unwrap_or(Timestamp::MAX)
}

/// Whether it asks now: the time has come, or is further away than it ever can be, since the clock was set back.
#[must_use]
pub fn asks_again(cadence: &Cadence, next: Timestamp, now: Timestamp) -> bool {
    let longest = SignedDuration::from_secs(i64::from(cadence.waiting_secs).saturating_mul(2));
    next <= now || next.duration_since(now) > longest
}

/// For how long contact counts as good, if the next one is due then: until then, and as long as the agent waits before
/// it tries again after a failure.
#[must_use]
pub fn contact_good_for(cadence: &Cadence, now: Timestamp, next: Timestamp) -> SignedDuration {
    let until_next = next.duration_since(now).max(SignedDuration::ZERO);
    until_next.saturating_add(SignedDuration::from_secs(i64::from(cadence.lost_secs)))
}

/// When to contact earlier because something is to be done then: at `opens_at`, later by up to a minute, so that not all
/// computers with the same window come in the same instant.
#[must_use]
pub fn at_opening(next: Timestamp, opens_at: Timestamp, seed: u64) -> Timestamp {
    let spread = i64::try_from(seed % OPENING_SPREAD_MILLIS).unwrap_or(0);
    let at = opens_at.checked_add(SignedDuration::from_millis(spread)).unwrap_or(opens_at);
    next.min(at)
}

/// The pause before the next try of a broken stream: doubles from one second up to five minutes, the upper half
/// being random.
#[must_use]
pub fn backoff_millis(failures: u32, seed: u64) -> u64 {
    let full = 1_000u64.saturating_mul(1 << failures.min(9)).min(300_000);
    full / 2 + seed % (full / 2 + 1)
}

/// Upper bound of the random delay of a contact when a window opens, in milliseconds.
const OPENING_SPREAD_MILLIS: u64 = 60_000;
/// Upper bound of the random delay of a contact after a wake, in milliseconds: all computers of a site are woken at
/// once, and should not all contact the server in the same instant.
const WAKE_SPREAD_MILLIS: u64 = 1_000;
/// Wakes within [`WAKE_WINDOW`] that cause a contact at once; further ones wait.
const WAKES_PER_WINDOW: usize = 10;
const WAKE_WINDOW: Duration = Duration::from_secs(60);

/// Limits how many contacts wakes can cause: at most ten per minute, however many the server sends.
#[derive(Debug, Default)]
pub struct WakeBudget {
    recent: VecDeque<Duration>,
}

impl WakeBudget {
    /// How long to wait with the contact after a wake, in milliseconds. `now` comes from a monotonic clock.
    pub fn pause_millis(&mut self, now: Duration, seed: u64) -> u64 {
        while self.recent.front().is_some_and(|wake| now.saturating_sub(*wake) >= WAKE_WINDOW) {
            self.recent.pop_front();
        }
        let spread = seed % WAKE_SPREAD_MILLIS;
        match self.recent.front() {
            Some(oldest) if self.recent.len() >= WAKES_PER_WINDOW => {
                let opens_in = (*oldest + WAKE_WINDOW).saturating_sub(now);
                u64::try_from(opens_in.as_millis()).unwrap_or(u64::MAX).saturating_add(spread)
            }
            _ => {
                self.recent.push_back(now);
                spread
            }
        }
    }
}

fn jittered_millis(seconds: u32, percent: u8, seed: u64) -> i64 {
    let full = u64::from(seconds) * 1_000;
    let spread = full * u64::from(percent.min(50)) / 100;
    let delay = full - spread + seed % (2 * spread + 1);
    i64::try_from(delay).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod year;

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Cadence = Cadence {
        unlicensed_secs: 60,
        licensed_secs: 14_400,
        lost_secs: 3_600,
        waiting_secs: 900,
        jitter_percent: 0,
    };

    fn seconds_until(standing: Standing) -> i64 {
        next_contact(&PLAIN, standing, Timestamp::UNIX_EPOCH, 12_345).as_second()
    }

    #[test]
    fn a_minute_until_licensed_then_four_hours_and_one_hour_on_lost_contact() {
        assert_eq!(seconds_until(Standing::Unlicensed), 60);
        assert_eq!(seconds_until(Standing::Licensed), 4 * 3_600);
        assert_eq!(seconds_until(Standing::LostContact), 3_600);
    }

    #[test]
    fn jitter_stays_within_its_percentage_and_reaches_both_ends() {
        let cadence = Cadence { jitter_percent: 10, ..PLAIN };
        let at =
            |seed| next_contact(&cadence, Standing::Unlicensed, Timestamp::UNIX_EPOCH, seed).as_millisecond();
        assert_eq!(at(0), 54_000);
        assert_eq!(at(12_000), 66_000);
        assert!((0..100_000).step_by(37).all(|seed| (54_000..=66_000).contains(&at(seed))));
    }

    #[test]
    fn a_computer_that_waits_asks_every_quarter_of_an_hour_and_at_once_when_its_clock_was_set_back() {
        let cadence = Cadence { jitter_percent: 10, ..PLAIN };
        let at = |second| Timestamp::from_second(second).unwrap();
        for seed in (0..1_000_000).step_by(997) {
            let next = next_question(&cadence, at(0), seed);
            assert!(at(810) <= next && next <= at(990), "{next}");
            assert!(!asks_again(&cadence, next, at(0)) && asks_again(&cadence, next, at(990)));
        }
        assert!(asks_again(&cadence, at(100_000), at(0)));
    }

    #[test]
    fn a_computer_that_was_licensed_once_never_falls_back_to_unlicensed() {
        for standing in [Standing::Licensed, Standing::LostContact] {
            for outcome in [
                ContactOutcome::AnsweredWithLease,
                ContactOutcome::AnsweredWithoutLease,
                ContactOutcome::AllFailed,
            ] {
                assert_ne!(standing_after(standing, outcome), Standing::Unlicensed);
            }
        }
        assert_eq!(standing_after(Standing::Unlicensed, ContactOutcome::AllFailed), Standing::Unlicensed);
        assert_eq!(
            standing_after(Standing::Unlicensed, ContactOutcome::AnsweredWithoutLease),
            Standing::Unlicensed
        );
        assert_eq!(
            standing_after(Standing::LostContact, ContactOutcome::AnsweredWithLease),
            Standing::Licensed
        );
    }

    #[test]
    fn a_server_that_sends_wakes_without_pause_gets_ten_contacts_a_minute() {
        let mut budget = WakeBudget::default();
        let at = Duration::from_millis;
        let at_once = (0..1_000).filter(|n| budget.pause_millis(at(*n), 5) == 5).count();
        assert_eq!(at_once, 10);
        assert_eq!(budget.pause_millis(at(1_000), 5), 59_005, "until the oldest is a minute old");
        assert_eq!(budget.recent.len(), 10);
        assert_eq!(budget.pause_millis(at(60_000), 7), 7);
    }

    #[test]
    fn contact_counts_as_good_until_a_failure_would_have_been_retried() {
        let now = Timestamp::UNIX_EPOCH;
        let next = next_contact(&PLAIN, Standing::Licensed, now, 1);
        assert_eq!(contact_good_for(&PLAIN, now, next), SignedDuration::from_hours(5));
        assert_eq!(contact_good_for(&PLAIN, next, now), SignedDuration::from_hours(1));
    }

    #[test]
    fn a_window_that_opens_before_the_next_contact_is_not_missed() {
        let second = |second| Timestamp::from_second(second).unwrap();
        assert_eq!(
            at_opening(second(14_400), second(7_200), 1_500),
            second(7_200) + Duration::from_millis(1_500)
        );
        assert!(
            (0..200_000)
                .step_by(999)
                .all(|seed| at_opening(second(14_400), second(7_200), seed) < second(7_260))
        );
        assert_eq!(at_opening(second(3_600), second(7_200), 0), second(3_600));
    }

    #[test]
    fn reconnecting_backs_off_up_to_five_minutes() {
        assert!((500..=1_000).contains(&backoff_millis(0, 77)));
        assert!((150_000..=300_000).contains(&backoff_millis(40, u64::MAX)));
    }
}
