//! Makes a target space out of a zstd frame that has the base space as its prefix.
//!
//! Invariant: base and target space are held, which have 16 MiB together; the frame passes in pieces, and gets no window of
//! its own.

use zstd::stream::raw::{Decoder, InBuffer, Operation, OutBuffer};
use zstd::zstd_safe::DParameter;

use super::unpack::{FRAME_DESCRIPTOR, frame_decoder};
use super::window::{Maker, WINDOW_BYTES};
use crate::container::chunks::Source;
use crate::container::{Flaw, MAX_PREFIX_BYTES, PREFIX_WINDOW_LOG};
use crate::read_at::ReadAt;

/// A target space that was made at once.
pub(crate) struct PrefixMaker {
    target: Vec<u8>,
    at: usize,
}

impl PrefixMaker {
    pub(crate) fn new(source: &mut dyn Source, base: &dyn ReadAt, target_length: u64) -> Result<Self, Flaw> {
        let length = base.length();
        if length.checked_add(target_length).is_none_or(|both| both > MAX_PREFIX_BYTES) {
            return Err(Flaw::Damaged);
        }
        let mut prefix = vec![0; usize::try_from(length).map_err(|_| Flaw::Damaged)?];
        base.read_exact_at(0, &mut prefix).map_err(Flaw::Base)?;
        let mut target = vec![0; usize::try_from(target_length).map_err(|_| Flaw::Damaged)?];
        unpack(source, &prefix, &mut target)?;
        Ok(Self { target, at: 0 })
    }
}

fn unpack(source: &mut dyn Source, prefix: &[u8], target: &mut [u8]) -> Result<(), Flaw> {
    let decoder = Decoder::with_ref_prefix(prefix).map_err(Flaw::Read)?;
    let mut decoder = frame_decoder(decoder, PREFIX_WINDOW_LOG)?;
    decoder.set_parameter(DParameter::StableOutBuffer(true)).map_err(Flaw::Read)?;
    let length = target.len();
    let mut output = OutBuffer::around(target);
    let mut piece = Vec::new();
    let mut began = false;
    let mut ended = false;
    loop {
        source.next(0, &mut piece)?;
        if piece.is_empty() {
            break;
        }
        if ended || (!began && piece.first() != Some(&FRAME_DESCRIPTOR)) {
            return Err(Flaw::Damaged);
        }
        began = true;
        let mut input = InBuffer::around(&piece);
        while input.pos() < piece.len() && !ended {
            let before = (input.pos(), output.pos());
            ended = decoder.run(&mut input, &mut output).map_err(|_| Flaw::Damaged)? == 0;
            if before == (input.pos(), output.pos()) && !ended {
                return Err(Flaw::Damaged);
            }
        }
        if input.pos() < piece.len() {
            return Err(Flaw::Damaged);
        }
    }
    if ended && output.pos() == length { Ok(()) } else { Err(Flaw::Damaged) }
}

impl Maker for PrefixMaker {
    fn fill(&mut self, window: &mut Vec<u8>) -> Result<(), Flaw> {
        window.clear();
        let end = self.at.saturating_add(WINDOW_BYTES).min(self.target.len());
        window.extend_from_slice(self.target.get(self.at..end).unwrap_or_default());
        self.at = end;
        Ok(())
    }

    fn finish(&mut self) -> Result<(), Flaw> {
        Ok(())
    }
}
