//! A suffix array, searched by binary search within the suffixes that begin with the same two bytes.

use std::borrow::Cow;
use std::ops::Range;

use libsais::SuffixArrayConstruction;

/// How many neighbors are looked at for one that stands before a limit.
const NEIGHBORS: usize = 64;
/// One of so many suffixes is a sample.
const SAMPLED: usize = 32;
/// Bytes that are compared at most: longer matches are found again behind them.
const MOST_COMPARED: usize = 1024;

/// The suffixes of what is searched, or of pieces of it, in order.
pub(super) struct Index<'a> {
    /// All of it.
    searched: &'a [u8],
    /// What is indexed: the pieces, one after the other.
    bytes: Cow<'a, [u8]>,
    /// Where a piece begins among the indexed bytes, and in what is searched.
    pieces: Vec<(usize, usize)>,
    order: Vec<i32>,
    /// For each two bytes, the first suffix that begins with them or later ones.
    first: Vec<u32>,
    /// What every 32nd suffix begins with: most of a search is made in here, near together in memory.
    samples: Vec<u64>,
}

/// A match: a place in the bytes, and its length.
pub(super) type Match = (usize, usize);

impl<'a> Index<'a> {
    /// Orders the suffixes of all; nothing if there are more than 2 GiB.
    pub(super) fn new(searched: &'a [u8]) -> Option<Self> {
        Self::of(searched, Cow::Borrowed(searched), vec![(0, 0)])
    }

    /// Orders the suffixes of these pieces.
    pub(super) fn of_pieces(searched: &'a [u8], ranges: &[Range<usize>]) -> Option<Self> {
        let mut bytes = Vec::with_capacity(ranges.iter().map(Range::len).sum());
        let mut pieces = Vec::with_capacity(ranges.len());
        for range in ranges {
            pieces.push((bytes.len(), range.start));
            bytes.extend_from_slice(&searched[range.clone()]);
        }
        Self::of(searched, Cow::Owned(bytes), pieces)
    }

    fn of(searched: &'a [u8], bytes: Cow<'a, [u8]>, pieces: Vec<(usize, usize)>) -> Option<Self> {
        i32::try_from(bytes.len()).ok()?;
        let (order, first, samples) = sorted(&bytes)?;
        Some(Self { searched, bytes, pieces, order, first, samples })
    }

    /// The place in what is searched of an indexed byte.
    fn searched_place(&self, place: usize) -> usize {
        let next = self.pieces.partition_point(|(start, _)| *start <= place);
        let piece = next.checked_sub(1).and_then(|piece| self.pieces.get(piece));
        piece.map_or(place, |(start, searched)| place - start + searched)
    }

    /// The ranks between which `wanted` belongs, from the samples.
    fn narrow(&self, wanted: &[u8], begin: usize, end: usize) -> (usize, usize) {
        let key = key(wanted);
        let (from, to) = (begin.div_ceil(SAMPLED), end.div_ceil(SAMPLED));
        let samples = &self.samples[from..to.max(from)];
        let low = from + samples.partition_point(|sample| *sample < key);
        let high = from + samples.partition_point(|sample| *sample <= key);
        let before = low.checked_sub(1).map_or(begin, |sample| sample * SAMPLED);
        (before.max(begin), (high * SAMPLED).min(end))
    }

