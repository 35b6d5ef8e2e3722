//! Reads the bodies of groups, forward only.
//!
//! Invariant: at most [`MAX_EARLY_BYTES`] of packed bytes are kept for streams that did not ask for them yet.

use std::collections::VecDeque;
use std::io::Read;

use super::layout::STREAMS;
use super::{CHUNK_BYTES, Flaw, MAX_EARLY_BYTES};
use crate::read_at::{FromBeginning, ReadAt};

/// The first stream that may come in chunks.
const FIRST_IN_CHUNKS: usize = 3;

/// Gives packed bytes of streams, piece by piece.
pub(crate) trait Source {
    /// Replaces `piece` by the next packed bytes of a stream, which are none at its end.
    fn next(&mut self, stream: usize, piece: &mut Vec<u8>) -> Result<(), Flaw>;
}

/// A body that is one packed stream.
pub(crate) struct Single<'a, R> {
    delta: &'a mut R,
    left: u64,
}

impl<'a, R: Read> Single<'a, R> {
    pub(crate) const fn new(delta: &'a mut R, length: u64) -> Self {
        Self { delta, left: length }
    }
}

impl<R: Read> Source for Single<'_, R> {
    fn next(&mut self, _stream: usize, piece: &mut Vec<u8>) -> Result<(), Flaw> {
        read_piece(self.delta, &mut self.left, piece)
    }
}

/// A body of several packed streams.
pub(crate) struct Several<'a, R> {
    delta: &'a mut R,
    left: [u64; STREAMS],
    in_chunks: bool,
    early: [VecDeque<Vec<u8>>; STREAMS],
    early_bytes: u64,
}

impl<'a, R: Read> Several<'a, R> {
    /// The body whose streams have these lengths, packed.
    pub(crate) fn new(delta: &'a mut R, lengths: [u64; STREAMS]) -> Self {
        let others =
            lengths.iter().skip(FIRST_IN_CHUNKS).fold(0u64, |sum, length| sum.saturating_add(*length));
        Self {
            delta,
            left: lengths,
            in_chunks: others > CHUNK_BYTES,
            early: Default::default(),
            early_bytes: 0,
        }
    }

    /// The stream whose bytes stand next.
    fn next_stream(&mut self) -> Result<usize, Flaw> {
        let first = self.left.iter().position(|left| *left > 0).ok_or(Flaw::Damaged)?;
        if first < FIRST_IN_CHUNKS || !self.in_chunks {
            return Ok(first);
        }
        let [number] = read_array(self.delta)?;
        let number = usize::from(number);
        let known = number >= FIRST_IN_CHUNKS && self.left.get(number).is_some_and(|left| *left > 0);
        if known { Ok(number) } else { Err(Flaw::Damaged) }
    }
}

impl<R: Read> Source for Several<'_, R> {
    fn next(&mut self, stream: usize, piece: &mut Vec<u8>) -> Result<(), Flaw> {
        if let Some(early) = self.early.get_mut(stream).and_then(VecDeque::pop_front) {
            self.early_bytes = self.early_bytes.saturating_sub(length(&early));
            *piece = early;
            return Ok(());
        }
        piece.clear();
        while self.left.get(stream).is_some_and(|left| *left > 0) {
            let number = self.next_stream()?;
            let left = self.left.get_mut(number).ok_or(Flaw::Damaged)?;
            if number == stream {
                return read_piece(self.delta, left, piece);
            }
            let mut early = Vec::new();
            read_piece(self.delta, left, &mut early)?;
            self.early_bytes = self.early_bytes.saturating_add(length(&early));
            if self.early_bytes > MAX_EARLY_BYTES {
                return Err(Flaw::Damaged);
            }
            self.early.get_mut(number).ok_or(Flaw::Damaged)?.push_back(early);
        }
        Ok(())
    }
}

/// Whole streams, which are given in any order; it remembers in which one they were asked for.
pub(crate) struct Recorded<'a, S> {
    left: Vec<FromBeginning<&'a S>>,
    /// Numbers of streams, one for each piece.
    pub(crate) order: Vec<usize>,
}

impl<'a, S: ReadAt> Recorded<'a, S> {
    pub(crate) fn new(streams: &'a [S]) -> Self {
        Self { left: streams.iter().map(FromBeginning::new).collect(), order: Vec::new() }
    }
}

impl<S: ReadAt> Source for Recorded<'_, S> {
    fn next(&mut self, stream: usize, piece: &mut Vec<u8>) -> Result<(), Flaw> {
        piece.clear();
        let Some(rest) = self.left.get_mut(stream).filter(|rest| rest.left() > 0) else { return Ok(()) };
        rest.take(CHUNK_BYTES).read_to_end(piece).map_err(Flaw::Read)?;
        if stream >= FIRST_IN_CHUNKS {
            self.order.push(stream);
        }
        Ok(())
    }
}

/// Reads the next bytes of a stream: a chunk's worth, or what is left.
fn read_piece(delta: &mut impl Read, left: &mut u64, piece: &mut Vec<u8>) -> Result<(), Flaw> {
    piece.clear();
    let wanted = (*left).min(CHUNK_BYTES);
    delta.take(wanted).read_to_end(piece).map_err(Flaw::of_reading)?;
    if length(piece) != wanted {
        return Err(Flaw::Damaged);
    }
    *left = left.saturating_sub(wanted);
    Ok(())
}

pub(crate) fn read_array<const N: usize>(delta: &mut impl Read) -> Result<[u8; N], Flaw> {
    let mut bytes = [0; N];
    delta.read_exact(&mut bytes).map_err(Flaw::of_reading)?;
    Ok(bytes)
}

fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
