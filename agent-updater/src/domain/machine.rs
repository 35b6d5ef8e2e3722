//! Which machine this is, as far as it can tell: a copy of a disk in another machine is to notice that.
//!
//! Left out on purpose: the start of the machine, because a computer that waits is the same after a restart; and its name, which
//! people change.

use sealpost_manifests::digest::Sha256Digest;
use serde::{Deserialize, Serialize};

/// Digests of ids that the machine has; `None` of what it has not, or could not be read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// Of the id that its system drew when it was first started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<Sha256Digest>,
    /// Of the id of its hardware.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hardware: Option<Sha256Digest>,
}

impl Machine {
    /// Whether this is surely another one: of what is known of both, something differs.
    #[must_use]
    pub fn is_other_than(&self, before: &Self) -> bool {
        let differ = |now: Option<Sha256Digest>, before: Option<Sha256Digest>| {
            now.zip(before).is_some_and(|(now, before)| now != before)
        };
        differ(self.id, before.id) || differ(self.hardware, before.hardware)
    }

    /// The same with what was known of it before, where nothing is known now.
    #[must_use]
    pub fn or(self, before: &Self) -> Self {
        Self { id: self.id.or(before.id), hardware: self.hardware.or(before.hardware) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(id: Option<&str>, hardware: Option<&str>) -> Machine {
        let digest = |text: &str| Sha256Digest::of(text.as_bytes());
        Machine { id: id.map(digest), hardware: hardware.map(digest) }
    }

    #[test]
    fn only_what_is_known_of_both_and_differs_makes_another_machine() {
        let before = machine(Some("a"), Some("x"));
        for (now, is_other) in [
            (machine(Some("a"), Some("x")), false),
            (machine(Some("b"), Some("x")), true),
            (machine(Some("a"), Some("y")), true),
            (machine(Some("a"), None), false),
            (machine(None, Some("y")), true),
            (machine(None, None), false),
        ] {
            assert_eq!(now.is_other_than(&before), is_other, "{now:?}");
            assert!(!now.is_other_than(&Machine::default()));
        }
        assert_eq!(machine(Some("a"), None).or(&before), before);
    }
}
