//! Whom a change of the server's CA, or of its addresses or port, left behind: computers that had not learned the new pin
//! when the server began to present it, or the new way when the one before was dropped. They refuse the server or find it no
//! longer, so that nothing but a person helps them.
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
    /// Where computers are told to come.
    doors: Vec<Door>,
}

/// The addresses and the port of one way.
type Door = (Vec<String>, u16);

/// What the lists tell of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Changes {
    pub(super) ca: Option<Replaced>,
    pub(super) ways: Option<Replaced>,
}

/// The last change of the CA, or of the ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Replaced {
    /// The first list that names the pin, or the way, which counts now.
    pub(super) sequence: u64,
    /// When it was said that it alone counts.
    pub(super) since: Timestamp,
}

impl Announced {
    /// `None` for an entry that announces no list.
    pub(super) fn of(logged: &LoggedEntry) -> Option<Self> {
        let ReadEntry::Known(entry) = &logged.entry else { return None };
        let Change::ServerListChanged { sequence, ways } = &entry.change else { return None };
        let pins = ways.first().map(|way| way.ca_spki_sha256.clone()).unwrap_or_default();
        let doors = ways.iter().map(|way| (way.addresses.clone(), way.port)).collect();
        Some(Self { sequence: *sequence, at: entry.at, pins, doors })
    }

    /// Whether a computer that knows the other list alone finds one of these ways.
    fn is_found_by(&self, other: &Self) -> bool {
        let meet = |(here, port): &Door, (there, known): &Door| {
            port == known && here.iter().any(|address| there.contains(address))
        };
        self.doors.iter().any(|here| other.doors.iter().any(|there| meet(here, there)))
    }
}

/// The change that made the ways of the newest list the only ones, by the lists in the order in which they were announced;
/// `None` if every list leads to one of them.
pub(super) fn moved(announced: &[Announced]) -> Option<Replaced> {
    let newest = announced.last()?;
    let before = announced.iter().rposition(|list| !newest.is_found_by(list))?;
    let (old, naming) = (announced.get(before)?, announced.get(before + 1..)?);
    let first = naming.first()?;
    let alone = naming.iter().find(|list| !list.is_found_by(old))?;
    Some(Replaced { sequence: first.sequence, since: alone.at })
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
            doors: Vec::new(),
        };
        (1..).zip(pins).map(list).collect()
    }

    #[test]
    fn a_move_begins_with_the_list_that_names_the_new_way_and_counts_from_the_one_that_drops_the_old() {
        let found = |lists: &[&[(&str, u16)]]| {
            let list = |(sequence, doors): (u64, &&[(&str, u16)])| Announced {
                sequence,
                at: at(sequence),
                pins: Vec::new(),
                doors: doors.iter().map(|(address, port)| (vec![(*address).to_owned()], *port)).collect(),
            };
            let announced: Vec<Announced> = (1..).zip(lists).map(list).collect();
            moved(&announced)
        };
        let (old, new, other) = (("a", 1), ("a", 2), ("b", 2));
        assert_eq!(found(&[]), None);
        assert_eq!(found(&[&[old], &[new, old]]), None, "the old one is served");
        let moves = [&[old][..], &[new, old], &[new, old], &[new], &[new]];
        assert_eq!(found(&moves), Some(Replaced { sequence: 2, since: at(4) }));
        assert_eq!(found(&[&[old], &[new, old], &[old]]), None, "back before anybody was lost");
        let twice = [&[old][..], &[new, old], &[new], &[other, new], &[other]];
        assert_eq!(found(&twice), Some(Replaced { sequence: 4, since: at(5) }));
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
