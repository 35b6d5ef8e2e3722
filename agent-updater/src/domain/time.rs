//! Times as they are kept, shown and compared.
//!
//! Left out on purpose: license time, whose floor stands in [`super::floors`].

use jiff::{SignedDuration, Timestamp};

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
    fn metadata_is_too_old_one_second_after_the_limit() {
        let then: Timestamp = "2026-05-01T00:00:00Z".parse().unwrap();
        assert!(!older_than_days(then, "2026-05-31T00:00:00Z".parse().unwrap(), 30));
        assert!(older_than_days(then, "2026-05-31T00:00:01Z".parse().unwrap(), 30));
    }
}
