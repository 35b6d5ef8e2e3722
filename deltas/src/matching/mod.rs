//! Finds how a target resembles its base: covers that cost the fewest bits.
//!
//! - `index`: a suffix array of what is searched.
//! - `candidates`: where a cover could begin, and on which diagonal.
//! - `covers`: the cheapest way through the target, by what each step costs.
//!
//! A *diagonal* is a place in the base less a place in the target; a cover is a stretch on one diagonal.

mod candidates;
mod costs;
mod covers;
mod index;

pub(crate) use candidates::candidates;
pub(crate) use costs::Costs;
pub(crate) use covers::{Found, covers};
pub(crate) use index::Index;
