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
use crate::container::layout::{Cover, CoversHead, Packed, Packing, STREAMS, Streams};
use crate::container::stream::{EQUAL_RUNS, LITERALS, UNEQUAL_RUNS, VALUES};
use crate::container::{Flaw, JOINED_CAP, MAX_OWN_BYTES, STREAM_CAPS, varint};
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
    /// They themselves, if covers may point at them.
    own: Vec<u8>,
}

/// The streams that are packed together, unpacked.
pub(crate) struct Held {
    streams: Vec<Vec<u8>>,
}

impl Held {
    /// Unpacks streams that are packed together.
    pub(crate) fn read(
        lengths: &[u64; STREAMS],
        packed: Packed,
        source: &mut dyn Source,
    ) -> Result<Self, Flaw> {
        let total =
            lengths.iter().try_fold(0u64, |sum, length| sum.checked_add(*length)).ok_or(Flaw::Damaged)?;
        let mut unpacker = Unpacker::new(0, packed, total, JOINED_CAP)?;
        let mut streams = Vec::new();
        for length in lengths {
            let mut bytes = vec![0; usize::try_from(*length).map_err(|_| Flaw::Damaged)?];
            unpacker.read(source, &mut bytes)?;
            streams.push(bytes);
        }
        unpacker.finish(source)?;
        Ok(Self { streams })
    }
}

impl Source for Held {
    fn next(&mut self, stream: usize, piece: &mut Vec<u8>) -> Result<(), Flaw> {
        *piece = self.streams.get_mut(stream).map(std::mem::take).unwrap_or_default();
        Ok(())
    }
}

/// The length of each stream, and how it is packed where [`Held`] gives it.
pub(crate) fn streams_of(head: &CoversHead) -> [(u64, Packed); STREAMS] {
    match &head.streams {
        Streams::Apart(streams) => *streams,
        Streams::Joined { lengths, .. } => {
            lengths.map(|length| (length, Packed { packing: Packing::Plain, length }))
        }
    }
}

impl<'a, S: Source> CoversMaker<'a, S> {
    /// Reads the covers, and prepares the rest.
    pub(crate) fn new(
        head: &CoversHead,
        mut source: S,
        base: &'a dyn ReadAt,
        target_length: u64,
    ) -> Result<Self, Flaw> {
        let spaces = Spaces { base: base.length(), target: target_length, own_copies: head.own_copies };
        if head.own_copies && target_length > MAX_OWN_BYTES {
            return Err(Flaw::Damaged);
        }
        let streams = streams_of(head);
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
        let own_length =
            if head.own_copies { usize::try_from(target_length).map_err(|_| Flaw::Damaged)? } else { 0 };
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
            own: Vec::with_capacity(own_length),
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
            let own = usize::try_from(own).map_err(|_| Flaw::Damaged)?;
            let made = self.own.get(own..).unwrap_or_default();
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
                self.own.extend_from_slice(made);
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
