//! The covers of a group: what is read into memory, and in which pieces.

use std::cmp::Reverse;
use std::io;

use super::images::{Hints, Pairing, images, label_all, read, read_behind};
use crate::apply::Ticker;
use crate::container::layout::{Cover, Image};
use crate::container::{Flaw, MAX_COVERS, MAX_OWN_BYTES};
use crate::matching::{Costs, Found, Pair};
use crate::read_at::{ReadAt, Space};

/// Of the memory, what base and target may take themselves; the rest is for what is known of them.
pub(crate) const PART_OF_MEMORY: u64 = 3;
/// Of that, a piece of the target, where they do not fit: the rest is the part of the base that it is compared with.
const PART_OF_PIECE: u64 = 4;

/// Covers, and whether some are copies of the target.
pub(super) type Covers = (bool, Vec<Cover>);

/// The base, and the target behind it.
pub(super) struct Both<'a> {
    pub(super) base: &'a Space<'a>,
    pub(super) target: &'a Space<'a>,
}

impl Both<'_> {
    /// The images, and the covers by one set of costs or several.
    pub(super) fn covers(
        &self,
        hints: &Hints<'_>,
        ticker: &mut Ticker<'_>,
    ) -> Result<(Vec<Image>, Vec<Covers>), Flaw> {
        let most = hints.memory_bytes / PART_OF_MEMORY;
        if self.length() > most {
            return Ok((Vec::new(), vec![(false, trimmed(self.in_pieces(most, hints, ticker)?))]));
        }
        let found = images(self.base, self.target, &hints.programs).map_err(Flaw::Read)?;
        let ways = self.at_once(&found, hints, ticker)?;
        Ok((found.into_iter().map(|image| image.image).collect(), ways))
    }

    fn at_once(
        &self,
        images: &[Pairing],
        hints: &Hints<'_>,
        ticker: &mut Ticker<'_>,
    ) -> Result<Vec<Covers>, Flaw> {
        let mut both = read(self, (0, self.length())).map_err(Flaw::Read)?;
        let base = usize::try_from(self.base.length()).map_err(|_| Flaw::Damaged)?;
        let (old, new) = both.split_at_mut(base);
        let programs = !images.is_empty();
        let costs = if programs {
            label_all(images, old, new).map_err(Flaw::Read)?;
            vec![Costs::of_programs(new.len())]
        } else {
            vec![Costs::of_data(), Costs::of_text()]
        };
        let pair = Pair { both: &both, base, own: !programs, programs, most_indexed: hints.most_indexed() };
        let found = pair.covers(&costs, hints.crew, ticker)?;
        let ways = found.iter().map(|found| {
            let covers = trimmed(split(spread(found, 0, 0), self.base.length()));
            // A group without own copies needs no history when it is applied.
            (covers.iter().any(|cover| cover.base >= self.base.length()), covers)
        });
        Ok(ways.collect())
    }

    /// Piece by piece of the target, each with what stands around the same place of the base.
    fn in_pieces(&self, most: u64, hints: &Hints<'_>, ticker: &mut Ticker<'_>) -> Result<Vec<Cover>, Flaw> {
        let (base, target) = (self.base.length(), self.target.length());
        let piece = (most / PART_OF_PIECE).max(1);
        let around = most - piece;
        let mut covers = Vec::new();
        let mut at = 0;
        while at < target {
            let length = piece.min(target - at);
            // The same share of the way through.
            let middle = u128::from(at + length / 2) * u128::from(base) / u128::from(target);
            let middle = u64::try_from(middle).unwrap_or(base);
            let from = middle.saturating_sub(around / 2).min(base.saturating_sub(around));
            let (old, new) = ((from, around.min(base - from)), (at, length));
            let mut both = Vec::with_capacity(usize::try_from(old.1 + new.1).unwrap_or(0));
            read_behind(self.base, old, &mut both).map_err(Flaw::Read)?;
            let old_length = both.len();
            read_behind(self.target, new, &mut both).map_err(Flaw::Read)?;
            let pair = Pair {
                both: &both,
                base: old_length,
                own: false,
                programs: false,
                most_indexed: hints.most_indexed(),
            };
            for found in pair.covers(&[Costs::of_data()], hints.crew, ticker)? {
                covers.extend(spread(&found, from, at));
            }
            // Those of all pieces together would take more memory than there is.
            if covers.len() as u64 > 2 * MAX_COVERS {
                covers = trimmed(covers);
            }
            at += length;
        }
        Ok(covers)
    }
}

/// Found stretches as covers of whole spaces.
fn spread(found: &[Found], base: u64, target: u64) -> Vec<Cover> {
    let cover = |found: &Found| Cover {
        base: base + found.base as u64,
        target: target + found.target as u64,
        length: found.length as u64,
    };
    found.iter().map(cover).collect()
}

