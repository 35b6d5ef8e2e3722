//! Where a cover could begin. Too many cost time, too few cost bytes: what no candidate names, no cover uses.

use std::ops::Range;

use super::costs::Costs;
use super::index::{Index, common};
use super::stretch::Found;
use crate::apply::Ticker;
use crate::container::Flaw;

/// A diagonal, from a place of the target on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Candidate {
    /// Place in the target.
    pub(super) target: u32,
    /// Place in the base.
    pub(super) base: u32,
}

/// A match of at least so many bytes on a diagonal that was used lately is taken without a search.
const SURE: usize = 64;
/// Bytes before the end of a long match at which the next search is made.
const BEFORE_END: usize = 8;
/// Of so many bytes, so many must agree for a diagonal to be followed without a search; and how far.
const FOLLOWED: usize = 32;
const FOLLOWED_EQUAL: usize = 27;
const FOLLOWED_STEP: usize = 4;
/// Bytes after which the caller is asked whether to go on.
const ASK_EVERY: usize = 64 << 10;
/// Misses in a row after which more and more places are passed over.
const PATIENCE: usize = 256;
/// How far back own copies reach.
const MOST_OWN: usize = 8 << 20;
/// Diagonals that are remembered, so that no candidate is moved back over the one before.
const LATELY: usize = 1 << 12;
/// How far a candidate is moved back over bytes that mostly agree.
const MOST_BACK: usize = 4096;

/// The candidates for parts of a target, by place. Where `own`, what is searched is the base followed by the target, of which
/// only what stands before a place can be used there. Anchors are candidates as they are.
pub(super) fn candidates(
    index: &Index<'_>,
    target: &[u8],
    costs: &Costs,
    own: bool,
    ranges: &[Range<usize>],
    anchors: &[Found],
    ticker: &mut Ticker<'_>,
) -> Result<Vec<Candidate>, Flaw> {
    let searched = index.searched();
    let base = if own { searched.len() - target.len() } else { searched.len() };
    let mut search = Search {
        index,
        searched,
        base,
        target,
        costs,
        all: Vec::new(),
        recent: [0; 4],
        next: 0,
        lately: vec![(0, 0); LATELY],
    };
    for anchor in anchors {
        search.push(anchor.target, anchor.base);
    }
    for range in ranges {
        search.range(range, ticker)?;
    }
    search.all.sort_by_key(|candidate| candidate.target);
    Ok(search.all)
}

struct Search<'a> {
    index: &'a Index<'a>,
    searched: &'a [u8],
    /// Length of the base.
    base: usize,
    target: &'a [u8],
    costs: &'a Costs,
    all: Vec<Candidate>,
    /// Diagonals that were found last.
    recent: [isize; 4],
    next: usize,
    /// Diagonals that were added, and where in the target last.
    lately: Vec<(isize, usize)>,
}

