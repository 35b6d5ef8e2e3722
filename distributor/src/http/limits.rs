//! Bounds on what callers can make the server do: requests in flight and large bodies, failed attempts per source, and
//! what one client can have written to the log.
//!
//! Invariant: all maps and counters have a fixed largest size, whatever is sent. Time comes in as an argument. What has
//! shown whose it is waits for nothing that strangers use up; failures of one kind hold up no other kind.
//! Left out on purpose: how a budget comes back and what one source is; all servers share that in `sealpost-serving`.

use std::time::Duration;

use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::{ClientId, SetupId};
use sealpost_serving::{Budgets, FailedAttempts, Rate, ShareLimits, Shares};
use sealpost_site::rules::rollouts::links::line::WINDOW;

/// Failed attempts that a source has in a minute; then it waits for the rest of that minute. A person who mistypes stays
/// below it.
const FAILURES: Rate = Rate { burst: 20, refill: 20, every_secs: 60 };
/// Computers that wait to be admitted and ask from one source in a minute: each asks every quarter of an hour, so many can be
/// behind one address.
const KNOCKS: Rate = Rate { burst: 60, refill: 60, every_secs: 60 };
/// Sources that are remembered.
const MAX_SOURCES: usize = 4096;

/// Contacts and reports of one client: more at once than a busy day brings, and so few in the long run that a client has
/// some 40 MiB of the log in a day at the most.
const CONTACTS: Rate = Rate { burst: 2_000, refill: 1, every_secs: 5 };
/// Answered enrollments by one setup file, admission or kept copy: a computer needs one, and some more if answers are lost. One that was recorded
/// can be sent again at any later time.
const ENROLLMENTS: Rate = Rate { burst: 60, refill: 1, every_secs: 60 };
/// Clients whose budgets are remembered; a full budget is not.
const MAX_BUDGETS: usize = 65_536;

/// Bodies above [`SMALL_BODY_BYTES`](super::body::SMALL_BODY_BYTES) that may be in memory at once, each of 256 KiB at the
/// most: 192 MiB in all, 8 MiB for a source that has shown nothing.
const LARGE_BODIES: ShareLimits = ShareLimits { proven: 512, unproven: 256, per_source: 32 };

#[derive(Debug, Clone, Copy)]
pub struct RequestLimits {
    /// Requests that may be worked on at once, of clients that have shown who they are.
    pub in_flight: usize,
    /// Further requests that may be worked on at once until they show whose they are.
    pub in_flight_unproven: usize,
    /// Of these, requests of one source.
    pub in_flight_per_source: usize,
    /// Time for which a request waits until it may be worked on.
    pub place_within: Duration,
    /// Time from then on to the head of its answer.
    pub answer_within: Duration,
    /// Time for a request's body to arrive.
    pub body_within: Duration,
    /// Time over which is counted what a download over a link takes: one that takes next to nothing makes way for others.
    pub link_window: Duration,
}

impl Default for RequestLimits {
    fn default() -> Self {
        Self {
            in_flight: 512,
            in_flight_unproven: 256,
            in_flight_per_source: 64,
            place_within: Duration::from_secs(10),
            answer_within: Duration::from_secs(30),
            body_within: Duration::from_secs(15),
            link_window: WINDOW,
        }
    }
}

impl RequestLimits {
    pub(crate) fn work(&self) -> Shares {
        let Self {
            in_flight: proven, in_flight_unproven: unproven, in_flight_per_source: per_source, ..
        } = *self;
        Shares::new(ShareLimits { proven, unproven, per_source })
    }
}

pub(crate) fn large_bodies() -> Shares {
    Shares::new(LARGE_BODIES)
}

/// Counts failed attempts of one kind to prove an identity, per source.
pub(crate) fn failed_attempts() -> FailedAttempts {
    FailedAttempts::new(FAILURES, MAX_SOURCES)
}

/// Counts enrollments that prove nothing, per source.
pub(crate) fn knocks() -> FailedAttempts {
    FailedAttempts::new(KNOCKS, MAX_SOURCES)
}

/// Whose contacts are counted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Spender {
    /// A client, whichever computer uses its identity.
    Client(ClientId),
    /// One of two computers that use it, by its branch: what it has once the other one used up what both have.
    Copy(ClientId, Sha256Digest),
}

/// What each client may still have written. Asked only after its signature was verified.
pub(crate) type ContactBudgets = Budgets<Spender>;

/// Full budgets for every client.
pub(crate) fn contact_budgets() -> ContactBudgets {
    Budgets::new(CONTACTS, MAX_BUDGETS)
}

/// By what a computer enrolls.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum EnrollsBy {
    /// The code of a setup file, or the admission that it stands for.
    Setup(SetupId),
    /// A client was bound to its key as the copy that an admin kept, and is answered again.
    Copy(ClientId),
}

/// How often may still be enrolled by the same. Asked only after it was proven.
pub(crate) type EnrollmentBudgets = Budgets<EnrollsBy>;

/// Full budgets for everything that computers enroll by.
pub(crate) fn enrollment_budgets() -> EnrollmentBudgets {
    Budgets::new(ENROLLMENTS, MAX_BUDGETS)
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
        let one = Spender::Client(ClientId::from_random([1; 16]));
        let other = Spender::Client(ClientId::from_random([2; 16]));
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
        let client = Spender::Client(ClientId::from_random([1; 16]));
        for minute in 0..10_000 {
            assert_eq!(budgets.spend(&client, 5, at(minute * 60)), Ok(()));
        }
    }
}
