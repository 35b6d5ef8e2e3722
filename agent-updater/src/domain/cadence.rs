//! When to contact the server next.
//!
//! Every minute until licensed, then every four hours, every hour once contact is lost. Contact is lost when *all*
//! listed servers failed, not when one did. Jitter keeps a fleet from calling in step.

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
/// By how much a delay may be longer or shorter, in percent.
pub const JITTER_PERCENT: u8 = 10;

/// How the agent stands with its server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Never licensed yet.
    Unlicensed,
    /// Licensed, and the last contact was answered.
    Licensed,
    /// Licensed once, and the last contact failed at every listed server.
    LostContact,
}

/// How a contact went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contacted {
    /// A server answered, and the computer holds a lease.
    AnsweredWithLease,
    /// A server answered; there is no lease (yet).
    AnsweredWithoutLease,
    /// Every listed server failed or refused.
    AllFailed,
}

/// The configured delays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cadence {
    /// Seconds until licensed.
    pub unlicensed_secs: u32,
    /// Seconds once licensed.
    pub licensed_secs: u32,
    /// Seconds on lost contact.
    pub lost_secs: u32,
    /// Jitter in percent, at most 50.
    pub jitter_percent: u8,
}

impl Default for Cadence {
    fn default() -> Self {
        Self {
            unlicensed_secs: UNLICENSED_SECS,
            licensed_secs: LICENSED_SECS,
            lost_secs: LOST_SECS,
            jitter_percent: JITTER_PERCENT,
        }
    }
}

/// The standing after a contact. A computer that was licensed once is never `Unlicensed` again.
#[must_use]
pub const fn after(standing: Standing, contacted: Contacted) -> Standing {
    match (standing, contacted) {
        (_, Contacted::AnsweredWithLease) => Standing::Licensed,
        (Standing::Unlicensed, _) => Standing::Unlicensed,
        (_, Contacted::AnsweredWithoutLease) => Standing::Licensed,
        (_, Contacted::AllFailed) => Standing::LostContact,
    }
}

/// When the next contact is due; `seed` is any number that differs between computers and calls.
#[must_use]
pub fn next(cadence: &Cadence, standing: Standing, now: Timestamp, seed: u64) -> Timestamp {
    let seconds = match standing {
        Standing::Unlicensed => cadence.unlicensed_secs,
        Standing::Licensed => cadence.licensed_secs,
        Standing::LostContact => cadence.lost_secs,
    };
    let delay = jittered_millis(seconds, cadence.jitter_percent, seed);
    now.checked_add(SignedDuration::from_millis(delay)).unwrap_or(Timestamp::MAX)
}

/// The pause before the next try of a broken stream: doubles from one second up to five minutes, the upper half
/// being random.
#[must_use]
pub fn backoff_millis(failures: u32, seed: u64) -> u64 {
    let full = 1_000u64.saturating_mul(1 << failures.min(9)).min(300_000);
    full / 2 + seed % (full / 2 + 1)
}

/// By how much a woken computer delays its contact at most, in milliseconds: all computers of a site are woken at
/// once, and need not all call in the same instant.
const WAKE_SPREAD_MILLIS: u64 = 1_000;
/// Wakes that are followed at once within [`WAKE_WINDOW`]; further ones wait.
const WAKES_PER_WINDOW: usize = 10;
/// See [`WAKES_PER_WINDOW`].
const WAKE_WINDOW: Duration = Duration::from_secs(60);

/// How many contacts the wakes of a server may cause. A server that wakes without end gets ten contacts a minute.
#[derive(Debug, Default)]
pub struct WakeBudget {
    recent: VecDeque<Duration>,
}

impl WakeBudget {
    /// How long to wait with the contact after a wake, in milliseconds. `now` is of a clock that only rises.
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
mod tests {
    use super::*;

    const PLAIN: Cadence =
        Cadence { unlicensed_secs: 60, licensed_secs: 14_400, lost_secs: 3_600, jitter_percent: 0 };

    fn seconds_until(standing: Standing) -> i64 {
        next(&PLAIN, standing, Timestamp::UNIX_EPOCH, 12_345).as_second()
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
        let at = |seed| next(&cadence, Standing::Unlicensed, Timestamp::UNIX_EPOCH, seed).as_millisecond();
        assert_eq!(at(0), 54_000);
        assert_eq!(at(12_000), 66_000);
        assert!((0..100_000).step_by(37).all(|seed| (54_000..=66_000).contains(&at(seed))));
    }

    #[test]
    fn a_computer_that_was_licensed_once_never_falls_back_to_unlicensed() {
        for standing in [Standing::Licensed, Standing::LostContact] {
            for contacted in
                [Contacted::AnsweredWithLease, Contacted::AnsweredWithoutLease, Contacted::AllFailed]
            {
                assert_ne!(after(standing, contacted), Standing::Unlicensed);
            }
        }
        assert_eq!(after(Standing::Unlicensed, Contacted::AllFailed), Standing::Unlicensed);
        assert_eq!(after(Standing::Unlicensed, Contacted::AnsweredWithoutLease), Standing::Unlicensed);
        assert_eq!(after(Standing::LostContact, Contacted::AnsweredWithLease), Standing::Licensed);
    }

    #[test]
    fn a_server_that_wakes_without_end_gets_ten_contacts_a_minute() {
        let mut budget = WakeBudget::default();
        let at = Duration::from_millis;
        let at_once = (0..1_000).filter(|n| budget.pause_millis(at(*n), 5) == 5).count();
        assert_eq!(at_once, 10);
        assert_eq!(budget.pause_millis(at(1_000), 5), 59_005, "until the oldest is a minute old");
        assert_eq!(budget.recent.len(), 10);
        assert_eq!(budget.pause_millis(at(60_000), 7), 7);
    }

    #[test]
    fn reconnecting_backs_off_up_to_five_minutes() {
        assert!((500..=1_000).contains(&backoff_millis(0, 77)));
        assert!((150_000..=300_000).contains(&backoff_millis(40, u64::MAX)));
    }
}
