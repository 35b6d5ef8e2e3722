//! When to contact the server next.
//!
//! Every minute until licensed, then every four hours, every hour once contact is lost. Contact is lost when *all*
//! listed servers failed, not when one did. Jitter keeps a fleet from calling in step.

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
    fn reconnecting_backs_off_up_to_five_minutes() {
        assert!((500..=1_000).contains(&backoff_millis(0, 77)));
        assert!((150_000..=300_000).contains(&backoff_millis(40, u64::MAX)));
    }
}