impl Search<'_> {
    /// Searches a part of the target.
    fn range(&mut self, range: &Range<usize>, ticker: &mut Ticker<'_>) -> Result<(), Flaw> {
        let (mut at, mut reach, mut misses) = (range.start, 0, 0);
        let mut asked = at;
        while at < range.end {
            if at - asked >= ASK_EVERY {
                asked = at;
                ticker.made(0)?;
            }
            let (known, diagonal) = self.longest_known(at);
            if known >= SURE {
                self.add_sure(at, diagonal);
                at += known;
                continue;
            }
            if self.costs.follow && self.follows(at, diagonal) {
                at += FOLLOWED_STEP;
                continue;
            }
            let longest = self.index.longest(&self.target[at..], &self.usable(at));
            let Some((place, length)) =
                longest.filter(|(_, length)| *length >= self.costs.shortest && *length > known)
            else {
                misses += 1;
                at += self.step_of_miss(known, misses);
                continue;
            };
            misses = 0;
            // What ends with an earlier match is a part of it: the earlier one has it at no further price.
            if at + length > reach {
                reach = at + length;
                self.add(at, place, length);
            }
            if length >= 24 || length >= known + 8 {
                self.remember(at, place);
            }
            at += match length {
                32.. => length - BEFORE_END,
                _ if self.costs.fast => 1 + length / 8,
                _ => 1,
            };
        }
        Ok(())
    }

    /// How far to go on where nothing new was found. Where nothing is found for long, nothing is to be found: such bytes are
    /// packed already, or encrypted.
    fn step_of_miss(&self, known: usize, misses: usize) -> usize {
        if known >= 16 { known - BEFORE_END } else { 1 + usize::from(self.costs.fast) + misses / PATIENCE }
    }

    /// Whether a place can be used: it is not the one that is being made, or beyond.
    fn is_usable(&self, at: usize, place: usize) -> bool {
        place < self.searched.len() && self.usable(at).iter().any(|range| range.contains(&place))
    }

    /// What can be used at a place: the base, and what has been made of the target and is still kept there.
    fn usable(&self, at: usize) -> [Range<usize>; 2] {
        let made = self.base + at;
        [0..self.base, made.saturating_sub(MOST_OWN).max(self.base)..made]
    }

    /// The longest match at this place on a recent diagonal.
    fn longest_known(&self, at: usize) -> (usize, isize) {
        let length = |diagonal: isize| {
            let place = at.checked_add_signed(diagonal).filter(|place| self.is_usable(at, *place));
            place.map_or(0, |place| common(&self.target[at..], &self.searched[place..]))
        };
        let mut best = (0, 0);
        for diagonal in self.recent {
            let length = length(diagonal);
            if length > best.0 {
                best = (length, diagonal);
            }
        }
        best
    }

    /// Whether a recent diagonal goes on well enough here: a better one will be found soon, and moved back to where it begins.
    fn follows(&self, at: usize, diagonal: isize) -> bool {
        let Some(place) = at.checked_add_signed(diagonal) else { return false };
        let (Some(target), Some(base)) =
            (self.target.get(at..at + FOLLOWED), self.searched.get(place..place + FOLLOWED))
        else {
            return false;
        };
        target.iter().zip(base).filter(|(a, b)| a == b).count() >= FOLLOWED_EQUAL
    }

    fn remember(&mut self, at: usize, place: usize) {
        self.recent[self.next % 4] = place.cast_signed() - at.cast_signed();
        self.next += 1;
    }

    /// Adds a long match on a known diagonal, moved back over what is equal.
    fn add_sure(&mut self, at: usize, diagonal: isize) {
        let place = at.saturating_add_signed(diagonal);
        let (before, of_base) = (&self.target[..at], &self.searched[..place]);
        let equal =
            before.iter().rev().zip(of_base.iter().rev()).take(SURE).take_while(|(a, b)| a == b).count();
        self.push(at - equal, place - equal);
    }

    /// Adds a match, moved back over bytes of which most agree.
    fn add(&mut self, at: usize, place: usize, length: usize) {
        let (before, of_base) = (&self.target[..at], &self.searched[..place]);
        let most = self.since_last(at, place);
        let (mut best, mut score, mut top) = (0, 0i32, 0i32);
        for (back, (a, b)) in before.iter().rev().zip(of_base.iter().rev()).take(most).enumerate() {
            score += if a == b { 1 } else { -3 };
            if score > top {
                (top, best) = (score, back + 1);
            }
            if score < top - 16 {
                break;
            }
        }
        if !self.is_spared(at - best, best + length) {
            self.push(at - best, place - best);
        }
    }

    /// Whether a recent diagonal is so good in this stretch that a jump to another would cost more than it spares.
    fn is_spared(&self, at: usize, length: usize) -> bool {
        let target = &self.target[at..at + length];
        length <= FOLLOWED
            && self.recent.iter().any(|diagonal| {
                let place = at.checked_add_signed(*diagonal);
                let base = place.and_then(|place| self.searched.get(place..place + target.len()));
                base.is_some_and(|base| {
                    target.iter().zip(base).filter(|(a, b)| a != b).count() < self.costs.spared
                })
            })
    }

    /// How far back a candidate of this diagonal is of use.
    fn since_last(&mut self, at: usize, place: usize) -> usize {
        let diagonal = place.cast_signed() - at.cast_signed();
        let last = &mut self.lately[diagonal.cast_unsigned() % LATELY];
        let most = if last.0 == diagonal { (at - last.1).min(MOST_BACK) } else { MOST_BACK };
        *last = (diagonal, at);
        most
    }

    fn push(&mut self, target: usize, base: usize) {
        // Both lie in what an index can hold.
        if let (Ok(target), Ok(base)) = (u32::try_from(target), u32::try_from(base)) {
            self.all.push(Candidate { target, base });
        }
    }
}
