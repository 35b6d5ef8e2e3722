//! Makes the target space of a group of covers.
//!
//! Invariant: memory for the covers, the window, and the dictionaries of four streams; with own copies also for the target
//! space, which is bounded then. The work is linear in the target space and the packed bytes.

use super::covers::{Spaces, read_covers};
use super::differences::Differences;
use super::numbers::Numbers;
use super::unpack::Unpacker;
use super::window::{Maker, WINDOW_BYTES};
use crate::container::chunks::Source;
use crate::container::layout::{Cover, CoversHead, Packed, Packing, STREAMS};
use crate::container::stream::{EQUAL_RUNS, LITERALS, UNEQUAL_RUNS, VALUES};
use crate::container::{CHUNK_BYTES, Flaw, JOINED_CAP, MAX_OWN_BYTES, STREAM_CAPS, varint};
use crate::image::Predictor;
use crate::read_at::ReadAt;

/// Less than this is not read from the base at the end of a window, unless the cover ends there.
const MIN_PIECE_BYTES: usize = 64;

/// The target space of a group of covers.
pub(crate) struct CoversMaker<'a, S> {
    pub(crate) source: S,
    base: &'a dyn ReadAt,
    spaces: Spaces,
    covers: Vec<Cover>,
    predictor: Predictor,
    differences: Differences,
    literals: Unpacker,
    /// The cover that is next or at work, and how much of it is done.
    cover: usize,
    done: u64,
    /// Bytes of the target space that are made.
    at: u64,
    /// The last of them, if covers may point at them.
    own: Made,
}

/// The streams that are packed together, unpacked.
pub(crate) struct Held {
    streams: Vec<Vec<u8>>,
}

impl Held {
    /// Unpacks streams that are packed together: `covers` numbers in each of the first three, `runs` in each of the next two.
    pub(crate) fn read(
        covers: u64,
        runs: u64,
        length: u64,
        packed: Packed,
        source: &mut dyn Source,
    ) -> Result<Self, Flaw> {
        let mut unpacker = Unpacker::new(0, packed, length, JOINED_CAP)?;
        let mut bytes = vec![0; usize::try_from(length).map_err(|_| Flaw::Damaged)?];
        unpacker.read(source, &mut bytes)?;
        unpacker.finish(source)?;
        let mut rest = bytes.as_slice();
        let mut streams = Vec::new();
        let mut values = 0u64;
        for (stream, count) in [covers, covers, covers, runs, runs].into_iter().enumerate() {
            let mut after = rest;
            for _ in 0..count {
                let number = varint::read(|| {
                    let (first, others) = after.split_first().ok_or(Flaw::Damaged)?;
                    after = others;
                    Ok(*first)
                })?;
                if stream == UNEQUAL_RUNS {
                    values = values.saturating_add(number);
                }
            }
            let (numbers, _) =
                rest.split_at_checked(rest.len().saturating_sub(after.len())).ok_or(Flaw::Damaged)?;
            streams.push(numbers.to_vec());
            rest = after;
        }
        let values = usize::try_from(values).map_err(|_| Flaw::Damaged)?;
        let (values, literals) = rest.split_at_checked(values).ok_or(Flaw::Damaged)?;
        streams.extend([values.to_vec(), literals.to_vec()]);
        Ok(Self { streams })
    }

    /// The lengths of the streams, which [`Held`] gives as they are.
    pub(crate) fn lengths(&self) -> [(u64, Packed); STREAMS] {
        let length = |number: usize| self.streams.get(number).map_or(0, |bytes| bytes.len() as u64);
        std::array::from_fn(|number| {
            let length = length(number);
            (length, Packed { packing: Packing::Plain, length })
        })
    }
}

impl Source for Held {
    fn next(&mut self, stream: usize, piece: &mut Vec<u8>) -> Result<(), Flaw> {
        *piece = self.streams.get_mut(stream).map(std::mem::take).unwrap_or_default();
        Ok(())
    }
}

impl<'a, S: Source> CoversMaker<'a, S> {
    /// Reads the covers, and prepares the rest.
    pub(crate) fn new(
        head: &CoversHead,
        streams: [(u64, Packed); STREAMS],
        mut source: S,
        base: &'a dyn ReadAt,
        target_length: u64,
    ) -> Result<Self, Flaw> {
        let spaces = Spaces { base: base.length(), target: target_length, own_copies: head.own_copies };
        let covers = read_covers(&mut source, &streams, head.covers, spaces)?;
        let covered = covers.iter().fold(0u64, |sum, cover| sum.saturating_add(cover.length));
        // What is unpacked is bounded by what is made of it.
        let length = |number: usize| streams.get(number).map_or(u64::MAX, |(length, _)| *length);
        let most_runs = covered.saturating_add(1).saturating_mul(varint::MAX_BYTES);
        if target_length.checked_sub(covered) != Some(length(LITERALS))
            || length(VALUES) > covered
            || length(EQUAL_RUNS).max(length(UNEQUAL_RUNS)) > most_runs
        {
            return Err(Flaw::Damaged);
        }
        let unpacker = |number: usize| {
            let (length, packed) = streams.get(number).copied().ok_or(Flaw::Damaged)?;
            Unpacker::new(number, packed, length, STREAM_CAPS.get(number).copied().ok_or(Flaw::Damaged)?)
        };
        let differences = Differences::new(
            Numbers::new(unpacker(EQUAL_RUNS)?),
            Numbers::new(unpacker(UNEQUAL_RUNS)?),
            unpacker(VALUES)?,
        );
        // Bounded above.
        let predictor = Predictor::new(&head.images, &covers, base).map_err(Flaw::Base)?;
        Ok(Self {
            literals: unpacker(LITERALS)?,
            source,
            base,
            spaces,
            covers,
            predictor,
            differences,
            cover: 0,
            done: 0,
            at: 0,
            own: Made::new(if head.own_copies { target_length } else { 0 }),
        })
    }

