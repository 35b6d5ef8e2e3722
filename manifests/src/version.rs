//! Versions, revisions and the counters that only rise.
//!
//! A version is a name, not a number: order comes from the [`ReleaseCounter`] that the vendor signs. What people read as
//! higher or lower ([`Version::precedence`]) decides only what they are asked and shown.

use std::cmp::Ordering;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ids::text_type::{NameError, text_type};

text_type!(
    /// A release's version as the vendor writes it: `[A-Za-z0-9.+-]+`, at most 64 bytes, beginning with a letter or
    /// digit. Never contains `_`.
    Version,
    parse_version
);

fn parse_version(text: &str) -> Result<String, NameError> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'+' | b'-');
    let ok = text.len() <= 64
        && text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric())
        && text.bytes().all(plain);
    if ok {
        Ok(text.to_owned())
    } else {
        Err(NameError::new("version", text, "use letters, digits, '.', '+' and '-', at most 64 characters"))
    }
}

impl Version {
    /// Which of two versions people read as the higher one, as in semantic versioning: parts between dots by number
    /// where both are numbers, `1.0-rc1` before `1.0`, and what follows a `+` says nothing. A missing part is 0.
    ///
    /// Two different texts can be equal in this order. It is for questions and displays; nothing is refused by it.
    #[must_use]
    pub fn precedence(&self, other: &Self) -> Ordering {
        let (one, one_before) = precedence_parts(self.as_str());
        let (two, two_before) = precedence_parts(other.as_str());
        compare_parts(one, two, "0").then_with(|| match (one_before, two_before) {
            (None, None) => Ordering::Equal,
            (None, Some(_)) => Ordering::Greater,
            (Some(_), None) => Ordering::Less,
            (Some(one), Some(two)) => compare_parts(one, two, ""),
        })
    }
}

/// The parts that count: the version, and what makes it one of before.
fn precedence_parts(text: &str) -> (&str, Option<&str>) {
    let plain = text.split_once('+').map_or(text, |(plain, _)| plain);
    plain.split_once('-').map_or((plain, None), |(version, before)| (version, Some(before)))
}

/// Part by part; where one text has no more parts, `missing` stands for them.
fn compare_parts(one: &str, two: &str, missing: &str) -> Ordering {
    let (mut one, mut two) = (one.split('.'), two.split('.'));
    loop {
        let (left, right) = (one.next(), two.next());
        if left.is_none() && right.is_none() {
            return Ordering::Equal;
        }
        let order = compare_part(left.unwrap_or(missing), right.unwrap_or(missing));
        if order != Ordering::Equal {
            return order;
        }
    }
}

/// Numbers by their value, whatever their length; a number before a word.
fn compare_part(one: &str, two: &str) -> Ordering {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match (is_number(one), is_number(two)) {
        (true, true) => {
            let (one, two) = (one.trim_start_matches('0'), two.trim_start_matches('0'));
            one.len().cmp(&two.len()).then_with(|| one.cmp(two))
        }
        // Nothing at all comes before anything.
        (true, false) if two.is_empty() => Ordering::Greater,
        (false, true) if one.is_empty() => Ordering::Less,
        (true, false) => Ordering::Less,
        (false, true) => Ordering::Greater,
        (false, false) => one.cmp(two),
    }
}

/// The version of a signature package: a number that only rises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Revision(pub u64);

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Revision {
    /// The revision that a signature package's version names: decimal digits without a leading zero.
    ///
    /// # Errors
    /// [`NameError`] when the version is not such a number.
    pub fn from_version(version: &Version) -> Result<Self, NameError> {
        let text = version.as_str();
        let number: Option<u64> = text.parse().ok();
        number.filter(|number| number.to_string() == text).map(Self).ok_or_else(|| {
            NameError::new(
                "revision",
                text,
                "a signature package's version is a whole number, for example 27001",
            )
        })
    }
}

/// Raised by the publisher with every release of a package; a lower one is refused by server and agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ReleaseCounter(pub u64);

impl fmt::Display for ReleaseCounter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// `V 5.2 (27001)`: the program's version and the signature set's revision, as the customers of the model product
/// know it; `V 0.0 (0000)` until something is known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DisplayVersion {
    /// The installed program's version.
    pub program: Option<Version>,
    /// The installed signature set's revision.
    pub signatures: Option<Revision>,
}

impl fmt::Display for DisplayVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let program = self.program.as_ref().map_or("0.0", Version::as_str);
        write!(f, "V {program} ({:04})", self.signatures.map_or(0, |revision| revision.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_versions_are_shown_as_zero() {
        assert_eq!(DisplayVersion::default().to_string(), "V 0.0 (0000)");
        let known = DisplayVersion { program: Version::new("5.2").ok(), signatures: Some(Revision(27001)) };
        assert_eq!(known.to_string(), "V 5.2 (27001)");
    }

    #[test]
    fn versions_are_read_as_people_read_them() {
        let rising = [
            "0.9",
            "1.0-rc1",
            "1.0",
            "1.0.1",
            "1.2",
            "1.10",
            "2.0.0-alpha",
            "2.0.0-beta.2",
            "2.0.0-beta.11",
            "2.0",
        ];
        for pair in rising.windows(2) {
            let [lower, higher] = [pair[0], pair[1]].map(|text| Version::new(text).unwrap());
            assert_eq!(lower.precedence(&higher), Ordering::Less, "{lower} {higher}");
            assert_eq!(higher.precedence(&lower), Ordering::Greater, "{lower} {higher}");
        }
        for (one, two) in [("1.0", "1.0.0"), ("1.0+a", "1.0+b"), ("007", "7"), ("27001", "27001")] {
            let [one, two] = [one, two].map(|text| Version::new(text).unwrap());
            assert_eq!(one.precedence(&two), Ordering::Equal, "{one} {two}");
        }
        let long = |digit: &str| Version::new(digit.repeat(40)).unwrap();
        assert_eq!(long("1").precedence(&long("2")), Ordering::Less);
    }

    #[test]
    fn a_revision_is_a_plain_number() {
        assert_eq!(Revision::from_version(&Version::new("27001").unwrap()), Ok(Revision(27001)));
        for bad in ["01", "1.0", "+1", "1a"] {
            assert!(
                Version::new(bad).is_err() || Revision::from_version(&Version::new(bad).unwrap()).is_err()
            );
        }
    }
}
