//! The way by deltas that takes the fewest bytes. Pure.

use std::collections::BTreeMap;

use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::wire::refresh::{Hop, MAX_HOPS};

use crate::ports::staging::DeltaEdges;

/// A way from somewhere to the release that is wanted.
#[derive(Clone)]
struct Way {
    bytes: u64,
    hops: Vec<Hop>,
}

/// The way of the fewest bytes from one release to another, of at most [`MAX_HOPS`] deltas; of two with as many bytes the one
/// with fewer deltas. `None`: there is none, or nothing to go.
pub(super) fn shortest(from: &Sha256Digest, to: &Sha256Digest, edges: &DeltaEdges) -> Option<Vec<Hop>> {
    // The cheapest ways of just so many deltas, from wherever they begin. One that comes back to where it was is never better
    // than the one without that round, which has fewer deltas and was looked at before.
    let mut layer = BTreeMap::from([(*to, Way { bytes: 0, hops: Vec::new() })]);
    let mut best: Option<Way> = None;
    if from == to {
        return None;
    }
    for _ in 0..MAX_HOPS {
        let mut longer: BTreeMap<Sha256Digest, Way> = BTreeMap::new();
        for (place, way) in &layer {
            for (base, delta) in edges.get(place).into_iter().flatten() {
                let Some(bytes) = way.bytes.checked_add(delta.length) else { continue };
                if longer.get(base).is_none_or(|known| bytes < known.bytes) {
                    let mut hops = vec![Hop { to: *place, bytes: delta.length }];
                    hops.extend_from_slice(&way.hops);
                    longer.insert(*base, Way { bytes, hops });
                }
            }
        }
        if let Some(way) = longer.get(from)
            && best.as_ref().is_none_or(|known| way.bytes < known.bytes)
        {
            best = Some(way.clone());
        }
        layer = longer;
    }
    best.map(|way| way.hops)
}

#[cfg(test)]
mod tests {
    use sealpost_manifests::release::Blob;

    use super::*;

    /// What is looked at, from, to, the deltas that there are, and the places of the way.
    type Row<'a> = (&'a str, &'a str, &'a str, DeltaEdges, Option<&'a [&'a str]>);

    fn named(name: &str) -> Sha256Digest {
        Sha256Digest::of(name.as_bytes())
    }

    fn edges(list: &[(&str, &str, u64)]) -> DeltaEdges {
        let mut edges = DeltaEdges::new();
        for (base, target, length) in list {
            let blob = Blob { sha256: named("blob"), length: *length };
            edges.entry(named(target)).or_default().insert(named(base), blob);
        }
        edges
    }

    #[test]
    fn the_way_of_the_fewest_bytes_is_found_and_the_shorter_one_where_two_are_equal() {
        let line = [("1", "2", 10), ("2", "3", 10), ("3", "4", 10), ("4", "5", 10), ("5", "6", 10)];
        let with = |more: &[(&'static str, &'static str, u64)]| edges(&[&line[..], more].concat());
        let table: &[Row] = &[
            ("none at all", "1", "2", edges(&[]), None),
            ("one", "1", "2", with(&[]), Some(&["2"])),
            ("not backwards", "2", "1", with(&[]), None),
            ("to itself", "2", "2", with(&[("2", "2", 1)]), None),
            ("as many as may be", "1", "5", with(&[]), Some(&["2", "3", "4", "5"])),
            ("one more than may be", "1", "6", with(&[]), None),
            ("the direct one is smaller", "1", "3", with(&[("1", "3", 19)]), Some(&["3"])),
            ("equal: fewer deltas", "1", "3", with(&[("1", "3", 20)]), Some(&["3"])),
            ("the chain is smaller", "1", "3", with(&[("1", "3", 21)]), Some(&["2", "3"])),
            ("a part is shorter", "1", "4", with(&[("2", "4", 5)]), Some(&["2", "4"])),
            (
                "too long by one, and another way",
                "1",
                "6",
                with(&[("4", "6", 900)]),
                Some(&["2", "3", "4", "6"]),
            ),
            ("a circle is not walked", "1", "3", with(&[("3", "2", 1), ("2", "1", 1)]), Some(&["2", "3"])),
            (
                "nor one that costs nothing",
                "1",
                "3",
                with(&[("3", "2", 0), ("2", "2", 0)]),
                Some(&["2", "3"]),
            ),
            ("bytes that no number holds", "1", "3", edges(&[("1", "2", u64::MAX), ("2", "3", 1)]), None),
            ("from what nobody knows", "?", "3", with(&[]), None),
        ];
        for (what, from, to, edges, expected) in table {
            let found = shortest(&named(from), &named(to), edges);
            let places = found.map(|hops| hops.iter().map(|hop| hop.to).collect::<Vec<_>>());
            let expected = expected.map(|names| names.iter().map(|name| named(name)).collect::<Vec<_>>());
            assert_eq!(places, expected, "{what}");
        }
    }

    #[test]
    fn each_hop_says_its_own_bytes() {
        let found = shortest(&named("1"), &named("3"), &edges(&[("1", "2", 7), ("2", "3", 8)])).unwrap();
        assert_eq!(found.iter().map(|hop| hop.bytes).collect::<Vec<_>>(), [7, 8]);
    }
}
