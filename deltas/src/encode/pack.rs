//! Packs a stream as small as it gets.

use std::io::{self, Write};

use liblzma::stream::{Filters, LzmaOptions, Stream};
use liblzma::write::XzEncoder;

use crate::container::dictionary;
use crate::container::layout::{Packed, Packing};

/// Longer streams are packed once, as a sample of them packs best.
const LONG: usize = 128 << 10;
/// Pieces of that sample, and the length of each.
const SAMPLES: usize = 16;
const SAMPLE: usize = 4 << 10;
/// Longer streams are not tried with zstd: LZMA2 is smaller for them.
const SHORT: usize = 32 << 10;
/// Level of zstd.
const LEVEL: i32 = 22;

/// Packs bytes; `cap` is the longest dictionary.
pub(super) fn pack(bytes: &[u8], cap: u64) -> io::Result<(Packed, Vec<u8>)> {
    let mut best = (Packing::Plain, None);
    let mut length = bytes.len();
    let mut consider = |packing, packed: Vec<u8>| {
        if packed.len() < length {
            length = packed.len();
            best = (packing, Some(packed));
        }
    };
    if !bytes.is_empty() {
        for context in contexts(bytes, cap)? {
            consider(Packing::Lzma2, lzma2(bytes, context, cap)?);
        }
        if bytes.len() <= SHORT {
            consider(Packing::Zstd, zstd(bytes, cap)?);
        }
    }
    let (packing, packed) = best;
    let packed = packed.unwrap_or_else(|| bytes.to_vec());
    Ok((Packed { packing, length: packed.len() as u64 }, packed))
}

/// The bits of context that are worth a try: all for short bytes, the best of a sample for long ones, none if the sample cannot
/// be packed: such bytes are packed already.
fn contexts(bytes: &[u8], cap: u64) -> io::Result<Vec<u8>> {
    let all = [3, 1, 0];
    if bytes.len() <= LONG {
        return Ok(all.to_vec());
    }
    let pieces = bytes.chunks_exact(bytes.len() / SAMPLES).map(|part| &part[..SAMPLE.min(part.len())]);
    let sample: Vec<u8> = pieces.collect::<Vec<_>>().concat();
    let mut best = (sample.len() - sample.len() / 1024, None);
    for context in all {
        let length = lzma2(&sample, context, cap)?.len();
        if length < best.0 {
            best = (length, Some(context));
        }
    }
    Ok(best.1.into_iter().collect())
}

fn lzma2(bytes: &[u8], context: u8, cap: u64) -> io::Result<Vec<u8>> {
    let mut options = LzmaOptions::new_preset(9 | PRESET_EXTREME)?;
    options.literal_context_bits(context.into()).literal_position_bits(0).position_bits(0);
    options.dict_size(u32::try_from(dictionary(bytes.len() as u64, cap)).unwrap_or(u32::MAX));
    let mut filters = Filters::new();
    filters.lzma2(&options);
    let mut encoder = XzEncoder::new_stream(Vec::new(), Stream::new_raw_encoder(&filters)?);
    encoder.write_all(bytes)?;
    encoder.finish()
}

/// liblzma's flag for slower and smaller.
const PRESET_EXTREME: u32 = 1 << 31;

fn zstd(bytes: &[u8], cap: u64) -> io::Result<Vec<u8>> {
    let mut packer = zstd::bulk::Compressor::new(LEVEL)?;
    packer.include_checksum(false)?;
    packer.include_contentsize(false)?;
    packer.include_magicbytes(false)?;
    packer.window_log(dictionary(bytes.len() as u64, cap).ilog2().max(10))?;
    packer.compress(bytes)
}
