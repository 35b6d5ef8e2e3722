//! Refusals, counted in memory per (code, source, minute) and written to the log once a minute.
//!
//! Invariant: memory and log are bounded by this module, not by who asks: sources beyond the limit of one minute are
//! counted together. The computer that a refusal is about stands beside the count and not in its key, because whoever is
//! refused chose the name: with another one for each request a single source would fill the memory, and the log with
//! lines. What is counted and not yet written is lost when the process is killed.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use sealpost_manifests::ids::ComputerName;
use sealpost_manifests::wire::problem::ProblemCode;

use sealpost_site::rules::text::escape;

/// Most (code, source) pairs that are told apart between two writes: more lines than this help nobody.
const MAX_KEYS: usize = 256;
/// Stands for every further source.
const OTHERS: &str = "other sources";
/// Longest source text, in characters: an IP address, a computer name or a client id.
const MAX_SOURCE_CHARS: usize = 130;

/// What was counted, and the newest time that it was counted at.
#[derive(Debug, Clone, Default)]
pub(crate) struct Counted {
    pub(crate) latest: Option<Timestamp>,
    pub(crate) counts: BTreeMap<(Timestamp, ProblemCode, String), Tally>,
}

/// How often, and about which computer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) count: u64,
    about: About,
}

/// The computer that refusals named.
#[derive(Debug, Clone, PartialEq, Eq)]
enum About {
    Nobody,
    One(ComputerName),
    Several,
}

impl Tally {
    const NONE: Self = Self { count: 0, about: About::Nobody };

    /// The computer, if all of them that named one named the same.
    pub(crate) fn computer(&self) -> Option<&ComputerName> {
        match &self.about {
            About::One(name) => Some(name),
            About::Nobody | About::Several => None,
        }
    }

    fn add(&mut self, count: u64, about: About) {
        self.count = self.count.saturating_add(count);
        self.about = match (std::mem::replace(&mut self.about, About::Several), about) {
            (About::Nobody, about) | (about, About::Nobody) => about,
            (About::One(one), About::One(other)) if one == other => About::One(one),
            _ => About::Several,
        };
    }
}

/// The counters.
#[derive(Debug, Default)]
pub(crate) struct Refusals(Mutex<Counted>);

impl Refusals {
    /// Counts one. Answers whether an earlier minute waits to be written.
    pub(crate) fn count(
        &self,
        now: Timestamp,
        code: ProblemCode,
        source: &str,
        computer: Option<&ComputerName>,
    ) -> bool {
        let minute = minute_of(now);
        let source: String = escape(source).chars().take(MAX_SOURCE_CHARS).collect();
        let mut counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counted.latest = counted.latest.max(Some(now));
        let full = counted.counts.len() >= MAX_KEYS;
        let mut key = (minute, code, source);
        let mut about = computer.cloned().map_or(About::Nobody, About::One);
        if full && !counted.counts.contains_key(&key) {
            (key.2, about) = (OTHERS.to_owned(), About::Several);
        }
        if counted.counts.len() >= 2 * MAX_KEYS && !counted.counts.contains_key(&key) {
            // Nobody writes, for example because the disk is full, and the minutes go on.
            key.0 = counted.counts.keys().next().map_or(minute, |key| key.0);
        }
        counted.counts.entry(key).or_insert(Tally::NONE).add(1, about);
        counted.counts.keys().next().is_some_and(|key| key.0 < minute)
    }

    /// Takes everything that was counted.
    pub(crate) fn take(&self) -> Counted {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts back what could not be written.
    pub(crate) fn put_back(&self, unwritten: Counted) {
        let mut counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counted.latest = counted.latest.max(unwritten.latest);
        for (key, Tally { count, about }) in unwritten.counts {
            counted.counts.entry(key).or_insert(Tally::NONE).add(count, about);
        }
    }

    /// Whether there is anything to write.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).counts.is_empty()
    }
}

fn minute_of(now: Timestamp) -> Timestamp {
    let second = now.as_second();
    Timestamp::from_second(second - second.rem_euclid(60)).unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn refusals_of_one_source_and_minute_are_one_line() {
        let refusals = Refusals::default();
        assert!(!refusals.count(at(60), ProblemCode::NoLease, "pc-1", None));
        assert!(!refusals.count(at(119), ProblemCode::NoLease, "pc-1", None));
        assert!(refusals.count(at(120), ProblemCode::NoLease, "pc-1", None), "an earlier minute waits");
        let counted = refusals.take();
        assert_eq!(counted.latest, Some(at(120)));
        assert_eq!(counted.counts.values().map(|tally| tally.count).collect::<Vec<_>>(), [2, 1]);
        assert!(refusals.is_empty());
        refusals.put_back(counted);
        assert!(!refusals.is_empty());
    }

    #[test]
    fn a_flood_of_sources_and_minutes_stays_bounded_and_is_counted_whole() {
        let refusals = Refusals::default();
        for number in 0..5_000 {
            let _ = refusals.count(
                at(number * 30),
                ProblemCode::Unauthenticated,
                &format!("10.0.{number}"),
                None,
            );
        }
        let counted = refusals.take();
        assert!(counted.counts.len() <= 2 * MAX_KEYS + 1, "{}", counted.counts.len());
        assert_eq!(counted.counts.values().map(|tally| tally.count).sum::<u64>(), 5_000);
    }

    #[test]
    fn a_name_that_whoever_is_refused_chose_takes_no_room_and_stands_where_it_was_the_only_one() {
        let refusals = Refusals::default();
        for number in 0..5_000 {
            let name = ComputerName::new(format!("pc-{number}")).unwrap();
            let _ = refusals.count(at(60), ProblemCode::NotReserved, "10.0.0.1", Some(&name));
        }
        let name = ComputerName::new("pc-1").unwrap();
        for about in [Some(&name), None, Some(&name)] {
            let _ = refusals.count(at(60), ProblemCode::NoLease, "10.0.0.2", about);
        }
        let counted = refusals.take();
        let tallies =
            || counted.counts.iter().map(|(key, tally)| (key.2.as_str(), tally.count, tally.computer()));
        assert_eq!(counted.counts.len(), 2, "one line for each source and code");
        assert!(tallies().any(|tally| tally == ("10.0.0.1", 5_000, None)));
        assert!(tallies().any(|tally| tally == ("10.0.0.2", 3, Some(&name))));
        refusals.put_back(counted.clone());
        assert_eq!(refusals.take().counts, counted.counts, "what could not be written stays as it was");
    }
}
