//! Waiting until it is this computer's turn to download over a link that it shares with others.
//!
//! Invariant: a wait that is short is waited for here, since the place in the server's line counts on that; a long one ends
//! the download for now, without a failure. Both end when a contact is due or a person interrupts: see
//! [`Network`](crate::platform::network::Network).

use std::time::{Duration, Instant};

use sealpost_keys::token::random_bytes;
use sealpost_service::output::{is_told_to_a_terminal, tell};

use crate::domain::release::Refusal;

/// So long it is waited for here; then the download is gone on with in another cycle.
const WAITS_HERE: Duration = Duration::from_secs(600);

/// The wait of one download.
#[derive(Debug, Default)]
pub(super) struct Turn {
    since: Option<Instant>,
}

impl Turn {
    /// Waits for as long as the server asks, and a little more, so that not all ask at once.
    ///
    /// # Errors
    /// [`Refusal`] that says when to ask again, when it takes too long to wait for it here.
    pub(super) async fn wait(&mut self, after: Duration) -> Result<(), Refusal> {
        if self.since.is_none() && is_told_to_a_terminal() {
            tell("other computers use the link to the server; waiting for the turn of this one");
        }
        let since = *self.since.get_or_insert_with(Instant::now);
        if since.elapsed() + after > WAITS_HERE {
            let detail = format!(
                "the link to the server is in use by other computers; this one keeps its place in the line, and asks again in \
                 {} s",
                after.as_secs()
            );
            return Err(Refusal::later(detail, after));
        }
        tracing::info!(
            again_in_secs = after.as_secs(),
            "the link to the server is in use; it waits for its turn"
        );
        tokio::time::sleep(after + jitter(after)).await;
        Ok(())
    }
}

/// Up to a tenth of the pause, and a second at the most.
fn jitter(after: Duration) -> Duration {
    let most = (after / 10).min(Duration::from_secs(1));
    let random = random_bytes::<1>().map_or(0, |[byte]| u32::from(byte));
    most * random / 256
}

#[cfg(test)]
mod tests {
    use sealpost_manifests::wire::report::ReasonCode;

    use super::*;

    #[tokio::test]
    async fn a_short_wait_is_waited_for_and_one_that_takes_too_long_says_when_to_ask_again() {
        let mut turn = Turn::default();
        turn.wait(Duration::from_millis(10)).await.unwrap();
        assert!(turn.since.is_some_and(|since| since.elapsed() >= Duration::from_millis(10)));
        let refused = turn.wait(Duration::from_secs(600)).await.unwrap_err();
        assert_eq!(
            (refused.reason, refused.again_in()),
            (ReasonCode::LinkBusy, Some(Duration::from_secs(600)))
        );
        assert!((0..100).all(|_| jitter(Duration::from_secs(300)) < Duration::from_secs(1)));
    }
}
