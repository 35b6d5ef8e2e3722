//! License time: `max(now, floor)`, so that a clock set back (or a dead battery) does not make an ended lease live.
//!
//! The floor rises with what the site signed and never falls here. Left out: local time raising the floor.

use jiff::{SignedDuration, Timestamp};

/// The time by which leases and assignments are judged.
#[must_use]
pub fn license_time(now: Timestamp, floor: Option<Timestamp>) -> Timestamp {
    floor.map_or(now, |floor| floor.max(now))
}

/// The floor after a site-signed time was accepted.
#[must_use]
pub fn raised(floor: Option<Timestamp>, site_signed: Timestamp) -> Timestamp {
    floor.map_or(site_signed, |floor| floor.max(site_signed))
}

/// A time without its fraction of a second, as it is kept and shown.
#[must_use]
pub fn whole_seconds(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}

/// Whether `then` is more than `days` before `now`.
#[must_use]
pub fn older_than_days(then: Timestamp, now: Timestamp, days: u32) -> bool {
    now.duration_since(then) > SignedDuration::from_hours(i64::from(days) * 24)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_was_set_back_does_not_set_license_time_back() {
        let floor: Timestamp = "2026-05-01T00:00:00Z".parse().unwrap();
        let early: Timestamp = "1970-01-01T00:01:00Z".parse().unwrap();
        let late: Timestamp = "2026-06-01T00:00:00Z".parse().unwrap();
        assert_eq!(license_time(early, Some(floor)), floor);
        assert_eq!(license_time(late, Some(floor)), late);
        assert_eq!(raised(Some(floor), early), floor);
        assert_eq!(raised(None, late), late);
    }

    #[test]
    fn metadata_is_too_old_one_second_after_the_limit() {
        let then: Timestamp = "2026-05-01T00:00:00Z".parse().unwrap();
        assert!(!older_than_days(then, "2026-05-31T00:00:00Z".parse().unwrap(), 30));
        assert!(older_than_days(then, "2026-05-31T00:00:01Z".parse().unwrap(), 30));
    }
}