    /// Appends bytes of the cover at work; false if it does so with the next window.
    fn add_cover(&mut self, cover: Cover, window: &mut Vec<u8>, room: usize) -> Result<bool, Flaw> {
        let left = cover.length.saturating_sub(self.done);
        let from = cover.base.checked_add(self.done).ok_or(Flaw::Damaged)?;
        let mut count = usize::try_from(left).unwrap_or(usize::MAX).min(room);
        if u64::try_from(count).unwrap_or(u64::MAX) < left && count < MIN_PIECE_BYTES && !window.is_empty() {
            return Ok(false);
        }
        let begin = window.len();
        if let Some(own) = from.checked_sub(self.spaces.base).filter(|_| self.spaces.own_copies) {
            let made = self.own.from(own);
            count = count.min(made.len());
            window.extend_from_slice(made.get(..count).unwrap_or_default());
        } else {
            window.resize(begin.saturating_add(count), 0);
            let bytes = window.get_mut(begin..).unwrap_or_default();
            self.base.read_exact_at(from, bytes).map_err(Flaw::Base)?;
            let last = u64::try_from(count).unwrap_or(u64::MAX) == left;
            let corrected = self.predictor.correct(&cover, self.done, bytes, last);
            count = corrected.min(count);
        }
        // A step that makes nothing would be made for ever.
        if count == 0 {
            return Err(Flaw::Damaged);
        }
        window.truncate(begin.saturating_add(count));
        self.differences.add(&mut self.source, window.get_mut(begin..).unwrap_or_default())?;
        self.done = self.done.saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
        if self.done == cover.length {
            self.cover = self.cover.saturating_add(1);
            self.done = 0;
        }
        Ok(true)
    }
}

/// The last bytes of a target space that were made.
struct Made {
    bytes: Vec<u8>,
    /// Place of the first of them.
    begin: u64,
}

impl Made {
    /// Takes its memory at once: growing would take twice as much for a moment.
    fn new(length: u64) -> Self {
        let most = MAX_OWN_BYTES.saturating_add(MAX_OWN_BYTES / 4).saturating_add(2 * CHUNK_BYTES);
        Self { bytes: Vec::with_capacity(usize::try_from(length.min(most)).unwrap_or(0)), begin: 0 }
    }

    fn add(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        let most = usize::try_from(MAX_OWN_BYTES).unwrap_or(usize::MAX);
        // Seldom, since what is kept is moved.
        if self.bytes.len() > most.saturating_add(most / 4) {
            let gone = self.bytes.len().saturating_sub(most);
            self.bytes.drain(..gone);
            self.begin = self.begin.saturating_add(u64::try_from(gone).unwrap_or(u64::MAX));
        }
    }

    /// What was made from this place on; nothing if it is not kept any more.
    fn from(&self, place: u64) -> &[u8] {
        let offset = place.checked_sub(self.begin).and_then(|offset| usize::try_from(offset).ok());
        offset.and_then(|offset| self.bytes.get(offset..)).unwrap_or_default()
    }
}

impl<S: Source> Maker for CoversMaker<'_, S> {
    fn fill(&mut self, window: &mut Vec<u8>) -> Result<(), Flaw> {
        window.clear();
        while window.len() < WINDOW_BYTES && self.at < self.spaces.target {
            let begin = window.len();
            let room = WINDOW_BYTES.saturating_sub(begin);
            let cover = self.covers.get(self.cover).copied();
            match cover.filter(|cover| self.done > 0 || cover.target <= self.at) {
                Some(cover) => {
                    if !self.add_cover(cover, window, room)? {
                        break;
                    }
                }
                None => {
                    let end = cover.map_or(self.spaces.target, |cover| cover.target);
                    let gap = usize::try_from(end.saturating_sub(self.at)).unwrap_or(usize::MAX).min(room);
                    window.resize(begin.saturating_add(gap), 0);
                    let bytes = window.get_mut(begin..).unwrap_or_default();
                    self.literals.read(&mut self.source, bytes)?;
                }
            }
            let made = window.get(begin..).unwrap_or_default();
            self.at = self.at.saturating_add(u64::try_from(made.len()).unwrap_or(u64::MAX));
            if self.spaces.own_copies {
                self.own.add(made);
            }
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(), Flaw> {
        if self.at != self.spaces.target || self.cover != self.covers.len() {
            return Err(Flaw::Damaged);
        }
        self.differences.finish(&mut self.source)?;
        self.literals.finish(&mut self.source)
    }
}
