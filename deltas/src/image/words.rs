//! Little-endian numbers at places that may not exist.

pub(super) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|word| u16::from_le_bytes(*word))
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|word| u32::from_le_bytes(*word))
}

pub(super) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().map(|word| u64::from_le_bytes(*word))
}

/// Overwrites a word, if its place exists.
pub(super) fn put_u32(bytes: &mut [u8], at: usize, word: u32) {
    if let Some(place) = bytes.get_mut(at..).and_then(<[u8]>::first_chunk_mut) {
        *place = word.to_le_bytes();
    }
}

/// Overwrites a long word, if its place exists.
pub(super) fn put_u64(bytes: &mut [u8], at: usize, word: u64) {
    if let Some(place) = bytes.get_mut(at..).and_then(<[u8]>::first_chunk_mut) {
        *place = word.to_le_bytes();
    }
}

/// The low 32 bits.
#[expect(clippy::cast_possible_truncation, reason = "the low bits are what is wanted")]
pub(super) const fn low(word: u64) -> u32 {
    word as u32
}

/// A distance of 32 bits with a sign, as an address that wraps around.
pub(super) const fn extended(word: u32) -> u64 {
    i64_bits(i32_bits(word) as i64)
}

const fn i32_bits(word: u32) -> i32 {
    word.cast_signed()
}

const fn i64_bits(word: i64) -> u64 {
    word.cast_unsigned()
}
