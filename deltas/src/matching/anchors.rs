//! Long stretches that are the same in both, found in one pass: blocks of the base by a rolling hash. Of two trees that are
//! nearly the same, only what is left needs a closer look.

use std::ops::Range;

use super::index::common;
use super::stretch::Found;

/// Length of the blocks of the base.
const BLOCK: usize = 64;
/// Equal bytes on the same diagonal that go on with an anchor behind a small change.
const GOES_ON: usize = 32;
/// How many bytes such a change has at most.
const SMALL_CHANGE: usize = 32;
/// Factor of the rolling hash.
const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;

/// Stretches of at least 64 bytes that are the same, by place in the target, without overlaps there.
pub(super) fn anchors(base: &[u8], target: &[u8]) -> Vec<Found> {
    let blocks = Blocks::new(base);
    let leaving = (1..BLOCK).fold(FACTOR, |power, _| power.wrapping_mul(FACTOR));
    let mut found: Vec<Found> = Vec::new();
    let mut at = 0;
    let mut hash = None;
    while let Some(window) = target.get(at..at + BLOCK) {
        let now = hash.unwrap_or_else(|| hash_of(window));
        let hit = blocks.place(now, window).and_then(|place| longest(base, target, at, place, found.last()));
        let Some(anchor) = hit else {
            let Some(entering) = target.get(at + BLOCK) else { break };
            let left = leaving.wrapping_mul(window[0].into());
            hash = Some(now.wrapping_sub(left).wrapping_add(u64::from(*entering)).wrapping_mul(FACTOR));
            at += 1;
            continue;
        };
        found.push(anchor);
        while let Some(next) = going_on(base, target, found.last()) {
            found.push(next);
        }
        at = found.last().map_or(at, |last| last.target + last.length);
        hash = None;
    }
    found
}

/// `b0 * F^64 + b1 * F^63 + ... + b63 * F`.
fn hash_of(window: &[u8]) -> u64 {
    window.iter().fold(0u64, |hash, byte| hash.wrapping_add(u64::from(*byte)).wrapping_mul(FACTOR))
}

/// The match at a place of the base, or the one on the diagonal of the anchor before if that is as long; moved back to where it
/// begins.
fn longest(base: &[u8], target: &[u8], at: usize, place: usize, before: Option<&Found>) -> Option<Found> {
    let wanted = &target[at..];
    let mut best = (common(&base[place..], wanted), place);
    let (mut from, mut diagonal) = (0, None);
    if let Some(before) = before {
        from = before.target + before.length;
        diagonal = (before.base + before.length + (at - from)).into();
    }
    if let Some(expected) = diagonal.filter(|expected| *expected < base.len()) {
        let length = common(&base[expected..], wanted);
        if length >= best.0 {
            best = (length, expected);
        }
    }
    let (length, place) = best;
    let back =
        target[from..at].iter().rev().zip(base[..place].iter().rev()).take_while(|(a, b)| a == b).count();
    (length >= BLOCK).then(|| Found { base: place - back, target: at - back, length: length + back })
}

/// The next anchor on the same diagonal, if only a small change is between them.
fn going_on(base: &[u8], target: &[u8], before: Option<&Found>) -> Option<Found> {
    let before = before?;
    let (of_base, of_target) = (before.base + before.length, before.target + before.length);
    (1..=SMALL_CHANGE).find_map(|change| {
        let (base_at, target_at) = (of_base + change, of_target + change);
        let length = common(base.get(base_at..)?, target.get(target_at..)?);
        (length >= GOES_ON).then_some(Found { base: base_at, target: target_at, length })
    })
}

/// The blocks of the base, by hash; of several with the same hash the first.
struct Blocks<'a> {
    base: &'a [u8],
    /// Number of a block, plus 1.
    table: Vec<u32>,
    shift: u32,
}

impl<'a> Blocks<'a> {
    fn new(base: &'a [u8]) -> Self {
        let count = base.len() / BLOCK;
        let bits = (2 * count).max(2).next_power_of_two().ilog2();
        let mut blocks = Self { base, table: vec![0; 1 << bits], shift: 64 - bits };
        for (number, block) in base.chunks_exact(BLOCK).enumerate() {
            let slot = blocks.slot(hash_of(block));
            let entry = &mut blocks.table[slot];
            if *entry == 0 {
                *entry = u32::try_from(number + 1).unwrap_or(0);
            }
        }
        blocks
    }

    fn slot(&self, hash: u64) -> usize {
        // The low bits of the rolling hash are weak.
        usize::try_from((hash ^ hash >> 29).wrapping_mul(FACTOR) >> self.shift).unwrap_or(0)
    }

    /// Where the base has this window, if its table knows.
    fn place(&self, hash: u64, window: &[u8]) -> Option<usize> {
        let number = (self.table[self.slot(hash)] as usize).checked_sub(1)?;
        let place = number * BLOCK;
        (&self.base[place..place + BLOCK] == window).then_some(place)
    }
}

/// How much of the base before a change, and behind it, is looked at with it: much where there are few changes.
const AROUND: Range<usize> = 1024..64 * 1024;
/// And how much of the base in all, for that.
const NEAR: usize = 4 << 20;
/// Bytes of the target around a change that are looked at.
const MARGIN: usize = 64;

/// What anchors leave: the parts of the target and of the base that are worth a closer look, by place, without overlaps.
pub(super) fn left_over(
    anchors: &[Found],
    base: usize,
    target: usize,
) -> (Vec<Range<usize>>, Vec<Range<usize>>) {
    let ends = Found { base, target, length: 0 };
    let mut before = Found { base: 0, target: 0, length: 0 };
    let (mut gaps, mut near) = (Vec::new(), Vec::new());
    let around = (NEAR / 4 / (anchors.len() + 1)).clamp(AROUND.start, AROUND.end);
    for next in anchors.iter().copied().chain([ends]) {
        let (from, to) = (before.target + before.length, next.target);
        if from < to {
            gaps.push(from..to);
            for place in [before.base + before.length, next.base] {
                near.push(place.saturating_sub(around)..(place + around).min(base));
            }
        }
        before = next;
    }
    let mut taken: Vec<(usize, usize)> =
        anchors.iter().map(|found| (found.base, found.base + found.length)).collect();
    taken.sort_unstable();
    let mut reached = 0;
    for (start, end) in taken.into_iter().chain([(base, base)]) {
        if start > reached {
            near.push(reached.saturating_sub(MARGIN)..(start + MARGIN).min(base));
        }
        reached = reached.max(end);
    }
    (merged(gaps), merged(near))
}

/// The same places, by place and without overlaps.
pub(super) fn merged(mut ranges: Vec<Range<usize>>) -> Vec<Range<usize>> {
    ranges.sort_unstable_by_key(|range| range.start);
    let mut all: Vec<Range<usize>> = Vec::new();
    for range in ranges {
        match all.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => all.push(range),
        }
    }
    all
}

/// Ranges with some bytes more on both sides.
pub(super) fn widened(ranges: &[Range<usize>], length: usize) -> Vec<Range<usize>> {
    let wide = |range: &Range<usize>| range.start.saturating_sub(MARGIN)..(range.end + MARGIN).min(length);
    merged(ranges.iter().map(wide).collect())
}
