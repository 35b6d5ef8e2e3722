//! A clock that moves when a test says so.
//!
//! Left out on purpose: the `Clock` ports of the programs. Each program's tests implement the port for a newtype
//! around this clock.

use std::sync::{Arc, Mutex};

use jiff::{SignedDuration, Timestamp};

/// A clock that stands still, or runs as the computer's clock does but ahead of it. Clones show the same time.
#[derive(Debug, Clone)]
pub struct ManualClock(Arc<Mutex<Time>>);

#[derive(Debug, Clone, Copy)]
enum Time {
    Still(Timestamp),
    AheadOfTheComputer(SignedDuration),
}

impl ManualClock {
    /// A clock that shows this time until it is moved.
    #[must_use]
    pub fn still_at(time: Timestamp) -> Self {
        Self(Arc::new(Mutex::new(Time::Still(time))))
    }

    /// A clock that runs as the computer's clock does, until it is moved.
    #[must_use]
    pub fn running() -> Self {
        Self(Arc::new(Mutex::new(Time::AheadOfTheComputer(SignedDuration::ZERO))))
    }

    /// The time that it shows.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        match *self.0.lock().unwrap() {
            Time::Still(time) => time,
            Time::AheadOfTheComputer(ahead) => Timestamp::now().checked_add(ahead).unwrap(),
        }
    }

    /// Moves it forward; back with a negative duration.
    pub fn forward(&self, by: SignedDuration) {
        let mut time = self.0.lock().unwrap();
        *time = match *time {
            Time::Still(time) => Time::Still(time.checked_add(by).unwrap()),
            Time::AheadOfTheComputer(ahead) => Time::AheadOfTheComputer(ahead.checked_add(by).unwrap()),
        };
    }
}

/// A duration of so many days of 24 hours.
#[must_use]
pub const fn days(count: i64) -> SignedDuration {
    SignedDuration::from_hours(24 * count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_moves_only_as_it_is_told_and_its_clones_move_with_it() {
        let clock = ManualClock::still_at(Timestamp::UNIX_EPOCH);
        let clone = clock.clone();
        clock.forward(SignedDuration::from_secs(5));
        assert_eq!(clone.now(), Timestamp::from_second(5).unwrap());
        clone.forward(SignedDuration::from_secs(-2));
        assert_eq!(clock.now(), Timestamp::from_second(3).unwrap());
        let running = ManualClock::running();
        running.forward(SignedDuration::from_hours(1));
        assert!(running.now() > Timestamp::now() + SignedDuration::from_mins(59));
    }
}
