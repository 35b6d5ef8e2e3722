//! Who made a contact just now, for those who wait for somebody.
//!
//! Invariant: nothing is kept when nobody waits, and no more than [`MOST`] names when somebody does: who is slower than that is
//! told that it missed some, and looks into the ledger.

use sealpost_manifests::ids::ComputerName;
use tokio::sync::broadcast;

/// Names that are kept for those who wait: more than a call may name, several times over.
const MOST: usize = 4_096;

/// Where contacts are told.
#[derive(Debug)]
pub(crate) struct Heard(broadcast::Sender<ComputerName>);

impl Heard {
    pub(crate) fn new() -> Self {
        Self(broadcast::Sender::new(MOST))
    }

    /// A contact was accepted, and its answer is on disk.
    pub(crate) fn tell(&self, name: &ComputerName) {
        if self.0.receiver_count() > 0 {
            // That nobody waits any more is no failure.
            let _ = self.0.send(name.clone());
        }
    }

    /// Who is heard from now on.
    pub(crate) fn listen(&self) -> Listening {
        Listening(self.0.subscribe())
    }
}

/// Hears of contacts from the moment on in which it was made.
#[derive(Debug)]
pub(crate) struct Listening(broadcast::Receiver<ComputerName>);

impl Listening {
    /// The next computer that made a contact; `None` where some were missed.
    pub(crate) async fn next(&mut self) -> Option<ComputerName> {
        self.0.recv().await.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(number: usize) -> ComputerName {
        ComputerName::new(format!("pc-{number}")).unwrap()
    }

    #[tokio::test]
    async fn who_waits_hears_what_comes_after_and_who_is_slow_hears_that_it_missed_some() {
        let heard = Heard::new();
        heard.tell(&name(0));
        let (mut waits, mut slow) = (heard.listen(), heard.listen());
        heard.tell(&name(1));
        assert_eq!(waits.next().await, Some(name(1)));
        for number in 2..=MOST + 2 {
            heard.tell(&name(number));
        }
        assert_eq!(slow.next().await, None);
        assert!(slow.next().await.is_some(), "and goes on");
    }
}
