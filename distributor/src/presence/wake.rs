//! What wakes the look at the server's standing before its time comes: what an admin did, and computers that have learned
//! the newest server list.
//!
//! Invariant: whoever calls after a change sees a look that began after it; many calls during one look make one more.
//! Left out on purpose: what is looked at, and whether everybody has learned.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;
use tokio::time::Interval;

/// Why it is time to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Woken {
    /// Something changed, or the time has come.
    Changed,
    /// One more computer has learned the newest list; others may not have.
    Learned,
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
    pub(super) async fn woken(&self, ticks: &mut Interval) -> Woken {
        tokio::select! {
            () = self.changed.notified() => Woken::Changed,
            _ = ticks.tick() => Woken::Changed,
            () = self.learned.notified() => Woken::Learned,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::FutureExt;
    use tokio::time::{Instant, interval_at};

    use super::*;

    /// What wakes it now, if anything does.
    fn now(wake: &Wake) -> Option<Woken> {
        let hour = Duration::from_secs(3600);
        wake.woken(&mut interval_at(Instant::now() + hour, hour)).now_or_never()
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
}
