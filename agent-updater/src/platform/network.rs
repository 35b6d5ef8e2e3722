//! Waiting for the network on a thread that may block, with a way to interrupt the wait.
//!
//! Invariants: no server, however slow, delays the end of the agent or a rollback that a person asked for; no download, and no
//! delta that is applied, delays a contact that is due, so that a halt or another assignment is heard.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::Instant;

/// How often a wait checks whether it is interrupted.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// A wait was interrupted by this agent itself; nothing is wrong with the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WaitInterrupted {
    #[error(
        "interrupted, because the agent is stopping or a person asked for a rollback; this continues at the next contact"
    )]
    ByPerson,
    #[error("interrupted, because a contact is due; what was fetched is kept, and this continues after it")]
    ByContact,
}

/// When a contact is due, for who downloads meanwhile.
#[derive(Debug, Default)]
struct Due {
    /// Since the server woke this computer.
    woken: Option<Instant>,
    /// Without having been woken.
    latest: Option<Instant>,
}

/// The network, as blocking code sees it.
#[derive(Debug)]
pub struct Network {
    runtime: Handle,
    interrupts: Vec<Arc<AtomicBool>>,
    due: Mutex<Due>,
}

impl Network {
    /// The network on a runtime; a wait ends as soon as one of the flags is set.
    #[must_use]
    pub fn new(runtime: Handle, interrupts: &[&Arc<AtomicBool>]) -> Self {
        let interrupts = interrupts.iter().map(|flag| Arc::clone(flag)).collect();
        Self { runtime, interrupts, due: Mutex::default() }
    }

    /// The runtime, for work that outlives a wait: connections live there.
    #[must_use]
    pub const fn runtime(&self) -> &Handle {
        &self.runtime
    }

    /// A contact begins: what made it due is over, and without being woken the next one is due within this time.
    pub fn begin_contact(&self, next_within: Duration) {
        *self.due() = Due { woken: None, latest: Instant::now().checked_add(next_within) };
    }

    /// The server woke this computer: a contact is due at this time.
    pub fn wake(&self, at: Instant) {
        let woken = &mut self.due().woken;
        *woken = Some(woken.map_or(at, |before| before.min(at)));
    }

    /// When the contact is due that the server woke this computer for since the last one began. It is given once: whoever
    /// takes it sees to that contact, also after a cycle that could not begin one.
    #[must_use]
    pub fn take_woken(&self) -> Option<Instant> {
        self.due().woken.take()
    }

    /// Whether a contact is due now.
    #[must_use]
    pub fn is_contact_due(&self) -> bool {
        let now = Instant::now();
        let due = self.due();
        due.woken.into_iter().chain(due.latest).any(|at| at <= now)
    }

    fn due(&self) -> std::sync::MutexGuard<'_, Due> {
        // Nothing that holds it can panic.
        self.due.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a wait would be interrupted at once.
    #[must_use]
    pub fn is_interrupted(&self) -> bool {
        self.interrupts.iter().any(|flag| flag.load(Ordering::SeqCst))
    }

    /// Why a download would be interrupted now, if it would; also for work that takes long without the network.
    #[must_use]
    pub fn interruption(&self) -> Option<WaitInterrupted> {
        match self.is_interrupted() {
            true => Some(WaitInterrupted::ByPerson),
            false => self.is_contact_due().then_some(WaitInterrupted::ByContact),
        }
    }

    /// Waits for an answer, on a thread that may block.
    ///
    /// # Errors
    /// [`WaitInterrupted`].
    pub fn wait<T>(&self, answer: impl Future<Output = T>) -> Result<T, WaitInterrupted> {
        self.wait_until(answer, || self.is_interrupted().then_some(WaitInterrupted::ByPerson))
    }

    /// As [`Network::wait`], for a download: it makes way for a contact that is due, too.
    ///
    /// # Errors
    /// [`WaitInterrupted`].
    pub fn download<T>(&self, answer: impl Future<Output = T>) -> Result<T, WaitInterrupted> {
        self.wait_until(answer, || self.interruption())
    }

    fn wait_until<T>(
        &self,
        answer: impl Future<Output = T>,
        is_over: impl Fn() -> Option<WaitInterrupted>,
    ) -> Result<T, WaitInterrupted> {
        self.runtime.block_on(async {
            let interrupted = async {
                loop {
                    if let Some(why) = is_over() {
                        return why;
                    }
                    tokio::time::sleep(POLL_INTERVAL).await;
                }
            };
            tokio::select! {
                biased;
                why = interrupted => Err(why),
                answer = answer => Ok(answer),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_for_an_answer_that_never_comes_is_interrupted_by_a_flag() {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let (stop, rollback) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let network = Network::new(runtime.handle().clone(), &[&stop, &rollback]);
        assert_eq!(network.wait(async { 7 }), Ok(7));
        let never = async {
            rollback.store(true, Ordering::SeqCst);
            std::future::pending::<()>().await;
        };
        assert_eq!(network.wait(never), Err(WaitInterrupted::ByPerson));
        assert_eq!(network.wait(async { 7 }), Err(WaitInterrupted::ByPerson), "nothing new is begun either");
    }

    #[test]
    fn a_download_makes_way_for_a_contact_that_is_due_and_a_contact_does_not() {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let network = Network::new(runtime.handle().clone(), &[]);
        network.begin_contact(Duration::from_secs(3_600));
        assert_eq!(network.download(async { 7 }), Ok(7));
        network.wake(Instant::now() + Duration::from_millis(300));
        assert_eq!(network.download(std::future::pending::<()>()), Err(WaitInterrupted::ByContact));
        assert_eq!(network.wait(async { 7 }), Ok(7));
        network.begin_contact(Duration::ZERO);
        assert_eq!(network.take_woken(), None);
        // Taken once: a cycle that begins no contact would else be due again and again.
        let at = Instant::now();
        network.wake(at + Duration::from_secs(9));
        network.wake(at);
        assert_eq!((network.take_woken(), network.take_woken()), (Some(at), None));
        assert_eq!(
            network.download(async { 7 }),
            Err(WaitInterrupted::ByContact),
            "its time has come anyway"
        );
    }
}