/// Covers that lie in the base or in the target: where one goes on from the base's end into the target, there are two. What
/// would have to be copied from further back than a reader keeps becomes literals.
fn split(covers: Vec<Cover>, border: u64) -> Vec<Cover> {
    let parts = |cover: Cover| {
        let first = border.saturating_sub(cover.base).min(cover.length);
        let rest =
            Cover { base: cover.base + first, target: cover.target + first, length: cover.length - first };
        let is_kept = |part: &Cover| {
            part.base < border || part.target.saturating_sub(part.base - border) <= MAX_OWN_BYTES
        };
        [Cover { length: first, ..cover }, rest]
            .into_iter()
            .filter(move |part| part.length > 0 && is_kept(part))
    };
    covers.into_iter().flat_map(parts).collect()
}

/// The longest of too many covers: what the others have becomes literals.
fn trimmed(mut covers: Vec<Cover>) -> Vec<Cover> {
    let most = usize::try_from(MAX_COVERS).unwrap_or(usize::MAX);
    if covers.len() > most {
        covers.sort_by_key(|cover| Reverse(cover.length));
        covers.truncate(most);
        covers.sort_by_key(|cover| cover.target);
    }
    covers
}

impl ReadAt for Both<'_> {
    fn length(&self) -> u64 {
        self.base.length() + self.target.length()
    }

    fn read_exact_at(&self, at: u64, buffer: &mut [u8]) -> io::Result<()> {
        let before = self.base.length().saturating_sub(at).min(buffer.len() as u64);
        let (of_base, of_target) = buffer.split_at_mut(usize::try_from(before).unwrap_or(0));
        if !of_base.is_empty() {
            self.base.read_exact_at(at, of_base)?;
        }
        if !of_target.is_empty() {
            self.target.read_exact_at((at + before) - self.base.length(), of_target)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apply::Progress;
    use crate::parallel::Crew;
    use crate::spool::Scratch;
    use crate::testing::noise;

    #[test]
    fn a_cover_that_goes_on_from_the_base_into_the_target_is_two() {
        let cover = |base, target, length| Cover { base, target, length };
        let covers = vec![cover(0, 0, 10), cover(95, 10, 20), cover(100, 30, 5), cover(90, 35, 10)];
        let expected =
            vec![cover(0, 0, 10), cover(95, 10, 5), cover(100, 15, 15), cover(100, 30, 5), cover(90, 35, 10)];
        assert_eq!(split(covers, 100), expected);
        let far = MAX_OWN_BYTES + 100;
        assert_eq!(split(vec![cover(far - 5, far - 4, 10)], far), [cover(far - 5, far - 4, 5)]);
    }

    #[test]
    fn of_too_many_covers_the_longest_stay_in_their_order() {
        let cover = |number: u64| Cover { base: 0, target: number * 10, length: 1 + number % 7 };
        let all: Vec<Cover> = (0..MAX_COVERS + 1000).map(cover).collect();
        let trimmed = trimmed(all);
        assert_eq!(trimmed.len() as u64, MAX_COVERS);
        assert!(trimmed.is_sorted_by_key(|cover| cover.target));
        let ones = trimmed.iter().filter(|cover| cover.length == 1).count() as u64;
        assert_eq!(ones, (MAX_COVERS + 1000).div_ceil(7) - 1000);
    }

    #[test]
    fn what_does_not_fit_into_memory_is_compared_in_pieces() {
        let base = noise(3_000_000, 1);
        let mut target = base.clone();
        target.splice(1_000_000..1_000_000, noise(1000, 2));
        target.truncate(2_900_000);
        let both = Both { base: &base, target: &target };
        let hints = Hints {
            programs: Vec::new(),
            memory_bytes: 6_000_000,
            crew: &Crew::new(1),
            scratch: &Scratch::default(),
        };
        let mut asked = |_: Progress| true;
        let (images, ways) = both.covers(&hints, &mut Ticker::new(&mut asked, 1)).unwrap();
        assert!(images.is_empty());
        let [(false, covers)] = ways.as_slice() else { panic!("{ways:?}") };
        assert!(covers.len() > 4, "one or more for each piece");
        let covered: u64 = covers.iter().map(|cover| cover.length).sum();
        assert!(covered >= 2_898_000, "{covered}");
        for cover in covers {
            let [from, to, length] =
                [cover.base, cover.target, cover.length].map(|number| usize::try_from(number).unwrap());
            let equal =
                base[from..from + length].iter().zip(&target[to..to + length]).filter(|(a, b)| a == b);
            assert!(equal.count() * 10 > length * 9);
        }
    }
}
