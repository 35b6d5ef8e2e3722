//! Packs a stream as small as it gets.

use std::io;

use liblzma::stream::PRESET_EXTREME;

use crate::container::dictionary;
use crate::container::layout::{Packed, Packing};
use crate::pack::{Lzma2, lzma2, zstd_frame};
use crate::read_at::{FromBeginning, ReadAt, Space};
use crate::spool::Spool;

use super::images::{Hints, read};

/// Longer streams are packed once, as a sample of them packs best.
const LONG: usize = 128 << 10;
/// Pieces of that sample, and the length of each.
const SAMPLES: u64 = 16;
const SAMPLE: u64 = 4 << 10;
/// Bits of context of literals that are tried.
const CONTEXTS: [u32; 3] = [3, 1, 0];
/// Bytes of memory that LZMA2 takes for each byte of its dictionary.
const TABLES: u64 = 12;
/// Below this a dictionary spares nothing.
const LEAST_DICTIONARY: u64 = 64 << 10;
/// A dictionary for all of it.
const LARGE_ENOUGH: u32 = 64 << 10;
/// Longer streams are not tried with zstd: LZMA2 is smaller for them.
const SHORT: usize = 32 << 10;
/// Levels of the two: the time that they take is spent once, and the bytes are sent a thousand times.
pub(super) const ZSTD_LEVEL: i32 = 22;
const LZMA2_PRESET: u32 = 9 | PRESET_EXTREME;

/// Memory that packing so many bytes takes.
pub(super) fn memory_of(length: u64, cap: u64) -> u64 {
    dictionary(length, cap).saturating_mul(TABLES)
}

/// Packs bytes; `cap` is the longest dictionary. No body if they are best as they are.
pub(super) fn pack(bytes: &Space<'_>, cap: u64, hints: &Hints<'_>) -> io::Result<(Packed, Option<Spool>)> {
    let length = bytes.length();
    let plain = Packed { packing: Packing::Plain, length };
    if length <= LONG as u64 {
        let (packed, body) = pack_few(&read(bytes, (0, length))?, cap)?;
        return Ok((packed, (packed.packing != Packing::Plain).then(|| body.into())));
    }
    let Some(literal_context) = best_of_sample(bytes)? else { return Ok((plain, None)) };
    let dictionary = dictionary_within(length, cap, hints.memory_bytes / 2);
    let how = Lzma2 { dictionary: clamped(dictionary), literal_context, preset: LZMA2_PRESET };
    let mut body = Spool::new(hints.scratch);
    how.pack(FromBeginning::new(bytes), |piece| body.append(piece))?;
    let packed = Packed { packing: Packing::Lzma2, length: body.length() };
    Ok(if body.length() < length { (packed, Some(body)) } else { (plain, None) })
}

/// Packs few bytes; they are given back if they are best as they are.
pub(crate) fn pack_few(bytes: &[u8], cap: u64) -> io::Result<(Packed, Vec<u8>)> {
    let dictionary = clamped(dictionary(bytes.len() as u64, cap));
    let mut best = (Packing::Plain, None);
    let mut length = bytes.len();
    let mut consider = |packing, packed: Vec<u8>| {
        if packed.len() < length {
            length = packed.len();
            best = (packing, Some(packed));
        }
    };
    if !bytes.is_empty() {
        for literal_context in CONTEXTS {
            let how = Lzma2 { dictionary, literal_context, preset: LZMA2_PRESET };
            consider(Packing::Lzma2, lzma2(bytes, how)?);
        }
        if bytes.len() <= SHORT {
            consider(Packing::Zstd, zstd_frame(bytes, dictionary.ilog2(), &[], ZSTD_LEVEL)?);
        }
    }
    let (packing, packed) = best;
    let packed = packed.unwrap_or_else(|| bytes.to_vec());
    Ok((Packed { packing, length: packed.len() as u64 }, packed))
}

/// The bits of context by which a sample packs best; none if it cannot be packed: such bytes are packed already.
fn best_of_sample(bytes: &Space<'_>) -> io::Result<Option<u32>> {
    let part = bytes.length() / SAMPLES;
    let mut sample = Vec::new();
    for number in 0..SAMPLES {
        sample.extend_from_slice(&read(bytes, (number * part, SAMPLE.min(part)))?);
    }
    let mut best = (sample.len() - sample.len() / 1024, None);
    for literal_context in CONTEXTS {
        let how = Lzma2 { dictionary: LARGE_ENOUGH, literal_context, preset: LZMA2_PRESET };
        let length = lzma2(&sample, how)?.len();
        if length < best.0 {
            best = (length, Some(literal_context));
        }
    }
    Ok(best.1)
}

/// The dictionary for so many bytes, or a smaller one if its tables do not fit into the memory: every reader has one that is as
/// large as the format lets it be.
fn dictionary_within(length: u64, cap: u64, most_memory: u64) -> u64 {
    let mut dictionary = dictionary(length, cap);
    while dictionary > LEAST_DICTIONARY && dictionary.saturating_mul(TABLES) > most_memory {
        dictionary /= 2;
    }
    dictionary
}

fn clamped(dictionary: u64) -> u32 {
    u32::try_from(dictionary).unwrap_or(u32::MAX)
}
