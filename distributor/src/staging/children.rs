//! Whose turn it is to have a child process: one at a time, so that its bound on memory is the bound of all.
//!
//! Invariants: what somebody waits for goes first; packing makes way at once, also in the middle, and begins anew when nothing
//! waits any more, so that it never holds anything up.

use tokio::sync::{Semaphore, SemaphorePermit, watch};

/// The one place for a child.
#[derive(Debug)]
pub(super) struct Turns {
    place: Semaphore,
    /// How many rounds of work want the place before packing does.
    wanted: watch::Sender<usize>,
}

/// Keeps packing away from the place until it is dropped.
#[derive(Debug)]
pub(super) struct First<'t> {
    turns: &'t Turns,
}

impl Turns {
    pub(super) fn new() -> Self {
        Self { place: Semaphore::new(1), wanted: watch::Sender::new(0) }
    }

    /// For a round of work that somebody waits for: between its children packing does not begin again.
    pub(super) fn go_first(&self) -> First<'_> {
        self.wanted.send_modify(|wanted| *wanted = wanted.saturating_add(1));
        First { turns: self }
    }

    /// Does work that makes way: it is dropped for whoever goes first, and begun anew after that.
    pub(super) async fn last<T, F: Future<Output = T>>(&self, begin: impl Fn() -> F) -> T {
        let mut wanted = self.wanted.subscribe();
        loop {
            // The sender lives as long as `self`: waiting for it never fails.
            let _ = wanted.wait_for(|wanted| *wanted == 0).await;
            let _place = self.take().await;
            tokio::select! {
                biased;
                _ = wanted.wait_for(|wanted| *wanted > 0) => {}
                done = begin() => return done,
            }
        }
    }

    async fn take(&self) -> Option<SemaphorePermit<'_>> {
        // It is never closed.
        self.place.acquire().await.ok()
    }
}

impl First<'_> {
    pub(super) async fn run<T>(&self, work: impl Future<Output = T>) -> T {
        let _place = self.turns.take().await;
        work.await
    }
}

impl Drop for First<'_> {
    fn drop(&mut self) {
        self.turns.wanted.send_modify(|wanted| *wanted = wanted.saturating_sub(1));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::oneshot;

    use super::*;

    /// Counts who is at work.
    #[derive(Default)]
    struct Work {
        at_once: AtomicUsize,
        most: AtomicUsize,
        begun: AtomicUsize,
    }

    struct AtWork<'w>(&'w Work);

    impl Work {
        fn begin(&self) -> AtWork<'_> {
            self.begun.fetch_add(1, Ordering::SeqCst);
            let now = self.at_once.fetch_add(1, Ordering::SeqCst) + 1;
            self.most.fetch_max(now, Ordering::SeqCst);
            AtWork(self)
        }
    }

    impl Drop for AtWork<'_> {
        fn drop(&mut self) {
            self.0.at_once.fetch_sub(1, Ordering::SeqCst);
        }
    }

    #[tokio::test]
    async fn packing_makes_way_in_the_middle_for_what_somebody_waits_for_and_begins_anew_after_the_whole_round()
     {
        let (turns, packing, other) = (Turns::new(), Work::default(), Work::default());
        let (may_end, end) = oneshot::channel::<()>();
        let end = std::sync::Mutex::new(Some(end));
        let pack = turns.last(|| {
            let at_work = packing.begin();
            let end = end.lock().unwrap().take_if(|_| packing.begun.load(Ordering::SeqCst) == 2);
            async move {
                let _at_work = at_work;
                match end {
                    Some(end) => end.await.unwrap(),
                    // The first one never ends by itself.
                    None => std::future::pending().await,
                }
            }
        });
        let round = async {
            while packing.begun.load(Ordering::SeqCst) == 0 {
                tokio::task::yield_now().await;
            }
            let first = turns.go_first();
            for _ in 0..3 {
                first
                    .run(async {
                        let _at_work = other.begin();
                        assert_eq!(packing.at_once.load(Ordering::SeqCst), 0);
                        tokio::task::yield_now().await;
                    })
                    .await;
                tokio::task::yield_now().await;
            }
            assert_eq!(packing.begun.load(Ordering::SeqCst), 1);
            drop(first);
            may_end.send(()).unwrap();
        };
        tokio::join!(pack, round);
        assert_eq!((packing.begun.load(Ordering::SeqCst), packing.most.load(Ordering::SeqCst)), (2, 1));
    }

    #[tokio::test]
    async fn children_run_one_after_the_other_whoever_wants_them() {
        let (turns, work) = (Turns::new(), Work::default());
        let child = || async {
            let _at_work = work.begin();
            for _ in 0..10 {
                tokio::task::yield_now().await;
            }
        };
        let round = async || {
            let first = turns.go_first();
            first.run(child()).await;
            first.run(child()).await;
        };
        tokio::join!(turns.last(child), round(), turns.last(child), round());
        assert_eq!(work.most.load(Ordering::SeqCst), 1);
        assert!(work.begun.load(Ordering::SeqCst) >= 6);
    }
}
