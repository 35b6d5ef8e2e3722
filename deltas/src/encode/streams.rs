//! The seven streams of a group of covers.

use std::io;

use crate::container::layout::{Cover, STREAMS};
use crate::container::varint;
use crate::image::Predictor;
use crate::read_at::ReadAt;
use crate::spool::{Scratch, Spool};

/// Kept diagonals.
const KEPT: usize = 8;
/// Bytes that are corrected and compared at a time.
const WINDOW: usize = 64 * 1024;

/// Streams before they are packed: gaps, lengths, seeks, equal runs, unequal runs, values, literals.
pub(super) type Raw = [Spool; STREAMS];

/// Writes the streams. `base` is the base space, followed by the target space where covers are copies of it.
pub(super) fn streams(
    covers: &[Cover],
    base: &dyn ReadAt,
    target: &dyn ReadAt,
    predictor: &Predictor,
    scratch: &Scratch,
) -> io::Result<Raw> {
    let mut raw: Raw = std::array::from_fn(|_| Spool::new(scratch));
    control(covers, &mut raw);
    let mut differences = Differences::default();
    let mut reached = 0;
    for cover in covers {
        copy(target, reached, cover.target, &mut raw[6])?;
        reached = cover.target + cover.length;
        compare(cover, base, target, predictor, &mut differences, &mut raw)?;
    }
    copy(target, reached, target.length(), &mut raw[6])?;
    differences.end(&mut raw);
    Ok(raw)
}

/// Gaps, lengths, and seeks.
fn control(covers: &[Cover], raw: &mut Raw) {
    let mut kept = [0u64; KEPT];
    let mut reached = 0;
    for cover in covers {
        varint::write(cover.target - reached, raw[0].tail());
        varint::write(cover.length, raw[1].tail());
        reached = cover.target + cover.length;
        let diagonal = cover.base.wrapping_sub(cover.target);
        let known = kept.iter().position(|other| *other == diagonal);
        match known {
            Some(number) => varint::write(number as u64, raw[2].tail()),
            None => {
                let distance = varint::unsigned(varint::step(kept[0], diagonal));
                varint::write(distance.saturating_add(KEPT as u64), raw[2].tail());
            }
        }
        let last = known.unwrap_or(KEPT - 1);
        kept.copy_within(..last, 1);
        kept[0] = diagonal;
    }
}

/// Appends a stretch of the target.
fn copy(target: &dyn ReadAt, mut from: u64, to: u64, stream: &mut Spool) -> io::Result<()> {
    while from < to {
        let length = (to - from).min(WINDOW as u64);
        let tail = stream.tail();
        let start = tail.len();
        tail.resize(start + size(length)?, 0);
        target.read_exact_at(from, &mut tail[start..])?;
        stream.settle()?;
        from += length;
    }
    Ok(())
}

fn size(length: u64) -> io::Result<usize> {
    usize::try_from(length).map_err(|_| io::ErrorKind::OutOfMemory.into())
}

/// Compares a cover's corrected bytes with the target's.
fn compare(
    cover: &Cover,
    base: &dyn ReadAt,
    target: &dyn ReadAt,
    predictor: &Predictor,
    differences: &mut Differences,
    raw: &mut Raw,
) -> io::Result<()> {
    let mut old = vec![0; WINDOW.min(size(cover.length)?)];
    let mut new = old.clone();
    let mut done = 0;
    while done < cover.length {
        let length = size((cover.length - done).min(WINDOW as u64))?;
        let (old, new) = (&mut old[..length], &mut new[..length]);
        base.read_exact_at(cover.base + done, old)?;
        target.read_exact_at(cover.target + done, new)?;
        let last = done + length as u64 == cover.length;
        let corrected = predictor.correct(cover, done, old, last);
        differences.add(&old[..corrected], &new[..corrected], raw);
        raw[3..6].iter_mut().try_for_each(Spool::settle)?;
        done += corrected as u64;
    }
    Ok(())
}

/// Equal and unequal runs, over all covers together.
#[derive(Default)]
struct Differences {
    /// Equal bytes that no run tells of yet.
    equal: u64,
    /// Unequal ones.
    unequal: u64,
}

impl Differences {
    fn add(&mut self, old: &[u8], new: &[u8], raw: &mut Raw) {
        for (old, new) in old.iter().zip(new) {
            if old == new {
                if self.unequal > 0 {
                    self.end(raw);
                    (self.equal, self.unequal) = (0, 0);
                }
                self.equal += 1;
            } else {
                raw[5].tail().push(new.wrapping_sub(*old));
                self.unequal += 1;
            }
        }
    }

    /// Tells of a pair of runs; of equal bytes up to the end nothing is told.
    fn end(&self, raw: &mut Raw) {
        if self.unequal > 0 {
            varint::write(self.equal, raw[3].tail());
            varint::write(self.unequal, raw[4].tail());
        }
    }
}
