//! Shares of a fleet: which computers the first ten percent are.
//!
//! Invariants: a computer's position is a hash of the site and its canonical name, so it stays where it is when it is
//! reinstalled, enrolled again, or joined by others, and a larger share contains every smaller one. Two sites order the
//! same names differently.
//!
//! Positions are no secret: who knows the server id and the names can compute them. A name can be chosen so that it comes
//! first or last; names are given by admins.

use std::fmt;
use std::num::NonZeroUsize;

use sealpost_manifests::digest::{Sha256Digest, Sha256Hasher};
use sealpost_manifests::ids::{ComputerName, NameError, ServerId};
use serde::{Deserialize, Serialize};

/// What a salt is a digest of, before the server id.
const SALT_PREFIX: &[u8] = b"sealpost rollout salt\n";
/// What a position is taken from, before salt and name.
const POSITION_PREFIX: &[u8] = b"sealpost rollout position\n";
/// Basis points of everybody.
const ALL_BASIS_POINTS: u16 = 10_000;
/// Hexadecimal digits of a threshold.
const THRESHOLD_DIGITS: usize = 16;
/// Characters of a refused text that its error repeats.
const MAX_SHOWN_CHARS: usize = 80;

/// What makes the order of computers the site's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Salt(Sha256Digest);

impl Salt {
    /// The salt of a site. It stays the same for ever, as the server id does, and is in no file to get lost.
    #[must_use]
    pub fn of(server: &ServerId) -> Self {
        Self(Sha256Digest::of(&[SALT_PREFIX, server.as_str().as_bytes()].concat()))
    }
}

/// Where a computer stands in its site's order: evenly spread over all numbers of 64 bits. A dot at the end of the name
/// does not count.
#[must_use]
pub fn position(salt: &Salt, name: &ComputerName) -> u64 {
    let mut hasher = Sha256Hasher::new();
    hasher.update(POSITION_PREFIX);
    hasher.update(salt.0.as_bytes());
    hasher.update(name.as_str().trim_end_matches('.').as_bytes());
    let digest = hasher.finish();
    let [a, b, c, d, e, f, g, h, ..] = *digest.as_bytes();
    u64::from_be_bytes([a, b, c, d, e, f, g, h])
}

/// Whether a position is within a threshold.
#[must_use]
pub const fn is_in(position: u64, threshold: Threshold) -> bool {
    position <= threshold.0
}

/// A share of a fleet in hundredths of a percent: 1 to 10,000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct Share(u16);

impl Share {
    /// Every computer.
    pub const ALL: Self = Self(ALL_BASIS_POINTS);

    /// In hundredths of a percent.
    #[must_use]
    pub const fn basis_points(self) -> u16 {
        self.0
    }
}

/// Why a number is no share.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0} hundredths of a percent are no share: use 1 (0.01 %) to {ALL_BASIS_POINTS} (everybody)")]
pub struct ShareError(u32);

impl TryFrom<u32> for Share {
    type Error = ShareError;
    fn try_from(basis_points: u32) -> Result<Self, ShareError> {
        let small = u16::try_from(basis_points).ok().filter(|points| (1..=ALL_BASIS_POINTS).contains(points));
        small.map(Self).ok_or(ShareError(basis_points))
    }
}

impl From<Share> for u32 {
    fn from(share: Share) -> Self {
        share.0.into()
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, hundredths) = (self.0 / 100, self.0 % 100);
        match (hundredths, hundredths % 10) {
            (0, _) => write!(f, "{whole} %"),
            (_, 0) => write!(f, "{whole}.{} %", hundredths / 10),
            _ => write!(f, "{whole}.{hundredths:02} %"),
        }
    }
}

/// The highest position that is in. Stored as 16 hexadecimal digits: many readers of JSON cannot hold a number of 64 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Threshold(u64);

impl Threshold {
    /// What lets a share of all possible positions in. Of a fleet it is about this share, of a small one maybe nobody.
    #[must_use]
    pub fn share(share: Share) -> Self {
        let all = u128::from(u64::MAX) + 1;
        let positions = all * u128::from(share.0) / u128::from(ALL_BASIS_POINTS);
        // A share is one basis point at least, and 10,000 at most: 2^64 positions, of which the last one is u64::MAX.
        Self(u64::try_from(positions - 1).unwrap_or(u64::MAX))
    }

    /// What lets in the `count` computers of the lowest positions, in whatever order these are given, and who shares the
    /// last one's position. When there are fewer, it lets in those that are there and nobody who joins behind them; `None`
    /// when there are none.
    #[must_use]
    pub fn first(count: NonZeroUsize, mut positions: Vec<u64>) -> Option<Self> {
        let last = count.get().min(positions.len()).checked_sub(1)?;
        Some(Self(*positions.select_nth_unstable(last).1))
    }
}

impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl TryFrom<String> for Threshold {
    type Error = NameError;
    fn try_from(text: String) -> Result<Self, NameError> {
        // Its own text again: no upper case and no sign.
        let read = u64::from_str_radix(&text, 16).ok().map(Self);
        let same = read.filter(|read| text.len() == THRESHOLD_DIGITS && read.to_string() == text);
        same.ok_or_else(|| NameError {
            what: "threshold",
            text: text.chars().take(MAX_SHOWN_CHARS).collect(),
            rule: "16 lower-case hex digits",
        })
    }
}

