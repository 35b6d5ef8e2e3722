//! For how long a server is waited for in one cycle, whatever is asked of it.
//!
//! Invariant: whatever a server beside the first answers, and to however many requests, it takes no more than its time from a cycle:
//! the first waits meanwhile, and so do what it halts and whom it calls.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use crate::platform::network::{Network, WaitInterrupted};

/// The longest that a server beside the first is asked in a cycle, by all of its ways and for all that it wants.
const BESIDE_THE_FIRST: Duration = Duration::from_secs(20);

/// Until when a server is waited for; the first has the time limits of each request only.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience(Option<Instant>);

impl Patience {
    /// The patience with a server whose turn begins now.
    pub(super) fn with(is_authority: bool) -> Self {
        Self((!is_authority).then(|| Instant::now() + BESIDE_THE_FIRST))
    }

    /// An answer; `None` if it is not there when the time of the server is over.
    ///
    /// # Errors
    /// As [`Network::wait`].
    pub(super) fn wait<T>(
        self,
        network: &Network,
        answer: impl Future<Output = T>,
    ) -> Result<Option<T>, WaitInterrupted> {
        match self.0 {
            None => network.wait(answer).map(Some),
            Some(until) => network.wait(async { timeout_at(until, answer).await.ok() }),
        }
    }
}

/// What is said of a server that was not waited for longer.
pub(super) fn too_slow() -> String {
    format!(
        "no answer was there within {} seconds, and it is not waited for longer",
        BESIDE_THE_FIRST.as_secs()
    )
}
