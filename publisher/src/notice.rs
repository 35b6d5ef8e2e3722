//! How long before its end something is warned of, and from when on it is renewed: one rule for roles, grants and
//! certificates, so that the command that a warning names does something when it is typed.
//!
//! Left out on purpose: what ends, and what renews it (see [`expiries`](crate::expiries)).

use jiff::{SignedDuration, Timestamp};

/// Days before an end at which a warning becomes louder.
pub const WARN_DAYS: [i64; 3] = [7, 30, 90];
/// What is renewed daily and has less than this left, was not renewed for days.
const STALE: SignedDuration = SignedDuration::from_hours(72);

/// What is left of something when it is warned of and can be renewed: 90 days, or half of a shorter life, so that it is
/// not warned of as soon as it is signed. Of an unknown life (`None`) 90 days.
#[must_use]
pub fn before_end(life: Option<SignedDuration>) -> SignedDuration {
    shorter(SignedDuration::from_hours(24 * WARN_DAYS[2]), life)
}

/// The same for what is renewed daily with keys that stay online: a warning says that this has stopped.
#[must_use]
pub fn before_end_of_daily(life: Option<SignedDuration>) -> SignedDuration {
    shorter(STALE, life)
}

/// From when on something that is good from one time to another is renewed.
#[must_use]
pub fn renewable_from(from: Timestamp, until: Timestamp) -> Timestamp {
    until.checked_sub(before_end(Some(from.duration_until(until)))).unwrap_or(Timestamp::MIN)
}

fn shorter(usual: SignedDuration, life: Option<SignedDuration>) -> SignedDuration {
    life.map_or(usual, |life| usual.min(life / 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lives_shortly_is_warned_of_and_renewed_in_the_second_half_of_its_life() {
        let days = |days: i64| SignedDuration::from_hours(24 * days);
        assert_eq!(before_end(None), days(90));
        assert_eq!(before_end(Some(days(365))), days(90));
        assert_eq!(before_end(Some(days(60))), days(30));
        assert_eq!(before_end_of_daily(Some(days(7))), days(3));
        assert_eq!(before_end_of_daily(Some(days(2))), days(1));
        let from: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        assert_eq!(renewable_from(from, from + days(366)), from + days(276));
        assert_eq!(renewable_from(from, from + days(30)), from + days(15));
    }
}
