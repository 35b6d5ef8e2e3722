//! By which deltas a computer comes to a release, if by any.
//!
//! Pure. What a server told of ways is a claim: it says what to try, and what comes is verified.

use std::collections::BTreeSet;

use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::release::spares_enough;
use sealpost_manifests::wire::refresh::{DeltaWay, MAX_HOPS};

/// Between which releases a delta leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hop {
    /// The manifest that it starts from; absent: nothing.
    pub from: Option<Sha256Digest>,
    /// The manifest that it leads to.
    pub to: Sha256Digest,
    /// The manifest of the release that is wanted in the end.
    pub end: Sha256Digest,
    /// Most bytes that it may have.
    pub most_bytes: u64,
}

/// The way of the fewest bytes, if one spares enough of the payload; of equal ones the one with fewer deltas, then the one that
/// needs what runs.
#[must_use]
pub fn choose(
    told: &[DeltaWay],
    runs: Option<&Sha256Digest>,
    to: &Sha256Digest,
    payload_bytes: u64,
) -> Option<DeltaWay> {
    let usable = told.iter().filter(|way| is_way(way, runs, to));
    let sized = usable.filter_map(|way| Some((bytes_of(way)?, way)));
    let smaller = sized.filter(|(bytes, _)| spares_enough(*bytes, payload_bytes));
    smaller
        .min_by_key(|(bytes, way)| (*bytes, way.hops.len(), way.from.is_none()))
        .map(|(_, way)| way.clone())
}

/// The deltas of a way, in their order.
#[must_use]
pub fn hops(way: &DeltaWay) -> Vec<Hop> {
    let Some(end) = way.hops.last().map(|last| last.to) else { return Vec::new() };
    let mut from = way.from;
    let mut hops = Vec::new();
    for hop in &way.hops {
        hops.push(Hop { from, to: hop.to, end, most_bytes: hop.bytes });
        from = Some(hop.to);
    }
    hops
}

/// Whether it leads from what runs, or from nothing, to the release, without a detour.
fn is_way(way: &DeltaWay, runs: Option<&Sha256Digest>, to: &Sha256Digest) -> bool {
    let count = if way.from.is_some() { MAX_HOPS } else { 1 };
    let begins = way.from.as_ref().is_none_or(|from| runs == Some(from));
    let ends = way.hops.last().is_some_and(|last| last.to == *to);
    let mut passed: BTreeSet<&Sha256Digest> = way.from.iter().collect();
    begins && ends && way.hops.len() <= count && way.hops.iter().all(|hop| passed.insert(&hop.to))
}

fn bytes_of(way: &DeltaWay) -> Option<u64> {
    way.hops.iter().try_fold(0u64, |sum, hop| sum.checked_add(hop.bytes))
}

#[cfg(test)]
mod tests {
    use sealpost_manifests::wire::refresh::Hop as Told;

    use super::*;

    const PAYLOAD: u64 = 100_000;

    fn digest(name: &str) -> Sha256Digest {
        Sha256Digest::of(name.as_bytes())
    }

    fn way(from: Option<&str>, hops: &[(&str, u64)]) -> DeltaWay {
        let hops = hops.iter().map(|(to, bytes)| Told { to: digest(to), bytes: *bytes }).collect();
        DeltaWay { from: from.map(digest), hops }
    }

    fn chosen(told: &[DeltaWay]) -> Option<DeltaWay> {
        choose(told, Some(&digest("1")), &digest("4"), PAYLOAD)
    }

    #[test]
    fn the_fewest_bytes_win_and_the_payload_where_a_way_spares_too_little() {
        let direct = way(Some("1"), &[("4", 900)]);
        let chain = way(Some("1"), &[("2", 300), ("4", 500)]);
        let packed = way(None, &[("4", 80_000)]);
        assert_eq!(chosen(&[direct.clone(), chain.clone(), packed.clone()]), Some(chain.clone()));
        assert_eq!(chosen(std::slice::from_ref(&packed)), Some(packed.clone()));
        assert_eq!(chosen(&[packed.clone(), way(Some("1"), &[("4", 90_000)])]), Some(packed));
        assert_eq!(chosen(&[way(None, &[("4", 94_000)])]), None, "it spares too little");
        let as_small = way(Some("1"), &[("4", 800)]);
        assert_eq!(chosen(&[chain, as_small.clone()]), Some(as_small), "one delta is enough");
        let (runs, nothing) = (way(Some("1"), &[("4", 5)]), way(None, &[("4", 5)]));
        assert_eq!(chosen(&[nothing, runs.clone()]), Some(runs));
        assert_eq!(chosen(&[]), None);
    }

    #[test]
    fn what_is_no_way_from_what_runs_to_the_release_is_passed_over() {
        for (what, lie) in [
            ("another base", way(Some("0"), &[("4", 1)])),
            ("another end", way(Some("1"), &[("3", 1)])),
            ("no delta", way(Some("1"), &[])),
            ("too many", way(Some("1"), &[("a", 1), ("b", 1), ("c", 1), ("d", 1), ("4", 1)])),
            ("a circle", way(Some("1"), &[("2", 1), ("1", 1), ("4", 1)])),
            ("a detour", way(Some("1"), &[("4", 1), ("2", 1), ("4", 1)])),
            ("several from nothing", way(None, &[("2", 1), ("4", 1)])),
            ("more bytes than there are", way(Some("1"), &[("2", u64::MAX), ("4", 1)])),
        ] {
            assert_eq!(chosen(&[lie]), None, "{what}");
        }
        assert_eq!(choose(&[way(Some("1"), &[("4", 1)])], None, &digest("4"), PAYLOAD), None, "nothing runs");
    }

    #[test]
    fn hops_lead_from_one_to_the_next() {
        let hops = hops(&way(Some("1"), &[("2", 7), ("4", 9)]));
        let ends: Vec<_> = hops.iter().map(|hop| (hop.from, hop.to, hop.end, hop.most_bytes)).collect();
        let (one, two, four) = (digest("1"), digest("2"), digest("4"));
        assert_eq!(ends, [(Some(one), two, four, 7), (Some(two), four, four, 9)]);
    }
}
