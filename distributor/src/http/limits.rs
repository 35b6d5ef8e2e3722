//! Bounds on what callers can make the server do: requests in flight, failed attempts per source, and what one client
//! can have written to the log.
//!
//! Invariant: all maps and counters have a fixed largest size, whatever is sent. Time comes in as an argument.
//! Left out on purpose: how a budget comes back and what one source is; all servers share that in `sealpost-serving`.

use std::sync::Arc;
use std::time::Duration;

use sealpost_manifests::ids::ClientId;
use sealpost_serving::{Budgets, FailedAttempts, Rate};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Failed attempts that a source has in a minute; then it waits for the rest of that minute. A person who mistypes stays
/// below it.
const FAILURES: Rate = Rate { burst: 20, refill: 20, every_secs: 60 };
/// Sources that are remembered.
const MAX_SOURCES: usize = 4096;

/// Contacts and reports of one client: more at once than a busy day brings, and so few in the long run that a client has
/// some 40 MiB of the log in a day at the most.
const CONTACTS: Rate = Rate { burst: 2_000, refill: 1, every_secs: 5 };
/// Clients whose budgets are remembered; a full budget is not.
const MAX_BUDGETS: usize = 65_536;

#[derive(Debug, Clone, Copy)]
pub struct RequestLimits {
    /// Requests of clients that may be worked on at once.
    pub in_flight: usize,
    /// Time from a request's head to the head of its answer.
    pub answer_within: Duration,
    /// Time for a request's body to arrive.
    pub body_within: Duration,
}

impl Default for RequestLimits {
    fn default() -> Self {
        Self { in_flight: 512, answer_within: Duration::from_secs(30), body_within: Duration::from_secs(15) }
    }
}

/// Counts requests that are being worked on.
#[derive(Debug, Clone)]
pub(crate) struct InFlight(Arc<Semaphore>);

impl InFlight {
    pub(crate) fn new(limit: usize) -> Self {
        Self(Arc::new(Semaphore::new(limit)))
    }

    /// A place, if one is free; given back when it is dropped.
    pub(crate) fn enter(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.0).try_acquire_owned().ok()
    }
}

/// Counts failed attempts to prove an identity, per source.
pub(crate) fn failed_attempts() -> FailedAttempts {
    FailedAttempts::new(FAILURES, MAX_SOURCES)
}

/// What each client may still have written. Asked only after its signature was verified.
pub(crate) type ContactBudgets = Budgets<ClientId>;

/// Full budgets for every client.
pub(crate) fn contact_budgets() -> ContactBudgets {
    Budgets::new(CONTACTS, MAX_BUDGETS)
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use sealpost_serving::Peer;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn peer(text: &str) -> Peer {
        Peer::Network(text.parse().unwrap())
    }

    #[test]
    fn a_source_that_fails_too_often_waits_for_the_rest_of_its_minute_and_others_do_not() {
        let attempts = failed_attempts();
        for _ in 0..FAILURES.burst {
            assert_eq!(attempts.must_wait(&peer("10.0.0.1"), at(100)), None);
            attempts.note(&peer("10.0.0.1"), at(100));
        }
        assert_eq!(attempts.must_wait(&peer("10.0.0.1"), at(130)), Some(30));
        assert_eq!(attempts.must_wait(&peer("10.0.0.2"), at(130)), None);
        assert_eq!(attempts.must_wait(&peer("10.0.0.1"), at(160)), None);
    }

    #[test]
    fn a_client_that_floods_the_log_has_to_wait_and_others_do_not() {
        let budgets = contact_budgets();
        let (one, other) = (ClientId::from_random([1; 16]), ClientId::from_random([2; 16]));
        for _ in 0..CONTACTS.burst / 50 {
            assert_eq!(budgets.spend(&one, 50, at(100)), Ok(()));
        }
        assert_eq!(budgets.spend(&one, 10, at(100)), Err(10 * CONTACTS.every_secs));
        assert_eq!(budgets.spend(&other, 10, at(100)), Ok(()));
        assert_eq!(budgets.spend(&one, 10, at(100 + 10 * CONTACTS.every_secs - 1)), Err(1));
        assert_eq!(budgets.spend(&one, 10, at(100 + 10 * CONTACTS.every_secs)), Ok(()));
        assert_eq!(
            budgets.spend(&one, 1, at(0)),
            Err(CONTACTS.every_secs),
            "a clock that goes back gives none"
        );
        assert_eq!(budgets.spend(&one, CONTACTS.burst, at(1_000_000)), Ok(()));
    }

    #[test]
    fn a_client_that_only_contacts_each_minute_never_waits() {
        let budgets = contact_budgets();
        let client = ClientId::from_random([1; 16]);
        for minute in 0..10_000 {
            assert_eq!(budgets.spend(&client, 5, at(minute * 60)), Ok(()));
        }
    }
}
