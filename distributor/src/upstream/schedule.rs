//! When to pull: at a regular interval with some jitter, and sooner after a failure.
//!
//! Pure: the history, the time and the seed of the jitter come in. The loop that pulls is `VendorUpstream`'s.

use std::time::Duration;

use jiff::Timestamp;

use sealpost_site::rows::PullRow;

/// First wait after a failure; doubled each time, up to the interval between pulls.
const FIRST_RETRY: Duration = Duration::from_secs(60);

/// What is known when the next pull is planned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PullHistory {
    /// When a pull last ended, successful or not.
    pub(super) tried_at: Option<Timestamp>,
    /// Failures since the last success.
    pub(super) failures: u32,
}

impl PullHistory {
    /// Combines the ledger's record with what this process knows. The ledger may not have been able to write, for
    /// example on a full disk; the vendor must not be asked again without a pause then.
    pub(super) fn combine(recorded: &PullRow, tried_here: Option<Timestamp>, failures: u32) -> Self {
        Self { tried_at: recorded.tried_at.max(recorded.metadata_as_of).max(tried_here), failures }
    }
}

/// When the next pull is due. `seed` spreads servers by up to a tenth of the wait, either way.
pub(super) fn due_at(history: PullHistory, every: Duration, seed: u16, now: Timestamp) -> Timestamp {
    let Some(tried_at) = history.tried_at else { return now };
    let wait = match history.failures {
        0 => every,
        failures => FIRST_RETRY.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(every),
    };
    let spread = wait / 5 * u32::from(seed) / u32::from(u16::MAX);
    let due = tried_at.checked_add(wait - wait / 10 + spread).unwrap_or(now);
    // A pull that lies in the future was recorded by a clock that was wrong.
    if tried_at > now { now } else { due }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn due(failures: u32, seed: u16) -> i64 {
        let history = PullHistory { tried_at: Some(at(0)), failures };
        due_at(history, HOUR, seed, at(1)).as_second() - at(0).as_second()
    }

    #[test]
    fn a_server_that_never_pulled_pulls_at_once() {
        assert_eq!(due_at(PullHistory { tried_at: None, failures: 0 }, HOUR, 0, at(5)), at(5));
    }

    #[test]
    fn a_pull_that_the_ledger_could_not_record_is_followed_by_a_wait_all_the_same() {
        let recorded = PullRow { tried_at: Some(at(-7200)), ..PullRow::default() };
        let history = PullHistory::combine(&recorded, Some(at(0)), 1);
        assert!(due_at(history, HOUR, 0, at(1)) >= at(54));
        assert_eq!(due_at(PullHistory::combine(&recorded, None, 0), HOUR, 0, at(1)), at(-7200 + 3240));
    }

    #[test]
    fn pulls_are_an_hour_apart_plus_or_minus_a_tenth() {
        assert_eq!(due(0, 0), 3240);
        assert_eq!(due(0, u16::MAX), 3960);
    }

    #[test]
    fn failures_are_retried_sooner_but_less_and_less_often() {
        let waits: Vec<i64> = (1..=8).map(|failures| due(failures, u16::MAX / 2)).collect();
        assert!(waits.windows(2).all(|pair| pair[0] <= pair[1]), "{waits:?}");
        assert!((54..=66).contains(&waits[0]), "{waits:?}");
        assert!((3240..=3960).contains(&waits[7]), "{waits:?}");
        assert!(due(u32::MAX, 0) <= 3960);
    }

    #[test]
    fn a_clock_that_was_set_back_does_not_stop_the_pulls() {
        let history = PullHistory { tried_at: Some(at(1_000_000)), failures: 0 };
        assert_eq!(due_at(history, HOUR, 0, at(0)), at(0));
    }
}
