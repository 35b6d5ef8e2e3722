//! The boot clock: how long a computer has run, with the time that it was suspended, and which of its starts it counts
//! from.
//!
//! Invariant: moments of two starts are never compared; nothing is known about the time between them.

use std::fmt;

use jiff::SignedDuration;
use sealpost_manifests::ids::NameError;
use serde::{Deserialize, Serialize};

/// Length of a boot id: a UUID as text.
const BOOT_ID_BYTES: usize = 36;

/// The id of one start of a computer: drawn by its kernel, and safe in a file that a shell reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BootId(String);

impl BootId {
    /// # Errors
    /// [`NameError`] for anything but a UUID in lower case.
    pub fn new(text: &str) -> Result<Self, NameError> {
        let is_plain = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f' | b'-');
        if text.len() == BOOT_ID_BYTES && text.bytes().all(is_plain) {
            return Ok(Self(text.to_owned()));
        }
        Err(NameError {
            what: "boot id",
            text: text.chars().take(80).collect(),
            rule: "a UUID of 36 lower-case characters",
        })
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for BootId {
    type Error = NameError;
    fn try_from(text: String) -> Result<Self, NameError> {
        Self::new(&text)
    }
}

impl From<BootId> for String {
    fn from(id: BootId) -> Self {
        id.0
    }
}

impl fmt::Display for BootId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// A moment on the boot clock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BootMoment {
    pub boot: BootId,
    /// Seconds since that start.
    pub secs: u64,
}

impl BootMoment {
    /// How much time has surely passed since `earlier`: none that is known if the computer was started in between.
    #[must_use]
    pub fn elapsed_since(&self, earlier: &Self) -> SignedDuration {
        if self.boot != earlier.boot {
            return SignedDuration::ZERO;
        }
        let secs = self.secs.saturating_sub(earlier.secs);
        SignedDuration::from_secs(i64::try_from(secs).unwrap_or(i64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: &str = "8f7e9a34-1111-4a2b-9c3d-000000000001";
    const SECOND: &str = "8f7e9a34-1111-4a2b-9c3d-000000000002";

    fn at(boot: &str, secs: u64) -> BootMoment {
        BootMoment { boot: BootId::new(boot).unwrap(), secs }
    }

    #[test]
    fn time_counts_within_one_start_of_the_computer_and_never_backwards() {
        assert_eq!(at(FIRST, 90).elapsed_since(&at(FIRST, 30)), SignedDuration::from_secs(60));
        assert_eq!(at(SECOND, 90).elapsed_since(&at(FIRST, 30)), SignedDuration::ZERO);
        assert_eq!(at(FIRST, 30).elapsed_since(&at(FIRST, 90)), SignedDuration::ZERO);
    }

    #[test]
    fn what_a_shell_would_take_for_more_than_a_word_is_no_boot_id() {
        for bad in ["", "$(reboot)", "8f7e9a34-1111-4a2b-9c3d-00000000000 ", &FIRST.to_uppercase()] {
            assert!(BootId::new(bad).is_err(), "{bad}");
        }
    }
}
