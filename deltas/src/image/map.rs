//! Where a byte of the base went: what the covers say.

use std::collections::BTreeMap;

use crate::container::layout::Cover;

/// From places of the base space to places of the target space.
#[derive(Debug)]
pub(super) struct Map {
    /// Stretches of the base without overlaps, by place: start, end, target less base.
    stretches: Vec<(u64, u64, i64)>,
}

impl Map {
    /// Of several covers that have a byte, the longest counts; of equal ones the first.
    pub(super) fn new(covers: &[Cover]) -> Self {
        let mut by_length: Vec<&Cover> = covers.iter().collect();
        by_length.sort_by_key(|cover| std::cmp::Reverse(cover.length));
        let mut taken: BTreeMap<u64, (u64, i64)> = BTreeMap::new();
        for cover in by_length {
            let shift = cover.target.wrapping_sub(cover.base).cast_signed();
            let end = cover.base.saturating_add(cover.length);
            let mut start = cover.base;
            if let Some((_, &(before, _))) = taken.range(..=start).next_back() {
                start = start.max(before);
            }
            while start < end {
                let next = taken.range(start..).next().map(|(&from, &(to, _))| (from, to));
                let stop = next.map_or(end, |(from, _)| from.min(end));
                if stop > start {
                    taken.insert(start, (stop, shift));
                }
                let Some((_, to)) = next else { break };
                start = to.max(stop);
            }
        }
        Self { stretches: taken.into_iter().map(|(start, (end, shift))| (start, end, shift)).collect() }
    }

    /// Where this byte went: with the cover that has it, else as the nearest one.
    pub(super) fn target(&self, base: u64) -> u64 {
        let next = self.stretches.partition_point(|(start, ..)| *start <= base);
        let before = next.checked_sub(1).and_then(|index| self.stretches.get(index));
        let after = self.stretches.get(next);
        let shift = match (before, after) {
            (Some((_, end, shift)), Some((start, _, next_shift))) => {
                let (back, forth) = (base.saturating_add(1).saturating_sub(*end), start.saturating_sub(base));
                if back <= forth { shift } else { next_shift }
            }
            (Some((.., shift)), None) | (None, Some((.., shift))) => shift,
            (None, None) => &0,
        };
        base.wrapping_add_signed(*shift)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cover(base: u64, target: u64, length: u64) -> Cover {
        Cover { base, target, length }
    }

    #[test]
    fn the_longest_cover_of_a_byte_says_where_it_went_and_else_the_nearest() {
        let map = Map::new(&[cover(100, 0, 50), cover(120, 1000, 100), cover(400, 380, 10)]);
        assert_eq!(map.target(110), 10);
        assert_eq!(map.target(119), 19);
        assert_eq!(map.target(120), 1000, "the longer one has it");
        assert_eq!(map.target(219), 1099);
        assert_eq!(map.target(230), 1110, "as what stands 11 bytes before");
        assert_eq!(map.target(399), 379);
        assert_eq!(map.target(4000), 3980);
        assert_eq!(map.target(0), u64::MAX - 99, "no place of the target: the caller looks");
        assert_eq!(Map::new(&[]).target(7), 7);
    }

    #[test]
    fn a_shorter_cover_around_a_longer_one_keeps_both_its_ends() {
        let map = Map::new(&[cover(10, 1010, 30), cover(0, 500, 29), cover(38, 2000, 20)]);
        assert_eq!([map.target(0), map.target(9)], [500, 509]);
        assert_eq!([map.target(10), map.target(39)], [1010, 1039]);
        assert_eq!([map.target(40), map.target(57)], [2002, 2019]);
    }
}
