//! Whom a change of the server's CA left behind: computers that had not learned the new pin when the server began to
//! present it. They refuse the server, so that nothing but a person helps them.
//!
//! Derived from what the ledger has anyway, the lists that were announced and what computers said that they hold: it is the
//! same after a restart. Invariant: a computer that was heard since is not among them.
//! Pure: lists in, an answer out. Left out on purpose: who they are, which the ledger knows.

use jiff::Timestamp;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_site::changes::Change;
use sealpost_site::changes::chain::{LoggedEntry, ReadEntry};

/// The type of the entries of the log that announce a list.
pub(super) const ANNOUNCES: &str = "server_list_changed";

/// A list as it was announced.
#[derive(Debug, Clone)]
pub(super) struct Announced {
    sequence: u64,
    at: Timestamp,
    /// The pin of the CA in use first.
    pins: Vec<Sha256Digest>,
}

/// The last change of the CA.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Replaced {
    /// The first list that names the pin which is presented now.
    pub(super) sequence: u64,
    /// When it was said that it is presented.
    pub(super) since: Timestamp,
}

impl Announced {
    /// `None` for an entry that announces no list.
    pub(super) fn of(logged: &LoggedEntry) -> Option<Self> {
        let ReadEntry::Known(entry) = &logged.entry else { return None };
        let Change::ServerListChanged { sequence, ways } = &entry.change else { return None };
        let pins = ways.first().map(|way| way.ca_spki_sha256.clone()).unwrap_or_default();
        Some(Self { sequence: *sequence, at: entry.at, pins })
    }
}

/// The change that made this pin the presented one, by the lists in the order in which they were announced; `None` if it
/// was never another, as far as they tell.
pub(super) fn replaced(announced: &[Announced], presented: &Sha256Digest) -> Option<Replaced> {
    let before = announced.iter().rposition(|list| !list.pins.contains(presented))?;
    let naming = announced.get(before + 1..)?;
    let first = naming.first()?;
    let in_use = naming.iter().find(|list| list.pins.first() == Some(presented));
    // It is presented, and the list that says so comes next.
    Some(Replaced { sequence: first.sequence, since: in_use.map_or(Timestamp::MAX, |list| list.at) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pin(name: &str) -> Sha256Digest {
        Sha256Digest::of(name.as_bytes())
    }

    fn at(second: u64) -> Timestamp {
        Timestamp::from_second(i64::try_from(second).unwrap()).unwrap()
    }

    fn lists(pins: &[&[&str]]) -> Vec<Announced> {
        let list = |(sequence, pins): (u64, &&[&str])| Announced {
            sequence,
            at: at(sequence),
            pins: pins.iter().map(|name| pin(name)).collect(),
        };
        (1..).zip(pins).map(list).collect()
    }

    #[test]
    fn a_change_begins_with_the_list_that_names_the_new_pin_and_counts_from_the_one_that_presents_it() {
        let found = |pins: &[&[&str]], presented: &str| replaced(&lists(pins), &pin(presented));
        assert_eq!(found(&[], "a"), None);
        assert_eq!(found(&[&["a"], &["a", "b"]], "a"), None, "the first one replaced nothing");
        let changed = [&["a"][..], &["a", "b"], &["a", "b"], &["b"], &["b"]];
        assert_eq!(found(&changed, "b"), Some(Replaced { sequence: 2, since: at(4) }));
        assert_eq!(found(&changed[..3], "b"), Some(Replaced { sequence: 2, since: Timestamp::MAX }));
        // Back to the first one, which some computers may know from before.
        let back = [&["a"][..], &["a", "b"], &["b"], &["b", "a"], &["a"]];
        assert_eq!(found(&back, "a"), Some(Replaced { sequence: 4, since: at(5) }));
        assert_eq!(found(&changed, "c"), None, "it was never announced");
    }
}
