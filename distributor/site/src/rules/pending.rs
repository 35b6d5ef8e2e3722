//! Computers that asked to be enrolled and proved nothing wait in a bounded list, so that an admin sees them.
//!
//! Invariant: the list and the log entries that it causes are bounded, whatever strangers send: it makes room for one computer
//! at a time, and only when the oldest has stood there for a day. One name never fills it: it has three keys at the most.

use jiff::{SignedDuration, Timestamp};
use sealpost_keys::PublicKey;
use sealpost_manifests::ids::ComputerName;

/// Most computers in the list.
pub const MAX_PENDING: u64 = 1_000;
/// Most keys that one name has in the list.
pub const MAX_KEYS: u64 = 3;
/// What stands in a full list keeps its place this long.
const KEEPS_PLACE: SignedDuration = SignedDuration::from_hours(24);

/// A row of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waits {
    /// The name that the computer gave.
    pub name: ComputerName,
    /// Its key; `None` of one that a server of before noted by its name alone.
    pub client_key: Option<PublicKey>,
}

/// What is known of the list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PendingFacts {
    /// How many rows it has.
    pub waiting: u64,
    /// Whether the key that asks stands in it under the name that it gives.
    pub known: bool,
    /// How many keys of the name stand in it.
    pub of_name: u64,
    /// Whether the name stands in it without a key, as a server of before noted it: what comes takes that place.
    pub without_key: bool,
    /// What was seen first of the name, and when.
    pub oldest_of_name: Option<(Waits, Timestamp)>,
    /// What was seen first of all, and when.
    pub oldest: Option<(Waits, Timestamp)>,
}

/// What becomes of a computer that asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PendingDecision {
    /// It stands in the list already.
    Known,
    /// It is added.
    Add {
        /// What makes room for it.
        drops: Option<Waits>,
    },
    /// There is no room, for it or for its name, that is older than a day.
    Full,
}

/// Decides about one more computer.
#[must_use]
pub fn decide(facts: &PendingFacts, now: Timestamp) -> PendingDecision {
    if facts.known {
        return PendingDecision::Known;
    }
    if facts.of_name >= MAX_KEYS {
        return in_the_place_of(facts.oldest_of_name.as_ref(), now);
    }
    if facts.without_key || facts.waiting < MAX_PENDING {
        return PendingDecision::Add { drops: None };
    }
    in_the_place_of(facts.oldest.as_ref(), now)
}

