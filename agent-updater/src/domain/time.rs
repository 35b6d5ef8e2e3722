//! Times as they are kept, shown and compared.
//!
//! Left out on purpose: license time, whose floor stands in [`super::floors`].

use jiff::{SignedDuration, Timestamp};

/// A time without its fraction of a second, as it is kept and shown.
#[must_use]
pub fn whole_seconds(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}

/// How far away a time is, as people say it: `3 min ago`, `in 4 h`.
#[must_use]
pub fn distance(at: Timestamp, now: Timestamp) -> String {
    let secs = at.duration_since(now).as_secs();
    let (amount, unit) = match secs.unsigned_abs() {
        secs @ 0..=119 => (secs, "s"),
        secs @ 120..=7_199 => (secs / 60, "min"),
        secs @ 7_200..=172_799 => (secs / 3_600, "h"),
        secs => (secs / 86_400, "days"),
    };
    match secs {
        0 => "now".to_owned(),
        ..0 => format!("{amount} {unit} ago"),
        1.. => format!("in {amount} {unit}"),
    }
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
    fn distances_are_said_in_the_unit_that_fits() {
        let at = |secs| Timestamp::from_second(secs).unwrap();
        let said = |secs: i64| distance(at(1_000_000 + secs), at(1_000_000));
        assert_eq!([said(0), said(-5), said(-119)], ["now", "5 s ago", "119 s ago"]);
        assert_eq!([said(-120), said(7_199), said(7_200)], ["2 min ago", "in 119 min", "in 2 h"]);
        assert_eq!([said(172_799), said(-172_800)], ["in 47 h", "2 days ago"]);
    }

    #[test]
    fn metadata_is_too_old_one_second_after_the_limit() {
        let then: Timestamp = "2026-05-01T00:00:00Z".parse().unwrap();
        assert!(!older_than_days(then, "2026-05-31T00:00:00Z".parse().unwrap(), 30));
        assert!(older_than_days(then, "2026-05-31T00:00:01Z".parse().unwrap(), 30));
    }
}
