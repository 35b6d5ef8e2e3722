//! Who notices a panic: the work that a server does in tasks and threads of its own, and what is said while some of it
//! does not run.
//!
//! Invariants: work that the program cannot be without and that panicked or ended is known to whoever waits in
//! [`Supervision::failed`], which then ends the process; other work that panicked is started again, with pauses that grow;
//! while any of it does not run, [`Supervision::problem`] says so.
//! Left out on purpose: single requests and connections (a panic there ends that one, and is a line of the log), and work
//! that ends without a panic: it was told to, or has said why.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

/// Pause before work that panicked is started again, the first time. Doubled each time.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// Longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// Work that ran this long is started again after the first pause.
const GOOD_AFTER: Duration = Duration::from_secs(600);

/// What became of supervised work; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Supervision {
    standing: Arc<watch::Sender<Standing>>,
}

#[derive(Debug, Default)]
struct Standing {
    /// What is gone for good, and how.
    failed: Option<String>,
    /// What is to be started again, and how often it panicked so far.
    down: BTreeMap<&'static str, u32>,
}

impl Supervision {
    /// Nothing has failed yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// `work`, without which the program cannot do what it is for: its panic is a failure for good. `name` stands in
    /// sentences: "the listener for admins".
    pub fn needed(
        &self,
        name: &'static str,
        work: impl Future<Output = ()> + Send + 'static,
    ) -> impl Future<Output = ()> + Send + 'static {
        let own = self.clone();
        async move {
            if caught(work).await.is_err() {
                own.fail(name, "ended by a panic");
            }
        }
    }

    /// Work that is started again after a panic; `make` begins it. It must be a reconciler: what it left undone is done by
    /// the next one.
    pub fn started_again<F>(
        &self,
        name: &'static str,
        mut make: impl FnMut() -> F + Send + 'static,
    ) -> impl Future<Output = ()> + Send + 'static
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let own = self.clone();
        async move {
            let (mut panics, mut pause) = (0_u32, FIRST_PAUSE);
            loop {
                let began = Instant::now();
                if caught(make()).await.is_ok() {
                    return;
                }
                panics = panics.saturating_add(1);
                if began.elapsed() >= GOOD_AFTER {
                    pause = FIRST_PAUSE;
                }
                let seconds = pause.as_secs();
                tracing::error!(panics, "{name} ended by a panic, and is started again in {seconds} s");
                own.standing.send_modify(|standing| _ = standing.down.insert(name, panics));
                tokio::time::sleep(pause).await;
                own.standing.send_modify(|standing| _ = standing.down.remove(name));
                pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
            }
        }
    }

    /// Something is gone for good without which the program cannot do what it is for. The first one counts.
    pub fn fail(&self, name: &'static str, how: &'static str) {
        tracing::error!("{name} {how}");
        self.standing
            .send_modify(|standing| _ = standing.failed.get_or_insert_with(|| format!("{name} {how}")));
    }

    /// Waits until something has failed for good, and says what.
    pub async fn failed(&self) -> String {
        let mut standing = self.standing.subscribe();
        loop {
            if let Some(failed) = standing.borrow_and_update().failed.clone() {
                return failed;
            }
            if standing.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Whether nothing has failed for good; a watchdog gets signs of life as long as this is so.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.standing.borrow().failed.is_none()
    }

    /// One sentence about what does not run at present, without names of persons, computers or files.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        let standing = self.standing.borrow();
        let down = || {
            let (name, panics) = standing.down.first_key_value()?;
            let times = if *panics == 1 { "once".to_owned() } else { format!("{panics} times") };
            Some(format!("{name} ended by a panic ({times} so far), and is about to be started again"))
        };
        standing
            .failed
            .as_ref()
            .map(|failed| format!("{failed}, and the program is about to end"))
            .or_else(down)
    }
}

/// The work panicked; why is in the log.
struct Panicked;

/// Ends with the work, also when that panics.
async fn caught(work: impl Future<Output = ()>) -> Result<(), Panicked> {
    let mut work = Box::pin(work);
    // What the work held is dropped and never looked at again.
    poll_fn(|context| match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(context))) {
        Ok(polled) => polled.map(Ok),
        Err(_) => Poll::Ready(Err(Panicked)),
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    fn paused(test: impl Future<Output = ()>) {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        runtime.enable_time().start_paused(true).build().unwrap().block_on(test);
    }

    #[test]
    fn a_panic_of_needed_work_is_a_failure_for_good_and_its_regular_end_is_none() {
        paused(async {
            let supervision = Supervision::new();
            supervision.needed("the listener", async {}).await;
            assert!(supervision.is_alive());
            assert_eq!(supervision.problem(), None);
            tokio::spawn(supervision.needed("the listener", async { panic!("a fault") }));
            assert_eq!(supervision.failed().await, "the listener ended by a panic");
            assert!(!supervision.is_alive());
            let said = supervision.problem().unwrap();
            assert_eq!(said, "the listener ended by a panic, and the program is about to end");
        });
    }

    #[test]
    fn other_work_is_started_again_with_growing_pauses_and_what_is_down_is_said_meanwhile() {
        paused(async {
            let (supervision, begun) = (Supervision::new(), Arc::new(AtomicU32::new(0)));
            let counted = Arc::clone(&begun);
            let work = supervision.started_again("the text log", move || {
                let number = counted.fetch_add(1, Ordering::SeqCst);
                async move { assert!(number >= 3, "a fault") }
            });
            let began = Instant::now();
            let work = tokio::spawn(work);
            tokio::time::sleep(Duration::from_millis(500)).await;
            let said = supervision.problem().unwrap();
            assert_eq!(said, "the text log ended by a panic (once so far), and is about to be started again");
            assert!(supervision.is_alive(), "the program can do without it for a while");
            work.await.unwrap();
            assert_eq!(begun.load(Ordering::SeqCst), 4);
            assert_eq!(began.elapsed().as_secs(), 1 + 2 + 4);
            assert_eq!(supervision.problem(), None);
        });
    }
}
