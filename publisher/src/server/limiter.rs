//! How often one source may be wrong: a token bucket per source address, in bounded memory.
//!
//! Only wrong registrations cost a token, so that a site which retries a good one is never held up. Serial numbers
//! have 95 random bits; this keeps guessing out of the log and the database rather than making it hopeless.
//! Pure: the time comes in.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::sources::network;

/// Wrong attempts that a source has at once.
const BURST: u32 = 10;
/// Time in which a source gets one attempt back.
const REFILL: Duration = Duration::from_secs(60);
/// Most sources that are remembered. Beyond it the fullest buckets are forgotten first, since they matter least.
const MAX_SOURCES: usize = 10_000;

/// Whether a source may try, and if not, when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Allowance {
    /// It may.
    Allowed,
    /// It was wrong too often.
    NotBefore(Instant),
}

/// The buckets of all sources.
#[derive(Debug, Default)]
pub struct Limiter {
    buckets: HashMap<IpAddr, Bucket>,
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    tokens: u32,
    since: Instant,
}

impl Limiter {
    /// Whether a source may try now.
    #[must_use]
    pub fn look(&self, source: IpAddr, now: Instant) -> Allowance {
        match self.buckets.get(&network(source)).map(|bucket| bucket.at(now)) {
            Some(Bucket { tokens: 0, since }) => Allowance::NotBefore(since + REFILL),
            _ => Allowance::Allowed,
        }
    }

    /// Notes that a source was wrong.
    pub fn wrong(&mut self, source: IpAddr, now: Instant) {
        let source = network(source);
        let bucket = match self.buckets.get(&source) {
            Some(bucket) => bucket.at(now),
            None => {
                self.make_room(now);
                Bucket { tokens: BURST, since: now }
            }
        };
        let tokens = bucket.tokens.saturating_sub(1);
        // A full bucket refills from the moment it is first used.
        let since = if bucket.tokens == BURST { now } else { bucket.since };
        self.buckets.insert(source, Bucket { tokens, since });
    }

    fn make_room(&mut self, now: Instant) {
        if self.buckets.len() < MAX_SOURCES {
            return;
        }
        self.buckets.retain(|_, bucket| bucket.at(now).tokens < BURST);
        if self.buckets.len() >= MAX_SOURCES
            && let Some(fullest) =
                self.buckets.iter().max_by_key(|(_, bucket)| bucket.tokens).map(|(key, _)| *key)
        {
            self.buckets.remove(&fullest);
        }
    }
}

impl Bucket {
    fn at(self, now: Instant) -> Self {
        let elapsed = now.saturating_duration_since(self.since);
        let gained = u32::try_from(elapsed.as_secs() / REFILL.as_secs()).unwrap_or(u32::MAX);
        let tokens = self.tokens.saturating_add(gained).min(BURST);
        let since = if tokens == BURST { now } else { self.since + REFILL * gained };
        Self { tokens, since }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_that_was_wrong_too_often_waits_and_others_do_not() {
        let (mut limiter, start) = (Limiter::default(), Instant::now());
        let guesser: IpAddr = "192.0.2.1".parse().unwrap();
        for _ in 0..BURST {
            assert_eq!(limiter.look(guesser, start), Allowance::Allowed);
            limiter.wrong(guesser, start);
        }
        assert_eq!(limiter.look(guesser, start), Allowance::NotBefore(start + REFILL));
        assert_eq!(limiter.look("192.0.2.2".parse().unwrap(), start), Allowance::Allowed);
        assert_eq!(
            limiter.look(guesser, start + REFILL - Duration::from_millis(1)),
            Allowance::NotBefore(start + REFILL)
        );
        assert_eq!(limiter.look(guesser, start + REFILL), Allowance::Allowed);
        limiter.wrong(guesser, start + REFILL);
        assert_eq!(limiter.look(guesser, start + REFILL), Allowance::NotBefore(start + REFILL * 2));
    }

    #[test]
    fn one_ipv6_network_is_one_source() {
        let (mut limiter, now) = (Limiter::default(), Instant::now());
        for host in 0..BURST {
            limiter.wrong(format!("2001:db8::{host:x}").parse().unwrap(), now);
        }
        assert_ne!(limiter.look("2001:db8::ffff".parse().unwrap(), now), Allowance::Allowed);
        assert_eq!(limiter.look("2001:db8:0:1::1".parse().unwrap(), now), Allowance::Allowed);
    }

    #[test]
    fn memory_is_bounded_and_the_worst_source_is_remembered() {
        let (mut limiter, now) = (Limiter::default(), Instant::now());
        let guesser: IpAddr = "192.0.2.1".parse().unwrap();
        for _ in 0..BURST {
            limiter.wrong(guesser, now);
        }
        for number in 0..(u32::try_from(MAX_SOURCES).unwrap() + 500) {
            limiter.wrong(IpAddr::V4((0x0a00_0000 + number).into()), now);
        }
        assert!(limiter.buckets.len() <= MAX_SOURCES);
        assert_ne!(limiter.look(guesser, now), Allowance::Allowed);
    }
}
