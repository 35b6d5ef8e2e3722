//! TLS handshakes in turn. A handshake is the dearest thing that a stranger can ask for with a few bytes, so there is a rate for
//! them: whoever has to wait does so without costing more than the connection that he has.
//!
//! Invariant: what waits is bounded by the connections. Left out on purpose: refusing somebody; the time for a handshake ends
//! while he waits.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::limits::{ConnectionLimits, CountedBy};
use crate::source::network_of;
use crate::standing::{SharedBooks, lock};
use crate::turns::Turns;

/// How often turns are given while somebody waits.
const INTERVAL: Duration = Duration::from_millis(10);

/// As the module says; the listeners that share places share it.
#[derive(Debug)]
pub(crate) struct Handshakes {
    counted_by: CountedBy,
    books: SharedBooks,
    queue: Mutex<Queue>,
}

#[derive(Debug)]
struct Queue {
    turns: Turns,
    next: u64,
    told: HashMap<u64, oneshot::Sender<()>>,
    /// Whether a task gives turns.
    is_served: bool,
}

/// One connection that waits; dropped, it waits no more.
struct Waiting<'a> {
    handshakes: &'a Handshakes,
    source: IpAddr,
    id: u64,
}

impl Handshakes {
    pub(crate) fn new(limits: &ConnectionLimits, books: SharedBooks) -> Arc<Self> {
        let turns = Turns::new(limits.handshakes_of_known, limits.handshakes_of_strangers, Instant::now());
        let queue = Mutex::new(Queue { turns, next: 0, told: HashMap::new(), is_served: false });
        Arc::new(Self { counted_by: limits.counted_by, books, queue })
    }

    /// Waits until it is this address's turn.
    pub(crate) async fn turn(self: &Arc<Self>, address: IpAddr) {
        let address = address.to_canonical();
        let source = network_of(address);
        let is_proxy = self.counted_by == CountedBy::RemoteNetwork && address.is_loopback();
        let is_known = is_proxy || lock(&self.books).knows(source);
        let (tell, told) = oneshot::channel();
        let waiting = {
            let mut queue = self.queue();
            let id = queue.next;
            queue.next += 1;
            if queue.turns.ask(source, id, is_known, Instant::now()) {
                return;
            }
            queue.told.insert(id, tell);
            if !queue.is_served {
                queue.is_served = true;
                tokio::spawn(Arc::clone(self).give_turns());
            }
            Waiting { handshakes: self, source, id }
        };
        // An error cannot be: the other half stays until this one was told or is dropped.
        let _ = told.await;
        drop(waiting);
    }

    async fn give_turns(self: Arc<Self>) {
        loop {
            tokio::time::sleep(INTERVAL).await;
            let mut queue = self.queue();
            let due = queue.turns.next(Instant::now(), |source| lock(&self.books).knows(source));
            for told in due.iter().filter_map(|id| queue.told.remove(id)).collect::<Vec<_>>() {
                // Whoever has gone meanwhile leaves a turn unused.
                let _ = told.send(());
            }
            if queue.turns.is_empty() {
                queue.is_served = false;
                return;
            }
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        // Nothing is half-changed in a way that matters: at the worst somebody waits until his time ends.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut queue = self.handshakes.queue();
        queue.turns.leave(self.source, self.id);
        queue.told.remove(&self.id);
    }
}
