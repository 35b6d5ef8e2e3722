//! Computers without a seat that asked to be enrolled wait in a bounded list, so that an admin sees them.
//!
//! Invariant: the list and the log entries that it causes are bounded, whatever strangers send: a full list makes room
//! for one name at a time, and only when its oldest name has stood there for a day.

use jiff::{SignedDuration, Timestamp};
use sealpost_manifests::ids::ComputerName;

/// Most computers in the list.
pub const MAX_PENDING: u64 = 1_000;
/// A name that stands in a full list keeps its place this long.
const KEEPS_PLACE: SignedDuration = SignedDuration::from_hours(24);

/// What is known of the list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PendingFacts {
    /// How many names stand in it.
    pub waiting: u64,
    /// Whether the name that asks is one of them.
    pub known: bool,
    /// The name that was seen first, and when.
    pub oldest: Option<(ComputerName, Timestamp)>,
}

/// What becomes of a name that asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PendingDecision {
    /// It stands in the list already.
    Known,
    /// It is added.
    Add {
        /// The name that makes room for it.
        drops: Option<ComputerName>,
    },
    /// The list is full of names that are newer than a day.
    Full,
}

/// Decides about one more name.
#[must_use]
pub fn decide(facts: &PendingFacts, now: Timestamp) -> PendingDecision {
    if facts.known {
        return PendingDecision::Known;
    }
    if facts.waiting < MAX_PENDING {
        return PendingDecision::Add { drops: None };
    }
    match &facts.oldest {
        Some((name, seen_at)) if now.duration_since(*seen_at) > KEEPS_PLACE => {
            PendingDecision::Add { drops: Some(name.clone()) }
        }
        _ => PendingDecision::Full,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(hours: i64) -> Timestamp {
        Timestamp::from_second(hours * 3600).unwrap()
    }

    #[test]
    fn a_full_list_makes_room_for_one_name_a_day_later_and_not_before() {
        let oldest = ComputerName::new("first").unwrap();
        let facts = PendingFacts { waiting: 3, known: false, oldest: Some((oldest.clone(), at(0))) };
        assert_eq!(decide(&facts, at(1)), PendingDecision::Add { drops: None });
        let full = PendingFacts { waiting: MAX_PENDING, ..facts };
        assert_eq!(decide(&full, at(24)), PendingDecision::Full);
        assert_eq!(decide(&full, at(25)), PendingDecision::Add { drops: Some(oldest) });
        let known = PendingFacts { known: true, ..full };
        assert_eq!(decide(&known, at(25)), PendingDecision::Known);
        assert_eq!(decide(&PendingFacts::default(), at(0)), PendingDecision::Add { drops: None });
    }
}
