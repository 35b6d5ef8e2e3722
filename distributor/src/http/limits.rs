//! Bounds on what callers can make the server do: requests in flight, failed attempts per source, and what one client
//! can have written to the log.
//!
//! Invariant: all maps and counters have a fixed size, whatever is sent. Time comes in as an argument.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use sealpost_manifests::ids::ClientId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::peer::Peer;

/// Failed attempts per source and minute, after which the source has to wait. A person who mistypes stays below it.
const MAX_FAILURES: u32 = 20;
/// Length of that window, in seconds.
const WINDOW_SECS: i64 = 60;
/// Sources that are remembered; the oldest window makes room.
const MAX_SOURCES: usize = 4096;

/// Contacts and reports that a client may have in a short time: more than a busy day brings.
const CONTACT_BURST: u32 = 2_000;
/// One more of them each so many seconds, so that a client has some 40 MiB of the log in a day at the most.
const SECS_PER_CONTACT: i64 = 5;
/// Clients whose budgets are remembered; a full budget is not.
const MAX_BUDGETS: usize = 65_536;

/// Limits on requests.
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

/// Counts failed attempts to prove an identity.
#[derive(Debug, Default)]
pub(crate) struct FailedAttempts {
    windows: Mutex<HashMap<IpAddr, Window>>,
}

#[derive(Debug, Clone, Copy)]
struct Window {
    since: i64,
    failures: u32,
}

impl FailedAttempts {
    /// Seconds that this source has to wait; `None` when it may try. Local callers may always.
    pub(crate) fn must_wait(&self, peer: &Peer, now: Timestamp) -> Option<i64> {
        let Peer::Network(address) = peer else { return None };
        let windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        let window = windows.get(&key_of(*address))?;
        let left = window.since.saturating_add(WINDOW_SECS).saturating_sub(now.as_second());
        (window.failures >= MAX_FAILURES && left > 0).then_some(left)
    }

    /// Notes a failed attempt.
    pub(crate) fn note(&self, peer: &Peer, now: Timestamp) {
        let Peer::Network(address) = peer else { return };
        let now = now.as_second();
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        let key = key_of(*address);
        if windows.len() >= MAX_SOURCES && !windows.contains_key(&key) {
            windows.retain(|_, window| now < window.since.saturating_add(WINDOW_SECS));
            if windows.len() >= MAX_SOURCES {
                let oldest = windows.iter().min_by_key(|(_, window)| window.since).map(|(source, _)| *source);
                oldest.map(|source| windows.remove(&source));
            }
        }
        let window = windows.entry(key).or_insert(Window { since: now, failures: 0 });
        if now >= window.since.saturating_add(WINDOW_SECS) {
            *window = Window { since: now, failures: 0 };
        }
        window.failures = window.failures.saturating_add(1);
    }
}

/// What each client may still have written. Asked only after its signature was verified.
#[derive(Debug, Default)]
pub(crate) struct ContactBudgets {
    budgets: Mutex<HashMap<ClientId, Budget>>,
}

#[derive(Debug, Clone, Copy)]
struct Budget {
    left: u32,
    /// The second up to which it was refilled.
    at: i64,
}

impl Budget {
    const fn full(now: i64) -> Self {
        Self { left: CONTACT_BURST, at: now }
    }

    fn refilled(self, now: i64) -> Self {
        let earned = now.saturating_sub(self.at).max(0) / SECS_PER_CONTACT;
        let left = i64::from(self.left).saturating_add(earned);
        match u32::try_from(left) {
            Ok(left) if left < CONTACT_BURST => {
                Self { left, at: self.at.saturating_add(earned.saturating_mul(SECS_PER_CONTACT)) }
            }
            _ => Self::full(now),
        }
    }
}

