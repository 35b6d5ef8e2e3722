//! Packs a stream as small as it gets.

use std::io;

use liblzma::stream::PRESET_EXTREME;

use crate::container::dictionary;
use crate::container::layout::{Packed, Packing};
use crate::pack::{lzma2, zstd_frame};

/// Longer streams are packed once, as a sample of them packs best.
const LONG: usize = 128 << 10;
/// Pieces of that sample, and the length of each.
const SAMPLES: usize = 16;
const SAMPLE: usize = 4 << 10;
/// A dictionary for all of it.
const LARGE_ENOUGH: u32 = 64 << 10;
/// Longer streams are not tried with zstd: LZMA2 is smaller for them.
const SHORT: usize = 32 << 10;
/// Levels of the two: the time that they take is spent once, and the bytes are sent a thousand times.
pub(super) const ZSTD_LEVEL: i32 = 22;
const LZMA2_PRESET: u32 = 9 | PRESET_EXTREME;

/// Packs bytes; `cap` is the longest dictionary.
pub(crate) fn pack(bytes: &[u8], cap: u64) -> io::Result<(Packed, Vec<u8>)> {
    let dictionary = u32::try_from(dictionary(bytes.len() as u64, cap)).unwrap_or(u32::MAX);
    let mut best = (Packing::Plain, None);
    let mut length = bytes.len();
    let mut consider = |packing, packed: Vec<u8>| {
        if packed.len() < length {
            length = packed.len();
            best = (packing, Some(packed));
        }
    };
    if !bytes.is_empty() {
        for context in contexts(bytes)? {
            consider(Packing::Lzma2, lzma2(bytes, dictionary, context, LZMA2_PRESET)?);
        }
        if bytes.len() <= SHORT {
            consider(Packing::Zstd, zstd_frame(bytes, dictionary.ilog2(), &[], ZSTD_LEVEL)?);
        }
    }
    let (packing, packed) = best;
    let packed = packed.unwrap_or_else(|| bytes.to_vec());
    Ok((Packed { packing, length: packed.len() as u64 }, packed))
}

/// The bits of context that are worth a try: all for short bytes, the best of a sample for long ones, none if the sample cannot
/// be packed: such bytes are packed already.
fn contexts(bytes: &[u8]) -> io::Result<Vec<u32>> {
    let all = [3, 1, 0];
    if bytes.len() <= LONG {
        return Ok(all.to_vec());
    }
    let pieces = bytes.chunks_exact(bytes.len() / SAMPLES).map(|part| &part[..SAMPLE.min(part.len())]);
    let sample: Vec<u8> = pieces.collect::<Vec<_>>().concat();
    let mut best = (sample.len() - sample.len() / 1024, None);
    for context in all {
        let length = lzma2(&sample, LARGE_ENOUGH, context, LZMA2_PRESET)?.len();
        if length < best.0 {
            best = (length, Some(context));
        }
    }
    Ok(best.1.into_iter().collect())
}
