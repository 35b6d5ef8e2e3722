pub(crate) fn put_varint(out: &mut Vec<u8>, mut v: u64) { while v >= 128 { out.push((v & 127) as u8 | 128); v >>= 7; } out.push(v as u8); }
pub(crate) fn signed_bits(v: i64) -> u64 { ((v << 1) ^ (v >> 63)) as u64 }
