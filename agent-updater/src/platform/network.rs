//! Waiting for the network on a thread that may block, with a way to interrupt the wait.
//!
//! Invariant: no server, however slow, delays the end of the agent or a rollback that a person asked for.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::runtime::Handle;

/// How often a wait checks whether it is interrupted.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// A wait was interrupted by this agent itself; nothing is wrong with the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "interrupted, because the agent is stopping or a person asked for a rollback; this continues at the next contact"
)]
pub struct WaitInterrupted;

/// The network, as blocking code sees it.
#[derive(Debug, Clone)]
pub struct Network {
    runtime: Handle,
    interrupts: Vec<Arc<AtomicBool>>,
}

impl Network {
    /// The network on a runtime; a wait ends as soon as one of the flags is set.
    #[must_use]
    pub fn new(runtime: Handle, interrupts: &[&Arc<AtomicBool>]) -> Self {
        Self { runtime, interrupts: interrupts.iter().map(|flag| Arc::clone(flag)).collect() }
    }

    /// Whether a wait would be interrupted at once.
    #[must_use]
    pub fn is_interrupted(&self) -> bool {
        self.interrupts.iter().any(|flag| flag.load(Ordering::SeqCst))
    }

    /// Waits for an answer, on a thread that may block.
    ///
    /// # Errors
    /// [`WaitInterrupted`].
    pub fn wait<T>(&self, answer: impl Future<Output = T>) -> Result<T, WaitInterrupted> {
        self.runtime.block_on(async {
            let interrupted = async {
                while !self.is_interrupted() {
                    tokio::time::sleep(POLL_INTERVAL).await;
                }
            };
            tokio::select! {
                biased;
                () = interrupted => Err(WaitInterrupted),
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
        assert_eq!(network.wait(never), Err(WaitInterrupted));
        assert_eq!(network.wait(async { 7 }), Err(WaitInterrupted), "nothing new is begun either");
    }
}
