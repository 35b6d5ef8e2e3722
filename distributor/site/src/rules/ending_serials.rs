//! Serial numbers that the vendor ends, and whom that concerns.
//!
//! A computer that holds a seat of another serial number as well loses nothing by the end of one, if that other one lasts longer
//! and covers the same packages. Where it is so with each computer of a serial number, an administrator has nothing to do: before
//! the end that is said as a notice, so that nobody plans with its seats, and after it nothing is said any more. The License
//! Summary goes on showing the end.
//!
//! Left out on purpose: others that cover its packages only together. Then the warning stands, which is the safe side.

use std::collections::BTreeSet;

use jiff::Timestamp;
use sealpost_manifests::ids::SerialNumber;

use crate::rows::LicenseRow;

const DAY_SECS: i64 = 24 * 60 * 60;
/// It is asked only from when an end is warned of: the ledger looks at each name of the serial number then.
const ASKED_DAYS: i64 = 90;

/// A serial number that ends soon or has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    /// It.
    pub serial: SerialNumber,
    /// Those whose seats do for its computers what its own do, and for longer.
    pub others: BTreeSet<SerialNumber>,
}

/// The serial numbers of which it is to be asked who holds a seat of them alone: that end within 90 days or have ended, are used,
/// and beside which there are others.
#[must_use]
pub fn to_ask(licenses: &[LicenseRow], now: Timestamp) -> Vec<Ending> {
    let is_near = |end: Timestamp| end.as_second().saturating_sub(now.as_second()) <= ASKED_DAYS * DAY_SECS;
    let ending = licenses.iter().filter(|license| license.used > 0 && license.ends_at.is_some_and(is_near));
    let asked = ending.map(|license| {
        let others = licenses.iter().filter(|other| is_as_good(license, other));
        Ending { serial: license.serial.clone(), others: others.map(|other| other.serial.clone()).collect() }
    });
    asked.filter(|ending| !ending.others.is_empty()).collect()
}

/// Whether a seat of `other` does what one of `ending` does, and for longer.
fn is_as_good(ending: &LicenseRow, other: &LicenseRow) -> bool {
    let lasts_longer = match (ending.ends_at, other.ends_at) {
        (Some(end), Some(other)) => end < other,
        (Some(_), None) => true,
        (None, _) => false,
    };
    let covers = other.packages.is_empty()
        || (!ending.packages.is_empty()
            && ending.packages.iter().all(|package| other.packages.contains(package)));
    lasts_longer && covers
}

#[cfg(test)]
mod tests {
    use sealpost_manifests::grant::LicenseModel;
    use sealpost_manifests::ids::PackageName;
    use sealpost_manifests::order::Epoch;

    use super::*;

    fn day(day: i64) -> Timestamp {
        Timestamp::from_second(day * DAY_SECS).unwrap()
    }

    fn license(number: u8, ends: Option<i64>, packages: &[&str]) -> LicenseRow {
        LicenseRow {
            serial: SerialNumber::from_random([number; 19]),
            licenses: 5,
            used: 1,
            active: 0,
            reserved: 1,
            model: LicenseModel::Named,
            generation: 1,
            epoch: Epoch::of(1, 0),
            granted_at: day(0),
            not_after: day(ends.unwrap_or(400)),
            ends_at: ends.map(day),
            packages: packages.iter().map(|package| PackageName::new(*package).unwrap()).collect(),
        }
    }

    #[test]
    fn a_seat_stands_in_for_one_that_ends_if_it_lasts_longer_and_covers_the_same() {
        let rows = [
            // (ends on day, packages; the other's; whether the other one's seats do the same for longer)
            ((Some(100), &[][..]), (None, &[][..]), true),
            ((Some(100), &[]), (Some(101), &[]), true),
            ((Some(100), &[]), (Some(100), &[]), false),
            ((Some(100), &[]), (Some(99), &[]), false),
            ((Some(100), &[]), (None, &["acme-av"]), false),
            ((Some(100), &["acme-av"]), (None, &[]), true),
            ((Some(100), &["acme-av"]), (None, &["acme-av", "acme-vpn"]), true),
            ((Some(100), &["acme-av", "acme-vpn"]), (None, &["acme-av"]), false),
        ];
        for ((end, packages), (other_end, others), expected) in rows {
            let licenses = [license(1, end, packages), license(2, other_end, others)];
            for now in [10, 99, 101, 900] {
                let asked = to_ask(&licenses, day(now));
                let of_first = asked.iter().find(|ending| ending.serial == licenses[0].serial);
                let expected = expected.then(|| BTreeSet::from([licenses[1].serial.clone()]));
                assert_eq!(of_first.map(|ending| ending.others.clone()), expected, "{licenses:?}");
            }
        }
    }

    #[test]
    fn nobody_is_asked_of_what_lasts_long_or_is_not_used() {
        let all = [license(1, Some(100), &[]), license(2, None, &[])];
        assert_eq!(to_ask(&all, day(9)), []);
        assert_eq!(to_ask(&all, day(10)).len(), 1);
        assert_eq!(to_ask(&all[..1], day(10)), []);
        let unused = [LicenseRow { used: 0, ..all[0].clone() }, all[1].clone()];
        assert_eq!(to_ask(&unused, day(10)), []);
    }
}
