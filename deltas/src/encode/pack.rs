//! Packs a stream as small as it gets.

use std::io::{self, Write};

use liblzma::stream::{Filters, LzmaOptions, Stream};
use liblzma::write::XzEncoder;

use crate::container::layout::{Packed, Packing};

/// Longer streams are packed once, as a sample of them packs best.
const LONG: usize = 128 << 10;
/// Length of that sample.
const SAMPLE: usize = 32 << 10;
/// Longer streams are not tried with zstd: LZMA2 is smaller for them.
const SHORT: usize = 32 << 10;
/// Shortest dictionary of LZMA2.
const LEAST_DICTIONARY: usize = 4096;
/// Level of zstd.
const LEVEL: i32 = 22;

/// Packs bytes; `cap` is the longest dictionary.
pub(super) fn pack(bytes: &[u8], cap: usize) -> io::Result<(Packed, Vec<u8>)> {
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
            consider(Packing::Lzma2(context), lzma2(bytes, context, cap)?);
        }
        if bytes.len() <= SHORT {
            consider(Packing::Zstd, zstd(bytes, cap)?);
        }
    }
    let (packing, packed) = best;
    let packed = packed.unwrap_or_else(|| bytes.to_vec());
    Ok((Packed { packing, length: packed.len() as u64 }, packed))
}

/// The bits of context that are worth a try: all for short bytes, the best of a sample for long ones.
fn contexts(bytes: &[u8], cap: usize) -> io::Result<Vec<u8>> {
    let all = [3, 1, 0];
    let middle = (bytes.len() / 2).saturating_sub(SAMPLE / 2);
    let Some(sample) = bytes.get(middle..middle + SAMPLE).filter(|_| bytes.len() > LONG) else {
        return Ok(all.to_vec());
    };
    let mut sizes = Vec::new();
    for context in all {
        sizes.push((lzma2(sample, context, cap)?.len(), context));
    }
    Ok(sizes.into_iter().min().map(|(_, context)| context).into_iter().collect())
}

/// The dictionary of LZMA2 for so many bytes.
pub(crate) fn dictionary(length: usize, cap: usize) -> u32 {
    let wanted = length.max(LEAST_DICTIONARY).checked_next_power_of_two().unwrap_or(cap);
    u32::try_from(wanted.min(cap)).unwrap_or(u32::MAX)
}

fn lzma2(bytes: &[u8], context: u8, cap: usize) -> io::Result<Vec<u8>> {
    let mut options = LzmaOptions::new_preset(9 | PRESET_EXTREME)?;
    options.literal_context_bits(context.into()).literal_position_bits(0).position_bits(0);
    options.dict_size(dictionary(bytes.len(), cap));
    let mut filters = Filters::new();
    filters.lzma2(&options);
    let mut encoder = XzEncoder::new_stream(Vec::new(), Stream::new_raw_encoder(&filters)?);
    encoder.write_all(bytes)?;
    encoder.finish()
}

/// liblzma's flag for slower and smaller.
const PRESET_EXTREME: u32 = 1 << 31;

fn zstd(bytes: &[u8], cap: usize) -> io::Result<Vec<u8>> {
    let mut packer = zstd::bulk::Compressor::new(LEVEL)?;
    packer.include_checksum(false)?;
    packer.include_contentsize(false)?;
    packer.include_magicbytes(false)?;
    packer.window_log(dictionary(bytes.len(), cap).ilog2().max(10))?;
    packer.compress(bytes)
}
