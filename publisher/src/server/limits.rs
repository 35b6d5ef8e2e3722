//! What the outside may take: connections, and wrong registrations per source.

use std::time::Duration;

use sealpost_serving::{
    AnswerPace, ConnectionLimits, CountedBy, FailedAttempts, Rate, Stays, connections_that_files_allow,
};

/// Wrong registrations of one source: ten at once, then one each minute. Serial numbers have 95 random bits; this
/// keeps guesses out of the log and the database, it is not what makes guessing hopeless.
const WRONG_REGISTRATIONS: Rate = Rate { burst: 10, refill: 1, every_secs: 60 };
/// Sources whose wrong registrations are remembered.
const MAX_SOURCES: usize = 10_000;

/// Connections at once. Each may have a chunk of a file and a buffer in memory, about 100 KiB.
const CONNECTIONS: usize = 2048;
/// A floor under the speed of answers: below what a Primary Server asks of a vendor by default.
const ANSWER_PACE: AnswerPace = AnswerPace { bytes_per_second: 1024, window: Duration::from_secs(60) };

/// The limits of `publisher serve`, for customers on the internet, or behind a reverse proxy on this computer.
#[must_use]
pub fn connection_limits() -> ConnectionLimits {
    let connections = CONNECTIONS.min(connections_that_files_allow());
    ConnectionLimits {
        connections,
        // Nobody here shows who he is, so all are strangers: what is idle makes way, and a download of an hour only where a
        // few sources have all places.
        unproven: connections,
        per_source: 64,
        stays: Stays::WhileAnswering,
        answer_pace: Some(ANSWER_PACE),
        counted_by: CountedBy::RemoteNetwork,
        // Also between two requests: a pull asks for its next file at once, or connects anew.
        head_within: Duration::from_secs(10),
        // A 4 GiB payload over 10 Mbit/s takes about an hour, and a download that is cut off resumes.
        connection_within: Some(Duration::from_secs(2 * 3600)),
        drain_within: Duration::from_secs(5),
        ..ConnectionLimits::default()
    }
}

pub(super) fn wrong_registrations() -> FailedAttempts {
    FailedAttempts::new(WRONG_REGISTRATIONS, MAX_SOURCES)
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use sealpost_serving::Peer;

    use super::*;

    #[test]
    fn a_source_that_was_wrong_too_often_gets_one_attempt_each_minute_and_others_do_not_wait() {
        let wrong = wrong_registrations();
        let peer = |text: &str| Peer::Network(text.parse().unwrap());
        let at = |second| Timestamp::from_second(second).unwrap();
        for _ in 0..WRONG_REGISTRATIONS.burst {
            assert_eq!(wrong.must_wait(&peer("192.0.2.1"), at(100)), None);
            wrong.note(&peer("192.0.2.1"), at(100));
        }
        assert_eq!(wrong.must_wait(&peer("192.0.2.1"), at(100)), Some(60));
        assert_eq!(wrong.must_wait(&peer("192.0.2.2"), at(100)), None);
        assert_eq!(wrong.must_wait(&peer("192.0.2.1"), at(159)), Some(1));
        assert_eq!(wrong.must_wait(&peer("192.0.2.1"), at(160)), None);
        wrong.note(&peer("192.0.2.1"), at(160));
        assert_eq!(wrong.must_wait(&peer("192.0.2.1"), at(160)), Some(60));
    }
}
