//! When to pull: every so often, a little earlier or later, sooner after a failure.
//!
//! The decision is pure; the loop around it is a reconciler that may be stopped and started at any moment.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use sealpost_keys::token::random_bytes;
use tokio::task::JoinHandle;

use super::{Asked, VendorUpstream};
use crate::ports::ledger::PullRow;

/// First wait after a failure; doubled each time, up to the time between pulls.
const FIRST_RETRY: Duration = Duration::from_secs(60);
/// Longest sleep, so that a clock that was set does not keep us waiting for days.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);

/// What is known when the next pull is planned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Past {
    /// When a pull last ended, well or not.
    pub(crate) tried_at: Option<Timestamp>,
    /// Failures since the last one that ended well.
    pub(crate) failures: u32,
}

impl Past {
    /// What the ledger noted, and what this process knows: a ledger that cannot write, for example on a full disk,
    /// must not have the vendor asked again without a pause.
    pub(crate) fn known(noted: &PullRow, tried_here: Option<Timestamp>, failures: u32) -> Self {
        Self { tried_at: noted.tried_at.max(noted.metadata_as_of).max(tried_here), failures }
    }
}

/// When the next pull is due. `seed` spreads servers by up to a tenth of the wait, either way.
pub(crate) fn due_at(past: Past, every: Duration, seed: u16, now: Timestamp) -> Timestamp {
    let Some(tried_at) = past.tried_at else { return now };
    let wait = match past.failures {
        0 => every,
        failures => FIRST_RETRY.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(every),
    };
    let spread = wait / 5 * u32::from(seed) / u32::from(u16::MAX);
    let due = tried_at.checked_add(wait - wait / 10 + spread).unwrap_or(now);
    // A try that lies in the future was made by another clock.
    if tried_at > now { now } else { due }
}

pub(super) fn spawn(upstream: Arc<VendorUpstream>) -> JoinHandle<()> {
    tokio::spawn(async move {
        upstream.catch_up().await;
        let mut seed = fresh_seed();
        loop {
            let now = upstream.now();
            let due = due_at(upstream.past().await, upstream.every(), seed, now);
            let wait = Duration::try_from(due.duration_since(now)).unwrap_or_default();
            if wait.is_zero() {
                // The outcome is logged and in the ledger; the next turn looks at it there.
                let _ = upstream.pull(Asked::BySchedule).await;
                seed = fresh_seed();
            } else {
                tokio::time::sleep(wait.min(LONGEST_SLEEP)).await;
            }
        }
    })
}

fn fresh_seed() -> u16 {
    random_bytes::<2>().map_or(u16::MAX / 2, u16::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn due(failures: u32, seed: u16) -> i64 {
        let past = Past { tried_at: Some(at(0)), failures };
        due_at(past, HOUR, seed, at(1)).as_second() - at(0).as_second()
    }

    #[test]
    fn a_server_that_never_pulled_pulls_at_once() {
        assert_eq!(due_at(Past { tried_at: None, failures: 0 }, HOUR, 0, at(5)), at(5));
    }

    #[test]
    fn a_try_that_the_ledger_could_not_note_is_followed_by_a_wait_all_the_same() {
        let noted = PullRow { tried_at: Some(at(-7200)), ..PullRow::default() };
        let past = Past::known(&noted, Some(at(0)), 1);
        assert!(due_at(past, HOUR, 0, at(1)) >= at(54));
        assert_eq!(due_at(Past::known(&noted, None, 0), HOUR, 0, at(1)), at(-7200 + 3240));
    }

    #[test]
    fn pulls_are_an_hour_apart_give_or_take_a_tenth() {
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
        let past = Past { tried_at: Some(at(1_000_000)), failures: 0 };
        assert_eq!(due_at(past, HOUR, 0, at(0)), at(0));
    }
}
