//! Waiting for the network, on a thread that may block, until somebody needs that thread for something better.
//!
//! Invariant: no server, however slow, holds up the end of the agent or what a person at the computer asks for.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::runtime::Handle;

/// How often is looked whether to give way.
const LOOK: Duration = Duration::from_millis(100);

/// Waiting was given up; nothing is wrong with the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the agent was asked for something that comes first; this goes on at the next contact")]
pub struct GaveWay;

/// The network, as blocking code sees it.
#[derive(Debug, Clone)]
pub struct Network {
    runtime: Handle,
    give_way: Vec<Arc<AtomicBool>>,
}

impl Network {
    /// The network on a runtime; what is waited for is given up as soon as one of the flags is set.
    #[must_use]
    pub fn new(runtime: Handle, give_way: &[&Arc<AtomicBool>]) -> Self {
        Self { runtime, give_way: give_way.iter().map(|flag| Arc::clone(flag)).collect() }
    }

    /// Whether waiting would be given up at once.
    #[must_use]
    pub fn gives_way(&self) -> bool {
        self.give_way.iter().any(|flag| flag.load(Ordering::SeqCst))
    }

    /// Waits for an answer.
    ///
    /// # Errors
    /// [`GaveWay`].
    pub fn wait<T>(&self, answer: impl Future<Output = T>) -> Result<T, GaveWay> {
        self.runtime.block_on(async {
            let given_way = async {
                while !self.gives_way() {
                    tokio::time::sleep(LOOK).await;
                }
            };
            tokio::select! {
                biased;
                () = given_way => Err(GaveWay),
                answer = answer => Ok(answer),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_never_comes_is_given_up_when_somebody_asks() {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let (stop, hurry) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let network = Network::new(runtime.handle().clone(), &[&stop, &hurry]);
        assert_eq!(network.wait(async { 7 }), Ok(7));
        let never = async {
            hurry.store(true, Ordering::SeqCst);
            std::future::pending::<()>().await;
        };
        assert_eq!(network.wait(never), Err(GaveWay));
        assert_eq!(network.wait(async { 7 }), Err(GaveWay), "nothing new is begun either");
    }
}
