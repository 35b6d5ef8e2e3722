//! Reads the covers of a group.
//!
//! Invariant: covers lie in order in the target space, do not overlap there, have at least one byte each, and point into the
//! base space, or, with own copies, at what is made before the byte that is taken from there.

use super::numbers::Numbers;
use super::unpack::Unpacker;
use crate::container::chunks::Source;
use crate::container::layout::{Cover, Packed, STREAMS};
use crate::container::stream::{GAPS, LENGTHS, SEEKS};
use crate::container::{Flaw, MAX_OWN_BYTES, STREAM_CAPS, varint};

/// Diagonals that are kept.
const KEPT: usize = 8;
/// Seeks below are numbers of kept diagonals.
const KEPT_SEEKS: u64 = 8;

/// The spaces of a group.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spaces {
    pub(crate) base: u64,
    pub(crate) target: u64,
    /// Whether the target space follows the base space.
    pub(crate) own_copies: bool,
}

/// Reads `count` covers out of the first three streams.
pub(crate) fn read_covers(
    source: &mut dyn Source,
    streams: &[(u64, Packed); STREAMS],
    count: u64,
    spaces: Spaces,
) -> Result<Vec<Cover>, Flaw> {
    let count = usize::try_from(count).map_err(|_| Flaw::Damaged)?;
    let mut covers: Vec<Cover> = Vec::new();
    let mut gaps = numbers(streams, GAPS)?;
    for _ in 0..count {
        covers.push(Cover { base: 0, target: gaps.next(source)?, length: 0 });
    }
    gaps.finish(source)?;
    let mut lengths = numbers(streams, LENGTHS)?;
    let mut end = 0u64;
    for cover in &mut covers {
        cover.length = lengths.next(source)?;
        cover.target = end.checked_add(cover.target).ok_or(Flaw::Damaged)?;
        end = cover.target.checked_add(cover.length).ok_or(Flaw::Damaged)?;
        if cover.length == 0 || end > spaces.target {
            return Err(Flaw::Damaged);
        }
    }
    lengths.finish(source)?;
    let mut seeks = numbers(streams, SEEKS)?;
    let mut diagonals = Diagonals { kept: [0; KEPT] };
    for cover in &mut covers {
        let diagonal = diagonals.seek(seeks.next(source)?)?;
        // Modulo 2^64, as diagonals may be negative; what is wrong lies beyond the space.
        cover.base = cover.target.wrapping_add_signed(diagonal);
        if !spaces.has(cover) {
            return Err(Flaw::Damaged);
        }
    }
    seeks.finish(source)?;
    Ok(covers)
}

fn numbers(streams: &[(u64, Packed); STREAMS], number: usize) -> Result<Numbers, Flaw> {
    let (length, packed) = streams.get(number).copied().ok_or(Flaw::Damaged)?;
    let cap = STREAM_CAPS.get(number).copied().ok_or(Flaw::Damaged)?;
    Ok(Numbers::new(Unpacker::new(number, packed, length, cap)?))
}

impl Spaces {
    fn has(&self, cover: &Cover) -> bool {
        let Some(end) = cover.base.checked_add(cover.length) else { return false };
        let own = cover.base.checked_sub(self.base);
        let is_kept = |own: u64| own < cover.target && cover.target.saturating_sub(own) <= MAX_OWN_BYTES;
        end <= self.base || (self.own_copies && own.is_some_and(is_kept))
    }
}

/// The last diagonals, the latest first.
struct Diagonals {
    kept: [i64; KEPT],
}

impl Diagonals {
    fn seek(&mut self, seek: u64) -> Result<i64, Flaw> {
        let [first, ..] = self.kept;
        let (place, diagonal) = match seek.checked_sub(KEPT_SEEKS) {
            None => {
                let place = usize::try_from(seek).map_err(|_| Flaw::Damaged)?;
                (place, self.kept.get(place).copied().ok_or(Flaw::Damaged)?)
            }
            Some(distance) => {
                let diagonal = first.checked_add(varint::signed(distance)).ok_or(Flaw::Damaged)?;
                (KEPT.saturating_sub(1), diagonal)
            }
        };
        let moved = self.kept.get_mut(..=place).ok_or(Flaw::Damaged)?;
        moved.rotate_right(1);
        if let Some(front) = moved.first_mut() {
            *front = diagonal;
        }
        Ok(diagonal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn diagonals_move_to_the_front_and_the_last_one_is_dropped() {
        let mut diagonals = Diagonals { kept: [0; KEPT] };
        let far = |distance| KEPT_SEEKS + varint::unsigned(distance);
        assert_eq!(diagonals.seek(far(5)).unwrap(), 5);
        assert_eq!(diagonals.seek(far(-7)).unwrap(), -2);
        assert_eq!(diagonals.kept, [-2, 5, 0, 0, 0, 0, 0, 0]);
        assert_eq!(diagonals.seek(1).unwrap(), 5);
        assert_eq!(diagonals.kept, [5, -2, 0, 0, 0, 0, 0, 0]);
        assert_eq!(diagonals.seek(7).unwrap(), 0);
        assert_eq!(diagonals.kept, [0, 5, -2, 0, 0, 0, 0, 0]);
        for step in 1..=7 {
            diagonals.seek(far(step)).unwrap();
        }
        assert_eq!(diagonals.kept, [28, 21, 15, 10, 6, 3, 1, 0]);
        assert_eq!(diagonals.seek(0).unwrap(), 28);
    }

    #[test]
    fn diagonals_beyond_64_bits_are_refused() {
        let mut diagonals = Diagonals { kept: [i64::MAX; KEPT] };
        assert!(diagonals.seek(KEPT_SEEKS + varint::unsigned(1)).is_err());
    }

    #[test]
    fn covers_lie_in_the_base_space_or_point_at_what_is_made() {
        let spaces = |own_copies| Spaces { base: 100, target: 50, own_copies };
        let cover = |base, length| Cover { base, target: 10, length };
        for own in [false, true] {
            assert!(spaces(own).has(&cover(0, 100)));
            assert!(!spaces(own).has(&cover(1, 100)), "across the border");
            assert!(!spaces(own).has(&cover(u64::MAX, 2)));
            assert!(!spaces(own).has(&cover(110, 1)), "itself");
            assert!(!spaces(own).has(&cover(111, 1)), "forward");
            assert_eq!(spaces(own).has(&cover(100, 10)), own);
            assert_eq!(spaces(own).has(&cover(109, 40)), own, "a repetition");
        }
    }
}
