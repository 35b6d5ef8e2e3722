//! How many bytes went over a link: since the server started, and in the last day.
//!
//! Left out on purpose: midnight. A day here is the last 24 hours, by whole hours, so that no time zone and no clock that is set
//! changes what is counted.

use std::collections::VecDeque;
use std::time::Duration;

/// Hours that are counted apart.
const HOURS: u64 = 24;

/// As the module says.
#[derive(Debug, Clone, Default)]
pub struct Traffic {
    all: u64,
    /// Hours with their bytes, the newest last.
    hours: VecDeque<(u64, u64)>,
}

impl Traffic {
    /// So many bytes went.
    pub fn add(&mut self, bytes: u64, now: Duration) {
        self.all = self.all.saturating_add(bytes);
        let hour = now.as_secs() / 3_600;
        match self.hours.back_mut() {
            Some((newest, sum)) if *newest == hour => *sum = sum.saturating_add(bytes),
            _ => self.hours.push_back((hour, bytes)),
        }
        self.hours.retain(|(one, _)| one + HOURS > hour);
    }

    /// Bytes since the server started.
    #[must_use]
    pub const fn all(&self) -> u64 {
        self.all
    }

    /// Bytes in the last 24 hours, the current one among them.
    #[must_use]
    pub fn last_day(&self, now: Duration) -> u64 {
        let hour = now.as_secs() / 3_600;
        let counts = self.hours.iter().filter(|(one, _)| one + HOURS > hour);
        counts.map(|(_, bytes)| *bytes).fold(0, u64::saturating_add)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_the_last_24_hours_and_never_keeps_more_of_them() {
        let at = |hour: u64| Duration::from_secs(hour * 3_600 + 1_800);
        let mut traffic = Traffic::default();
        for hour in 0..100 {
            traffic.add(10, at(hour));
            traffic.add(5, at(hour));
        }
        assert_eq!((traffic.all(), traffic.last_day(at(99)), traffic.hours.len()), (1_500, 360, 24));
        assert_eq!((traffic.last_day(at(110)), traffic.last_day(at(200))), (13 * 15, 0));
    }
}