fn in_the_place_of(oldest: Option<&(Waits, Timestamp)>, now: Timestamp) -> PendingDecision {
    match oldest {
        Some((dropped, seen_at)) if now.duration_since(*seen_at) > KEEPS_PLACE => {
            PendingDecision::Add { drops: Some(dropped.clone()) }
        }
        _ => PendingDecision::Full,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use sealpost_keys::KeyId;

    use super::*;
    use crate::rules::random::Random;

    fn at(hours: i64) -> Timestamp {
        Timestamp::from_second(hours * 3600).unwrap()
    }

    fn row(name: &str, key: Option<u8>) -> Waits {
        let client_key = key.map(|id| PublicKey::new(KeyId::from_bytes([id; 8]), [id; 32]));
        Waits { name: ComputerName::new(name).unwrap(), client_key }
    }

    #[test]
    fn a_full_list_makes_room_for_one_computer_a_day_later_and_not_before() {
        let oldest = row("first", Some(1));
        let facts =
            PendingFacts { waiting: 3, oldest: Some((oldest.clone(), at(0))), ..PendingFacts::default() };
        assert_eq!(decide(&facts, at(1)), PendingDecision::Add { drops: None });
        let full = PendingFacts { waiting: MAX_PENDING, ..facts };
        assert_eq!(decide(&full, at(24)), PendingDecision::Full);
        assert_eq!(decide(&full, at(25)), PendingDecision::Add { drops: Some(oldest) });
        let known = PendingFacts { known: true, ..full.clone() };
        assert_eq!(decide(&known, at(25)), PendingDecision::Known);
        let noted_before = PendingFacts { without_key: true, ..full };
        assert_eq!(
            decide(&noted_before, at(1)),
            PendingDecision::Add { drops: None },
            "it takes its own place"
        );
        assert_eq!(decide(&PendingFacts::default(), at(0)), PendingDecision::Add { drops: None });
    }

    #[test]
    fn a_name_has_three_keys_and_a_fourth_takes_the_place_of_one_that_is_older_than_a_day() {
        let of_name = row("pc-1", Some(1));
        let facts = PendingFacts {
            waiting: 9,
            of_name: MAX_KEYS,
            oldest_of_name: Some((of_name.clone(), at(0))),
            oldest: Some((row("other", Some(9)), at(-100))),
            ..PendingFacts::default()
        };
        assert_eq!(decide(&facts, at(24)), PendingDecision::Full, "another name makes no room for it");
        assert_eq!(decide(&facts, at(25)), PendingDecision::Add { drops: Some(of_name) });
        let fewer = PendingFacts { of_name: MAX_KEYS - 1, ..facts };
        assert_eq!(decide(&fewer, at(1)), PendingDecision::Add { drops: None });
    }

    /// The list as a store keeps it.
    #[derive(Default)]
    struct List(BTreeMap<(String, Option<u8>), (Timestamp, u64)>);

    impl List {
        fn facts(&self, name: &str, key: u8) -> PendingFacts {
            let first = |of: &dyn Fn(&str) -> bool| {
                let rows = self.0.iter().filter(|((of_row, key), _)| of(of_row) && key.is_some());
                let first = rows.min_by_key(|(_, (_, sequence))| *sequence);
                first.map(|((name, key), (seen_at, _))| (row(name, *key), *seen_at))
            };
            let keys = |(of, key): &&(String, Option<u8>)| of == name && key.is_some();
            PendingFacts {
                waiting: self.0.len() as u64,
                known: self.0.contains_key(&(name.to_owned(), Some(key))),
                of_name: self.0.keys().filter(keys).count() as u64,
                without_key: self.0.contains_key(&(name.to_owned(), None)),
                oldest_of_name: first(&|of| of == name),
                oldest: first(&|_| true),
            }
        }
    }

    /// Whoever asks how often: the list is bounded, each name in it too, and who stands in it stays for a day.
    #[test]
    fn whoever_asks_the_list_and_each_name_in_it_stay_bounded_and_nobody_is_pushed_out_within_a_day() {
        for seed in 1..=8 {
            let mut random = Random(seed);
            let mut list = List::default();
            let mut now = at(0);
            for sequence in 1..4_000 {
                let wait = i64::try_from(random.below(200)).unwrap();
                now = now.checked_add(SignedDuration::from_secs(wait)).unwrap();
                let (name, key) = (random.below(1_400), u8::try_from(random.below(6)).unwrap());
                let name = if name < 200 { "popular".to_owned() } else { format!("pc-{name}") };
                if let PendingDecision::Add { drops } = decide(&list.facts(&name, key), now) {
                    if let Some(Waits { name, client_key }) = drops {
                        let id = client_key.map(|key| key.ed25519_bytes()[0]);
                        let (seen_at, _) = list.0.remove(&(name.to_string(), id)).unwrap();
                        assert!(now.duration_since(seen_at) > KEEPS_PLACE, "seed {seed}");
                    }
                    list.0.insert((name.clone(), Some(key)), (now, sequence));
                }
                let of_name = list.0.keys().filter(|(of, _)| *of == name).count() as u64;
                assert!(list.0.len() as u64 <= MAX_PENDING && of_name <= MAX_KEYS, "seed {seed}");
            }
            assert_eq!(list.0.len() as u64, MAX_PENDING, "the list was full");
        }
    }
}
