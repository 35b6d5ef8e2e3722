//! Versions, revisions and the counters that only rise.
//!
//! A version is a name, not a number: order comes from the [`ReleaseCounter`] that the vendor signs.

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
    fn a_revision_is_a_plain_number() {
        assert_eq!(Revision::from_version(&Version::new("27001").unwrap()), Ok(Revision(27001)));
        for bad in ["01", "1.0", "+1", "1a"] {
            assert!(
                Version::new(bad).is_err() || Revision::from_version(&Version::new(bad).unwrap()).is_err()
            );
        }
    }
}
