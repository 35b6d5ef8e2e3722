//! Where a serial number stands, in the words of the License Summary: what it gives no more, and what stays.
//!
//! Left out on purpose: whether a name gets a seat ([`seats`](crate::rules::seats) decides).

use std::fmt;

use jiff::{SignedDuration, Timestamp};

use crate::rows::LicenseRow;
use crate::rules::text::counted;

/// How long before the end of a serial number it is said.
const SOON: SignedDuration = SignedDuration::from_hours(24 * 90);

/// What is to be known of a serial number, beyond its numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SerialStanding {
    /// The vendor ended it.
    Ended {
        /// Then.
        at: Timestamp,
    },
    /// Its grant lapsed: no registration renewed it in time.
    Lapsed {
        /// Then.
        at: Timestamp,
    },
    /// More names hold a seat than were granted.
    Overused {
        /// Names that hold one.
        used: u32,
        /// Granted.
        seats: u32,
    },
    /// The vendor is going to end it.
    EndsSoon {
        /// Then.
        at: Timestamp,
    },
}

impl SerialStanding {
    /// The word for it, in the API. Words stay.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ended { .. } => "ended",
            Self::Lapsed { .. } => "lapsed",
            Self::Overused { .. } => "overused",
            Self::EndsSoon { .. } => "ends_soon",
        }
    }
}

impl fmt::Display for SerialStanding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ended { at } => write!(
                f,
                "the vendor ended it at {at}: it gives no new seat and no new license; seats stay taken, updates end with \
                 the leases of its computers, and what is installed runs on"
            ),
            Self::Lapsed { at } => write!(
                f,
                "its grant lapsed at {at}: it gives no new seat and no new license until it is registered again; computers \
                 that have a license are served"
            ),
            Self::Overused { used, seats } => write!(
                f,
                "{} of {}: nothing is taken from anybody, and nobody gets a new one until there are more than are used",
                counted(u64::from(*used), "seat is used", "seats are used"),
                seats
            ),
            Self::EndsSoon { at } => write!(
                f,
                "the vendor ends it at {at}: from then on it gives no new seat and no new license, and updates end with the \
                 leases of its computers"
            ),
        }
    }
}

/// What is to be said of a serial number, the most important first; nothing of one that gives seats as it should.
#[must_use]
pub fn standing(license: &LicenseRow, now: Timestamp) -> Vec<SerialStanding> {
    let LicenseRow { licenses: seats, used, not_after, ends_at, .. } = *license;
    let ended = ends_at.filter(|end| *end < now);
    let end = match (ended, ends_at) {
        (Some(at), _) => Some(SerialStanding::Ended { at }),
        (None, _) if not_after < now => Some(SerialStanding::Lapsed { at: not_after }),
        (None, Some(at)) if at.duration_since(now) <= SOON => Some(SerialStanding::EndsSoon { at }),
        (None, _) => None,
    };
    let overused = (used > seats).then_some(SerialStanding::Overused { used, seats });
    let gives_nothing = matches!(end, Some(SerialStanding::Ended { .. } | SerialStanding::Lapsed { .. }));
    if gives_nothing { [end, overused] } else { [overused, end] }.into_iter().flatten().collect()
}

/// Seats of a serial number that new names can take.
#[must_use]
pub fn free(license: &LicenseRow, now: Timestamp) -> u32 {
    let gives = license.not_after >= now && license.ends_at.is_none_or(|end| end >= now);
    if gives { license.licenses.saturating_sub(license.used) } else { 0 }
}

#[cfg(test)]
mod tests {
    use sealpost_manifests::grant::LicenseModel;
    use sealpost_manifests::ids::SerialNumber;
    use sealpost_manifests::order::Epoch;

    use super::*;

    const DAY: i64 = 24 * 3600;

    fn at(day: i64) -> Timestamp {
        Timestamp::from_second(day * DAY).unwrap()
    }

    fn row(seats: u32, used: u32, not_after: i64, ends_at: Option<i64>) -> LicenseRow {
        LicenseRow {
            serial: SerialNumber::from_random([1; 19]),
            licenses: seats,
            used,
            active: 0,
            reserved: used,
            model: LicenseModel::Named,
            generation: 1,
            epoch: Epoch::of(1, 0),
            granted_at: at(0),
            not_after: at(not_after),
            ends_at: ends_at.map(at),
            packages: Vec::new(),
        }
    }

    #[test]
    fn the_standing_of_a_serial_number_is_said_in_words_and_what_is_free_can_be_taken() {
        let rows = [
            (row(50, 49, 366, None), 10, vec![], 1),
            (row(50, 50, 366, None), 10, vec![], 0),
            (row(50, 52, 366, None), 10, vec!["overused"], 0),
            (row(50, 10, 366, None), 366, vec![], 40),
            (row(50, 10, 366, None), 367, vec!["lapsed"], 0),
            (row(50, 52, 366, None), 367, vec!["lapsed", "overused"], 0),
            (row(50, 10, 200, Some(200)), 109, vec![], 40),
            (row(50, 10, 200, Some(200)), 110, vec!["ends_soon"], 40),
            (row(50, 52, 200, Some(200)), 200, vec!["overused", "ends_soon"], 0),
            (row(50, 10, 200, Some(200)), 201, vec!["ended"], 0),
            (row(50, 52, 200, Some(200)), 201, vec!["ended", "overused"], 0),
            // It ends later than its grant does.
            (row(50, 10, 366, Some(800)), 367, vec!["lapsed"], 0),
        ];
        for (number, (license, now, words, seats)) in rows.into_iter().enumerate() {
            let said = standing(&license, at(now));
            let found: Vec<&str> = said.iter().map(|standing| standing.as_str()).collect();
            assert_eq!((found, free(&license, at(now))), (words, seats), "row {number}");
        }
    }

    #[test]
    fn what_stays_is_said_with_what_ends() {
        let said = |license: &LicenseRow, now| standing(license, at(now))[0].to_string();
        let ended = said(&row(50, 10, 200, Some(200)), 201);
        assert!(
            ended.contains("the vendor ended it at 1970-07-20T00:00:00Z: it gives no new seat"),
            "{ended}"
        );
        assert!(ended.contains("seats stay taken") && ended.contains("runs on"), "{ended}");
        let overused = said(&row(50, 52, 366, None), 10);
        assert!(overused.starts_with("52 seats are used of 50: nothing is taken from anybody"), "{overused}");
    }
}
