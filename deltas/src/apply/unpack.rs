//! Unpacks a stream: as it is, zstd, or raw LZMA2.
//!
//! Invariant: a stream yields exactly the bytes that its head announced, out of exactly the packed bytes that it announced,
//! with a window or dictionary of its cap at most.

use liblzma::stream::{Action, Filters, LzmaOptions, Status, Stream};
use zstd::stream::raw::{Decoder, InBuffer, Operation, OutBuffer};
use zstd::zstd_safe::{DParameter, FrameFormat};

use crate::container::chunks::Source;
use crate::container::layout::{Packed, Packing};
use crate::container::{Flaw, dictionary};

/// What a frame begins with: no content size, checksum or name of a dictionary, but a size of the window.
pub(crate) const FRAME_DESCRIPTOR: u8 = 0;

/// A stream that is being unpacked.
pub(crate) struct Unpacker {
    stream: usize,
    method: Method,
    piece: Vec<u8>,
    /// Bytes of the piece that were taken.
    taken: usize,
    /// Bytes that are still to be yielded.
    left: u64,
    began: bool,
    ended: bool,
}

enum Method {
    Plain,
    Zstd(Decoder<'static>),
    Lzma2(Stream),
}

/// What one step did.
struct Step {
    taken: usize,
    made: usize,
    ended: bool,
}

impl Unpacker {
    /// Unpacks the stream of this number, which has `length` bytes.
    pub(crate) fn new(stream: usize, packed: Packed, length: u64, cap: u64) -> Result<Self, Flaw> {
        let dictionary = dictionary(length, cap);
        let method = match packed.packing {
            Packing::Plain => Method::Plain,
            Packing::Zstd => {
                Method::Zstd(frame_decoder(Decoder::new().map_err(Flaw::Read)?, dictionary.ilog2())?)
            }
            Packing::Lzma2 => Method::Lzma2(lzma2_decoder(dictionary)?),
        };
        let ended = packed.packing == Packing::Plain && length == 0;
        Ok(Self { stream, method, piece: Vec::new(), taken: 0, left: length, began: false, ended })
    }

    /// Bytes that are still to be yielded.
    pub(crate) const fn left(&self) -> u64 {
        self.left
    }

    /// Fills a buffer.
    pub(crate) fn read(&mut self, source: &mut dyn Source, mut buffer: &mut [u8]) -> Result<(), Flaw> {
        let wanted = u64::try_from(buffer.len()).map_err(|_| Flaw::Damaged)?;
        self.left = self.left.checked_sub(wanted).ok_or(Flaw::Damaged)?;
        while !buffer.is_empty() {
            let made = self.step(source, buffer)?;
            buffer = buffer.get_mut(made..).unwrap_or_default();
        }
        Ok(())
    }

    /// Checks that all was yielded, and that the packed bytes end here.
    pub(crate) fn finish(&mut self, source: &mut dyn Source) -> Result<(), Flaw> {
        if self.left > 0 {
            return Err(Flaw::Damaged);
        }
        while !self.ended {
            if matches!(self.method, Method::Plain) {
                break;
            }
            if self.step(source, &mut [0; 1])? > 0 {
                return Err(Flaw::Damaged);
            }
        }
        if self.taken < self.piece.len() {
            return Err(Flaw::Damaged);
        }
        self.refill(source)?;
        if self.piece.is_empty() { Ok(()) } else { Err(Flaw::Damaged) }
    }

    /// Makes some bytes, or none at the end, or while packed bytes are taken.
    fn step(&mut self, source: &mut dyn Source, buffer: &mut [u8]) -> Result<usize, Flaw> {
        if self.ended {
            return Err(Flaw::Damaged);
        }
        if self.taken == self.piece.len() && !self.began {
            self.refill(source)?;
            self.began = true;
            if matches!(self.method, Method::Zstd(_)) && self.piece.first() != Some(&FRAME_DESCRIPTOR) {
                return Err(Flaw::Damaged);
            }
        }
        let input = self.piece.get(self.taken..).unwrap_or_default();
        let step = self.method.step(input, buffer)?;
        self.taken = self.taken.saturating_add(step.taken);
        self.ended = step.ended;
        if step.made == 0 && step.taken == 0 && !step.ended {
            if self.taken < self.piece.len() {
                return Err(Flaw::Damaged);
            }
            self.refill(source)?;
            if self.piece.is_empty() {
                return Err(Flaw::Damaged);
            }
        }
        Ok(step.made)
    }

    fn refill(&mut self, source: &mut dyn Source) -> Result<(), Flaw> {
        self.taken = 0;
        source.next(self.stream, &mut self.piece)
    }
}

impl Method {
    fn step(&mut self, input: &[u8], buffer: &mut [u8]) -> Result<Step, Flaw> {
        match self {
            Self::Plain => {
                let count = input.len().min(buffer.len());
                if let (Some(to), Some(from)) = (buffer.get_mut(..count), input.get(..count)) {
                    to.copy_from_slice(from);
                }
                Ok(Step { taken: count, made: count, ended: false })
            }
            Self::Zstd(decoder) => {
                let mut input = InBuffer::around(input);
                let mut output = OutBuffer::around(buffer);
                let hint = decoder.run(&mut input, &mut output).map_err(|_| Flaw::Damaged)?;
                Ok(Step { taken: input.pos(), made: output.pos(), ended: hint == 0 })
            }
            Self::Lzma2(stream) => {
                let before = (stream.total_in(), stream.total_out());
                let status = stream.process(input, buffer, Action::Run).map_err(|_| Flaw::Damaged)?;
                let count = |now: u64, before: u64| usize::try_from(now.saturating_sub(before));
                Ok(Step {
                    taken: count(stream.total_in(), before.0).map_err(|_| Flaw::Damaged)?,
                    made: count(stream.total_out(), before.1).map_err(|_| Flaw::Damaged)?,
                    ended: matches!(status, Status::StreamEnd),
                })
            }
        }
    }
}

/// A decoder of frames without magic number.
pub(crate) fn frame_decoder(mut decoder: Decoder<'_>, window_log: u32) -> Result<Decoder<'_>, Flaw> {
    for parameter in [DParameter::Format(FrameFormat::Magicless), DParameter::WindowLogMax(window_log)] {
        decoder.set_parameter(parameter).map_err(Flaw::Read)?;
    }
    Ok(decoder)
}

fn lzma2_decoder(dictionary: u64) -> Result<Stream, Flaw> {
    let mut options = LzmaOptions::new();
    options.dict_size(u32::try_from(dictionary).map_err(|_| Flaw::Damaged)?);
    let mut filters = Filters::new();
    filters.lzma2(&options);
    Stream::new_raw_decoder(&filters).map_err(|_| Flaw::Read(std::io::ErrorKind::OutOfMemory.into()))
}

#[cfg(test)]
mod tests;