impl ContactBudgets {
    /// Takes so many from a client's budget, or answers how many seconds it has to wait.
    pub(crate) fn spend(&self, client: &ClientId, cost: u32, now: Timestamp) -> Result<(), i64> {
        let now = now.as_second();
        let mut budgets = self.budgets.lock().unwrap_or_else(PoisonError::into_inner);
        if budgets.len() >= MAX_BUDGETS && !budgets.contains_key(client) {
            budgets.retain(|_, budget| budget.refilled(now).left < CONTACT_BURST);
            if budgets.len() >= MAX_BUDGETS {
                let fullest = budgets.iter().max_by_key(|(_, budget)| budget.left).map(|(id, _)| id.clone());
                fullest.map(|client| budgets.remove(&client));
            }
        }
        let budget = budgets.entry(client.clone()).or_insert(Budget::full(now));
        *budget = budget.refilled(now);
        match budget.left.checked_sub(cost) {
            Some(left) => {
                budget.left = left;
                Ok(())
            }
            None => Err(i64::from(cost.saturating_sub(budget.left)).saturating_mul(SECS_PER_CONTACT)),
        }
    }
}

/// One IPv6 subscriber has a whole /64, so that is what is counted.
fn key_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            let bits = address.to_bits() & !u128::from(u64::MAX);
            IpAddr::V6(bits.into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn peer(text: &str) -> Peer {
        Peer::Network(text.parse().unwrap())
    }

    #[test]
    fn a_source_that_fails_too_often_waits_for_the_rest_of_its_minute_and_others_do_not() {
        let attempts = FailedAttempts::default();
        for _ in 0..MAX_FAILURES {
            assert_eq!(attempts.must_wait(&peer("10.0.0.1"), at(100)), None);
            attempts.note(&peer("10.0.0.1"), at(100));
        }
        assert_eq!(attempts.must_wait(&peer("10.0.0.1"), at(130)), Some(30));
        assert_eq!(attempts.must_wait(&peer("10.0.0.2"), at(130)), None);
        assert_eq!(attempts.must_wait(&peer("10.0.0.1"), at(160)), None);
    }

    #[test]
    fn a_client_that_floods_the_log_has_to_wait_and_others_do_not() {
        let budgets = ContactBudgets::default();
        let (one, other) = (ClientId::from_random([1; 16]), ClientId::from_random([2; 16]));
        for _ in 0..CONTACT_BURST / 50 {
            assert_eq!(budgets.spend(&one, 50, at(100)), Ok(()));
        }
        assert_eq!(budgets.spend(&one, 10, at(100)), Err(10 * SECS_PER_CONTACT));
        assert_eq!(budgets.spend(&other, 10, at(100)), Ok(()));
        assert_eq!(budgets.spend(&one, 10, at(100 + 10 * SECS_PER_CONTACT - 1)), Err(SECS_PER_CONTACT));
        assert_eq!(budgets.spend(&one, 10, at(100 + 10 * SECS_PER_CONTACT)), Ok(()));
        assert_eq!(budgets.spend(&one, 1, at(0)), Err(SECS_PER_CONTACT), "a clock that goes back gives none");
        assert_eq!(budgets.spend(&one, CONTACT_BURST, at(1_000_000)), Ok(()));
    }

    #[test]
    fn a_client_that_only_contacts_each_minute_never_waits() {
        let budgets = ContactBudgets::default();
        let client = ClientId::from_random([1; 16]);
        for minute in 0..10_000 {
            assert_eq!(budgets.spend(&client, 5, at(minute * 60)), Ok(()));
        }
    }

    #[test]
    fn the_map_of_sources_is_bounded_and_an_ipv6_network_is_one_source() {
        let attempts = FailedAttempts::default();
        for number in 0..20_000u32 {
            attempts.note(&Peer::Network(IpAddr::V4(number.into())), at(100));
        }
        assert!(attempts.windows.lock().unwrap().len() <= MAX_SOURCES);
        assert_eq!(key_of("2001:db8::1".parse().unwrap()), key_of("2001:db8::ffff:2".parse().unwrap()));
    }
}
