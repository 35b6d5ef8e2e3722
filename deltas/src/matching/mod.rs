//! Finds how a target resembles its base: covers that cost the fewest bits.
//!
//! - `anchors`: long stretches that are the same, found in one pass.
//! - `index`: a suffix array of what is searched closely.
//! - `candidates`: where a cover could begin, and on which diagonal.
//! - `covers`: the cheapest way through the target, by what each step costs.
//!
//! A *diagonal* is a place in the base less a place in the target; a cover is a stretch on one diagonal.

mod anchors;
mod candidates;
mod costs;
mod covers;
mod index;
mod stretch;
#[cfg(test)]
mod tests;

pub(crate) use costs::Costs;
pub(crate) use stretch::Found;

use std::ops::Range;

use crate::apply::Ticker;
use crate::container::Flaw;
use crate::parallel::Crew;

use anchors::{anchors, left_over, widened};
use candidates::Candidate;
use index::Index;

/// Less than this is indexed whole.
const SMALL: usize = 8 << 20;
/// More than this never is.
const LARGE: usize = 48 << 20;
/// Between the two, texts of which more than this part has changed are.
const MANY: usize = 256;

/// More than an index can hold.
const TOO_LARGE: Flaw = Flaw::TooLarge { what: "bytes to compare at once", limit: 1 << 31 };

/// What is matched: a base, and a target behind it.
pub(crate) struct Pair<'a> {
    /// The base, followed by the target.
    pub(crate) both: &'a [u8],
    /// Length of the base.
    pub(crate) base: usize,
    /// Whether covers may be copies of what stands before them in the target.
    pub(crate) own: bool,
    /// Whether it is programs.
    pub(crate) programs: bool,
    /// Bytes that may be indexed.
    pub(crate) most_indexed: usize,
}

impl Pair<'_> {
    /// Covers by each set of costs.
    ///
    /// # Errors
    /// When it was stopped, or there is too much to index.
    pub(crate) fn covers(
        &self,
        costs: &[Costs],
        crew: &Crew,
        ticker: &mut Ticker<'_>,
    ) -> Result<Vec<Vec<Found>>, Flaw> {
        let (base, target) = self.both.split_at(self.base);
        let searched = if self.own { self.both } else { base };
        let found = if self.both.len() > SMALL { anchors(base, target) } else { Vec::new() };
        let (mut gaps, near) = left_over(&found, base.len(), target.len());
        let left: usize = gaps.iter().map(Range::len).sum();
        let index = if self.both.len() <= SMALL || self.indexes_all(left) {
            if found.is_empty() {
                gaps.clear();
                gaps.push(0..target.len());
            }
            Index::new(searched).ok_or(TOO_LARGE)?
        } else {
            Index::of_pieces(searched, &self.pieces(near, &gaps)).ok_or(TOO_LARGE)?
        };
        // No set of costs takes more than the index beside it.
        let candidates = crew.all(costs, (u64::MAX, |_: &Costs| 0), ticker, |costs, ticker| {
            candidates::candidates(&index, target, costs, self.own, &gaps, &found, ticker)
        })?;
        drop(index);
        let ways: Vec<(usize, (Vec<Candidate>, &Costs))> =
            candidates.into_iter().zip(costs).enumerate().collect();
        crew.all(&ways, (u64::MAX, |_: &_| 0), ticker, |(number, (candidates, costs)), ticker| {
            // The first one counts as progress.
            covers::covers(searched, target, candidates, costs, &mut |bytes| {
                ticker.made(if *number == 0 { bytes } else { 0 })
            })
        })
    }

    /// What is indexed where not everything is: of the base, what is near to what the anchors did not find, and that itself.
    fn pieces(&self, near: Vec<Range<usize>>, gaps: &[Range<usize>]) -> Vec<Range<usize>> {
        let bytes = |ranges: &[Range<usize>]| ranges.iter().map(Range::len).sum::<usize>();
        let mut pieces = near;
        // So much takes minutes: what the anchors found has to do.
        if bytes(&pieces) > LARGE.min(self.most_indexed) {
            pieces.clear();
        }
        if self.own {
            let own = widened(gaps, self.both.len() - self.base);
            if bytes(&pieces) + bytes(&own) <= self.most_indexed {
                pieces.extend(own.into_iter().map(|range| range.start + self.base..range.end + self.base));
            }
        }
        pieces
    }

    /// Whether everything is worth an index, when so many bytes of the target are not found by anchors.
    fn indexes_all(&self, left: usize) -> bool {
        !self.programs
            && self.both.len() <= LARGE.min(self.most_indexed)
            && left > (self.both.len() - self.base) / MANY
    }
}
