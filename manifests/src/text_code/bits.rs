//! Bytes as values of five bits, the highest bit first.

pub(super) fn to_values(bytes: &[u8]) -> Vec<u8> {
    let mut values = Vec::with_capacity(bytes.len() * 8 / 5 + 1);
    let (mut buffer, mut bits) = (0u32, 0u32);
    for byte in bytes {
        buffer = (buffer << 8) | u32::from(*byte);
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            values.push(u8::try_from((buffer >> bits) & 31).unwrap_or(0));
        }
        buffer &= (1 << bits) - 1;
    }
    if bits > 0 {
        values.push(u8::try_from((buffer << (5 - bits)) & 31).unwrap_or(0));
    }
    values
}

pub(super) fn from_values(values: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(values.len() * 5 / 8);
    let (mut buffer, mut bits) = (0u32, 0u32);
    for value in values {
        buffer = (buffer << 5) | u32::from(*value);
        bits += 5;
        if bits >= 8 {
            bits -= 8;
            bytes.push(u8::try_from((buffer >> bits) & 0xff).unwrap_or(0));
        }
        buffer &= (1 << bits) - 1;
    }
    bytes
}
