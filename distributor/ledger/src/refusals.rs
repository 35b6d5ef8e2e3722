//! Refusals, counted in memory per (code, source, computer, minute) and written to the log once a minute.
//!
//! Invariant: memory and log are bounded by this module, not by who asks: sources beyond the limit of one minute are
//! counted together. What is counted and not yet written is lost when the process is killed.

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
#[derive(Debug, Default)]
pub(crate) struct Counted {
    pub(crate) latest: Option<Timestamp>,
    pub(crate) counts: BTreeMap<(Timestamp, ProblemCode, String, Option<ComputerName>), u64>,
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
        let mut key = (minute, code, source, computer.cloned());
        if full && !counted.counts.contains_key(&key) {
            (key.2, key.3) = (OTHERS.to_owned(), None);
        }
        if counted.counts.len() >= 2 * MAX_KEYS && !counted.counts.contains_key(&key) {
            // Nobody writes, for example because the disk is full, and the minutes go on.
            key.0 = counted.counts.keys().next().map_or(minute, |key| key.0);
        }
        let count = counted.counts.entry(key).or_insert(0);
        *count = count.saturating_add(1);
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
        for (key, more) in unwritten.counts {
            let count = counted.counts.entry(key).or_insert(0);
            *count = count.saturating_add(more);
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
        assert_eq!(counted.counts.values().copied().collect::<Vec<_>>(), [2, 1]);
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
        assert_eq!(counted.counts.values().sum::<u64>(), 5_000);
    }
}
