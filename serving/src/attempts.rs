//! Failed attempts per source: whoever is wrong too often has to wait, and others do not.
//!
//! Only failures cost something, so a source that retries a good request is never held up.

use std::net::IpAddr;

use jiff::Timestamp;

use crate::budgets::{Budgets, Rate};
use crate::peer::Peer;

/// Counts failed attempts per source: an IPv4 address or an IPv6 /64.
#[derive(Debug)]
pub struct FailedAttempts(Budgets<IpAddr>);

impl FailedAttempts {
    /// `rate` says how many failures a source may have; at most `max_sources` are remembered.
    #[must_use]
    pub fn new(rate: Rate, max_sources: usize) -> Self {
        Self(Budgets::new(rate, max_sources))
    }

    /// Seconds that this source has to wait; `None` when it may try. Local accounts may always.
    pub fn must_wait(&self, peer: &Peer, now: Timestamp) -> Option<i64> {
        self.0.must_wait(&peer.network()?, 1, now)
    }

    /// Counts a failed attempt.
    pub fn note(&self, peer: &Peer, now: Timestamp) {
        let Some(source) = peer.network() else { return };
        // An error says that nothing was left to take, which is the state that was to be reached.
        let _ = self.0.spend(&source, 1, now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { burst: 3, refill: 1, every_secs: 60 };

    fn peer(text: &str) -> Peer {
        Peer::Network(text.parse().unwrap())
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_source_that_fails_too_often_waits_and_others_do_not() {
        let attempts = FailedAttempts::new(RATE, 100);
        for _ in 0..RATE.burst + 5 {
            attempts.note(&peer("192.0.2.1"), at(100));
        }
        assert_eq!(attempts.must_wait(&peer("192.0.2.1"), at(100)), Some(60));
        assert_eq!(attempts.must_wait(&peer("192.0.2.2"), at(100)), None);
        assert_eq!(attempts.must_wait(&peer("192.0.2.1"), at(160)), None);
    }

    #[test]
    fn one_ipv6_network_is_one_source() {
        let attempts = FailedAttempts::new(RATE, 100);
        for host in 0..RATE.burst {
            attempts.note(&peer(&format!("2001:db8::{host:x}")), at(100));
        }
        assert!(attempts.must_wait(&peer("2001:db8::ffff"), at(100)).is_some());
        assert!(attempts.must_wait(&peer("2001:db8:0:1::1"), at(100)).is_none());
    }

    #[test]
    fn a_local_account_never_waits() {
        let attempts = FailedAttempts::new(RATE, 100);
        let local = Peer::Local { account: "root".to_owned() };
        for _ in 0..RATE.burst {
            attempts.note(&local, at(100));
        }
        assert_eq!(attempts.must_wait(&local, at(100)), None);
    }
}
