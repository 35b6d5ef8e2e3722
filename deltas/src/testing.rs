//! A small encoder by hand, for the tests of the reader: it packs what it is told, also what is wrong.

pub(crate) mod encoder;

use crate::container::layout::{Packed, Packing};
use crate::pack;

/// Bytes that do not compress.
pub(crate) fn noise(length: usize, seed: u32) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    };
    (0..length).map(|_| next()).collect()
}

/// Bytes that compress: lines of text with numbers in them.
pub(crate) fn text(length: usize, seed: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    for number in 0.. {
        if bytes.len() >= length {
            break;
        }
        let line = format!("{seed}: line {number} of a text, {}\n", number * seed % 97);
        bytes.extend_from_slice(line.as_bytes());
    }
    bytes.truncate(length);
    bytes
}

pub(crate) fn zstd_frame(bytes: &[u8], window_log: u32, prefix: &[u8]) -> Vec<u8> {
    pack::zstd_frame(bytes, window_log, prefix, 6).unwrap()
}

pub(crate) fn lzma2(bytes: &[u8], dictionary: u32, literal_context: u32) -> Vec<u8> {
    pack::lzma2(bytes, dictionary, literal_context, 6).unwrap()
}

/// Packs as told, or leaves the bytes as they are if that is no longer.
pub(crate) fn pack(bytes: &[u8], packing: Packing, cap: u64) -> (Packed, Vec<u8>) {
    let dictionary = crate::container::dictionary(bytes.len() as u64, cap);
    let packed = match packing {
        Packing::Plain => bytes.to_vec(),
        Packing::Zstd => zstd_frame(bytes, dictionary.ilog2(), &[]),
        Packing::Lzma2 => lzma2(bytes, u32::try_from(dictionary).unwrap(), 3),
    };
    if packed.len() < bytes.len() {
        (Packed { packing, length: packed.len() as u64 }, packed)
    } else {
        (Packed { packing: Packing::Plain, length: bytes.len() as u64 }, bytes.to_vec())
    }
}