impl std::str::FromStr for Threshold {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::try_from(text.to_owned())
    }
}

impl From<Threshold> for String {
    fn from(threshold: Threshold) -> Self {
        threshold.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn salt() -> Salt {
        Salt::of(&ServerId::from_random([7; 16]))
    }

    fn name(text: &str) -> ComputerName {
        ComputerName::new(text).unwrap()
    }

    fn percent(percent: u32) -> Threshold {
        Threshold::share(Share::try_from(percent * 100).unwrap())
    }

    fn first(count: usize, positions: &[u64]) -> Option<u64> {
        Threshold::first(NonZeroUsize::new(count).unwrap(), positions.to_vec()).map(|threshold| threshold.0)
    }

    #[test]
    fn positions_are_the_same_for_ever() {
        // Computed with another implementation of SHA-256.
        let golden = [
            ("pc-01", 0x477c_36da_22ff_c5bd),
            ("pc-02", 0x1f97_3c31_f448_a8a4),
            ("straße.example", 0xe2de_2e61_4db3_68f0),
        ];
        for (text, expected) in golden {
            assert_eq!(position(&salt(), &name(text)), expected, "{text}");
        }
    }

    #[test]
    fn a_reinstalled_computer_keeps_its_place_and_another_site_has_another_order() {
        let known = position(&salt(), &name("pc-01.example.com"));
        for spelling in ["PC-01.example.com", " pc-01.EXAMPLE.com. ", "ｐｃ-01.example.com"] {
            assert_eq!(position(&salt(), &name(spelling)), known, "{spelling}");
        }
        let other = Salt::of(&ServerId::from_random([8; 16]));
        assert_ne!(position(&other, &name("pc-01.example.com")), known);
    }

    #[test]
    fn a_hundred_thousand_names_are_spread_evenly_and_a_larger_share_contains_the_smaller_one() {
        let mut positions: Vec<u64> =
            (0..100_000).map(|n| position(&salt(), &name(&format!("pc-{n:05}.example")))).collect();
        positions.sort_unstable();
        let mut before = 0;
        for share in 1..=100 {
            let inside = positions.partition_point(|position| is_in(*position, percent(share)));
            // Five standard deviations of a fair draw are at most 791.
            assert!(inside.abs_diff(share as usize * 1000) <= 791, "{share} %: {inside}");
            // Who is in a share is in each larger one, because the lowest positions are in.
            assert!(share == 100 || percent(share) < percent(share + 1), "{share} %");
            assert!(inside > before, "{share} %");
            before = inside;
        }
        assert_eq!(before, 100_000);
        let hundred = Threshold::first(NonZeroUsize::new(100).unwrap(), positions.clone()).unwrap();
        assert_eq!(positions.iter().filter(|position| is_in(**position, hundred)).count(), 100);
    }

    #[test]
    fn everybody_is_everybody_and_the_smallest_share_is_not_nobody() {
        assert_eq!(Threshold::share(Share::ALL), Threshold(u64::MAX));
        assert!(is_in(u64::MAX, Threshold::share(Share::ALL)) && !is_in(u64::MAX, percent(99)));
        let smallest = Threshold::share(Share::try_from(1).unwrap());
        assert_eq!(smallest, Threshold(1_844_674_407_370_954));
        assert!(is_in(0, smallest));
        assert_eq!(percent(50), Threshold(u64::MAX / 2));
    }

    #[test]
    fn the_first_computers_are_those_of_the_lowest_positions_with_ties() {
        let positions = [9, 3, u64::MAX, 0, 3, 7];
        let table =
            [(1, 0), (2, 3), (3, 3), (4, 7), (5, 9), (6, u64::MAX), (7, u64::MAX), (usize::MAX, u64::MAX)];
        for (count, expected) in table {
            assert_eq!(first(count, &positions), Some(expected), "{count}");
        }
        assert_eq!(first(5, &[4, 2]), Some(4), "nobody who joins behind them");
        assert_eq!(first(1, &[]), None);
    }

    #[test]
    fn shares_and_thresholds_are_read_as_they_are_written_and_nothing_else_is() {
        for (points, shown) in
            [(1, "0.01 %"), (10, "0.1 %"), (1000, "10 %"), (1250, "12.5 %"), (10_000, "100 %")]
        {
            let share: Share = serde_json::from_str(&points.to_string()).unwrap();
            assert_eq!(serde_json::to_string(&share).unwrap(), points.to_string());
            assert_eq!((share.to_string().as_str(), u32::from(share.basis_points())), (shown, points));
        }
        for bad in ["0", "10001", "65537", "-1", "1.5", "4294967296"] {
            assert!(serde_json::from_str::<Share>(bad).is_err(), "{bad}");
        }
        for threshold in [Threshold(0), percent(10), Threshold::share(Share::ALL)] {
            let text = serde_json::to_string(&threshold).unwrap();
            assert_eq!(serde_json::from_str::<Threshold>(&text).unwrap(), threshold);
        }
        assert_eq!(serde_json::to_string(&percent(50)).unwrap(), "\"7fffffffffffffff\"");
        for bad in
            ["", "7fff", "7FFFFFFFFFFFFFFF", "+7fffffffffffff", "7fffffffffffffff0", "g000000000000000"]
        {
            assert!(Threshold::try_from(bad.to_owned()).is_err(), "{bad}");
        }
    }
}