    /// What is searched.
    pub(super) const fn searched(&self) -> &'a [u8] {
        self.searched
    }

    fn place(&self, rank: usize) -> usize {
        usize::try_from(self.order[rank]).unwrap_or(0)
    }

    /// The longest match of what `wanted` begins with, among places that are usable.
    pub(super) fn longest(&self, wanted: &[u8], usable: &[Range<usize>; 2]) -> Option<Match> {
        // Own places lead to themselves, and would be compared to their very end.
        let wanted = wanted.get(..MOST_COMPARED).unwrap_or(wanted);
        let &[one, two, ..] = wanted else { return None };
        let key = usize::from(u16::from_be_bytes([one, two]));
        let (begin, end) = (self.first[key] as usize, self.first[key + 1] as usize);
        let (mut low, mut high) = self.narrow(wanted, begin, end);
        // How much of `wanted` the suffixes at both ends share with it: those between share as much as the worse one.
        let (mut low_length, mut high_length) = (2, 2);
        while low < high {
            let middle = low.midpoint(high);
            let place = self.place(middle);
            let known = low_length.min(high_length).min(self.bytes.len() - place);
            let length = known + common(&self.bytes[place + known..], &wanted[known..]);
            let suffix_is_less = length < wanted.len()
                && self.bytes.get(place + length).is_none_or(|byte| *byte < wanted[length]);
            if suffix_is_less {
                (low, low_length) = (middle + 1, length);
            } else {
                (high, high_length) = (middle, length);
            }
        }
        let match_at = |rank: usize| {
            let place = self.searched_place(self.place(rank));
            usable
                .iter()
                .any(|range| range.contains(&place))
                .then(|| (place, common(&self.searched[place..], wanted)))
        };
        let before = (begin..low).rev().take(NEIGHBORS).find_map(match_at);
        let behind = (low..end).take(NEIGHBORS).find_map(match_at);
        before.into_iter().chain(behind).max_by_key(|(_, length)| *length)
    }
}

/// The order of the suffixes, where each two bytes begin in it, and its samples.
fn sorted(text: &[u8]) -> Option<(Vec<i32>, Vec<u32>, Vec<u64>)> {
    let order = SuffixArrayConstruction::for_text(text).in_owned_buffer().single_threaded().run();
    let order = order.ok()?.into_vec();
    let mut first = vec![0u32; 65_537];
    let mut after = text.iter().skip(1).chain([&0]);
    for byte in text {
        let next = after.next().copied().unwrap_or(0);
        first[usize::from(u16::from_be_bytes([*byte, next])) + 1] += 1;
    }
    for key in 0..65_536 {
        first[key + 1] += first[key];
    }
    let begins = |place: &i32| key(&text[usize::try_from(*place).unwrap_or(0)..]);
    let samples: Vec<u64> = order.iter().step_by(SAMPLED).map(begins).collect();
    Some((order, first, samples))
}

/// The first eight bytes, in the order of suffixes.
fn key(bytes: &[u8]) -> u64 {
    bytes.first_chunk().map_or_else(
        || bytes.iter().zip([56, 48, 40, 32, 24, 16, 8]).map(|(byte, shift)| u64::from(*byte) << shift).sum(),
        |chunk| u64::from_be_bytes(*chunk),
    )
}

/// Length of what both begin with.
pub(super) fn common(one: &[u8], other: &[u8]) -> usize {
    let mut length = 0;
    let mut words = one.chunks_exact(8).zip(other.chunks_exact(8));
    for (a, b) in &mut words {
        let (a, b): ([u8; 8], [u8; 8]) = (a.try_into().unwrap_or_default(), b.try_into().unwrap_or_default());
        let differs = u64::from_le_bytes(a) ^ u64::from_le_bytes(b);
        if differs != 0 {
            return length + (differs.trailing_zeros() / 8) as usize;
        }
        length += 8;
    }
    length + one[length..].iter().zip(&other[length..]).take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_match_is_found_and_only_before_the_limit() {
        let bytes = b"abracadabra, abracadabri";
        let index = Index::new(bytes).unwrap();
        let all = [0..bytes.len(), 0..0];
        assert_eq!(index.longest(b"abracadabri!", &all), Some((13, 11)));
        assert_eq!(index.longest(b"abracadabri!", &[0..13, 0..0]), Some((0, 10)));
        assert_eq!(index.longest(b"adab", &all).map(|(_, length)| length), Some(4));
        assert_eq!(index.longest(b"zz", &all), None);
        assert_eq!(index.longest(b"a", &all), None);
    }

    #[test]
    fn what_two_begin_with_is_counted_byte_by_byte() {
        let one: Vec<u8> = (0..100).collect();
        for length in 0..100 {
            let mut other = one.clone();
            other[length] = 200;
            assert_eq!(common(&one, &other), length);
            assert_eq!(common(&one[..length], &one), length);
        }
    }
}
