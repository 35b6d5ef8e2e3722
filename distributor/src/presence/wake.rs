//! What wakes the look at the server's standing before its time comes: what an admin did, and computers that have learned
//! the newest server list.
//!
//! Invariants: whoever calls after a change sees a look that began after it; many calls during one look make one more;
//! thousands of computers that learn a list one after the other make a look each second, the last of them included.
//! Left out on purpose: what is looked at, and whether everybody has learned.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, sleep_until};

/// Least time between two looks whether everybody has learned, each of which reads all computers.
const LEARNED_EVERY: Duration = Duration::from_secs(1);

/// Why it is time to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Woken {
    /// Something changed, or the time has come.
    Changed,
    /// One more computer has learned the newest list; others may not have.
    Learned,
}

/// When it is looked though nobody says that something changed.
#[derive(Debug)]
pub(super) struct Times {
    ticks: Interval,
    /// When the next look at who has learned may begin; `None`: at once.
    learned_from: Option<Instant>,
}

impl Times {
    /// A look each `period`, the first after one.
    pub(super) fn every(period: Duration) -> Self {
        let mut ticks = interval_at(Instant::now() + period, period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { ticks, learned_from: None }
    }
}

/// As the module says.
#[derive(Debug, Default)]
pub(super) struct Wake {
    changed: Notify,
    learned: Notify,
    /// Whether anything depends on what computers learn.
    awaits: AtomicBool,
}

impl Wake {
    pub(super) fn changed(&self) {
        self.changed.notify_one();
    }

    /// Nothing happens while nothing depends on it: every contact says so.
    pub(super) fn learned(&self) {
        if self.awaits.load(Ordering::Relaxed) {
            self.learned.notify_one();
        }
    }

    pub(super) fn set_awaits(&self, awaits: bool) {
        self.awaits.store(awaits, Ordering::Relaxed);
    }

    /// Waits until it is time to look; at the latest until the next tick.
    pub(super) async fn woken(&self, times: &mut Times) -> Woken {
        let Times { ticks, learned_from } = times;
        let learned = async {
            if let Some(from) = *learned_from {
                sleep_until(from).await;
            }
            self.learned.notified().await;
        };
        tokio::select! {
            () = self.changed.notified() => return Woken::Changed,
            _ = ticks.tick() => return Woken::Changed,
            () = learned => {}
        }
        *learned_from = Some(Instant::now() + LEARNED_EVERY);
        Woken::Learned
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use tokio::time::{sleep, timeout};

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    /// What wakes it now, if anything does.
    fn now(wake: &Wake) -> Option<Woken> {
        wake.woken(&mut Times::every(HOUR)).now_or_never()
    }

    #[tokio::test]
    async fn many_changes_during_one_look_make_one_more() {
        let wake = Wake::default();
        assert_eq!(now(&wake), None);
        wake.changed();
        wake.changed();
        assert_eq!((now(&wake), now(&wake)), (Some(Woken::Changed), None));
    }

    #[tokio::test]
    async fn a_computer_that_holds_the_newest_list_wakes_nobody_unless_that_is_waited_for() {
        let wake = Wake::default();
        wake.learned();
        assert_eq!(now(&wake), None);
        wake.set_awaits(true);
        wake.learned();
        assert_eq!((now(&wake), now(&wake)), (Some(Woken::Learned), None));
    }

    #[tokio::test(start_paused = true)]
    async fn computers_that_learn_one_after_the_other_make_a_look_each_second_and_a_change_waits_for_none() {
        let (wake, mut times, mut looks) = (Wake::default(), Times::every(HOUR), Vec::new());
        wake.set_awaits(true);
        let began = Instant::now();
        let contacts = async {
            // Ends between two looks: at the very moment of one, either may come first.
            for _ in 0..450 {
                wake.learned();
                sleep(Duration::from_millis(10)).await;
            }
            wake.changed();
        };
        let look = async {
            // The last computer came in the last second: one look more.
            while let Ok(woken) = timeout(LEARNED_EVERY * 2, wake.woken(&mut times)).await {
                looks.push((woken, began.elapsed().as_secs()));
            }
        };
        tokio::join!(contacts, look);
        let learned = |second| (Woken::Learned, second);
        let expected =
            [learned(0), learned(1), learned(2), learned(3), learned(4), (Woken::Changed, 4), learned(5)];
        assert_eq!(looks, expected);
    }
}
