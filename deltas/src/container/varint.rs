//! Numbers of seven bits per byte, the lowest first.
//!
//! Invariant: each number has one form. A form that is longer than needed, or that goes beyond 64 bits, is refused.

use super::Flaw;

/// Longest form, in bytes.
pub(crate) const MAX_BYTES: u64 = 10;

/// Reads a number from bytes that come one by one.
pub(crate) fn read(mut next: impl FnMut() -> Result<u8, Flaw>) -> Result<u64, Flaw> {
    let mut number = 0u64;
    for shift in (0..64).step_by(7) {
        let byte = next()?;
        let bits = u64::from(byte & 0x7f);
        // The tenth byte has room for one bit.
        if shift == 63 && bits > 1 {
            return Err(Flaw::Damaged);
        }
        number |= bits << shift;
        if byte & 0x80 == 0 {
            let shortest = byte != 0 || shift == 0;
            return if shortest { Ok(number) } else { Err(Flaw::Damaged) };
        }
    }
    Err(Flaw::Damaged)
}

/// Appends a number.
pub(crate) fn write(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    out.push(number.to_le_bytes()[0]);
}

/// How many numbers these bytes are.
pub(crate) fn count(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|byte| **byte < 0x80).count() as u64
}

/// The signed number that a number stands for.
pub(crate) const fn signed(number: u64) -> i64 {
    (number >> 1).cast_signed() ^ -(number & 1).cast_signed()
}

/// The number that stands for a signed one.
pub(crate) const fn unsigned(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)).cast_unsigned()
}

/// The signed number that leads from one number to another, modulo 2^64.
pub(crate) const fn step(from: u64, to: u64) -> i64 {
    to.wrapping_sub(from).cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_all(bytes: &[u8]) -> Option<(u64, usize)> {
        let mut at = 0;
        let number = read(|| {
            let byte = bytes.get(at).copied().ok_or(Flaw::Damaged)?;
            at += 1;
            Ok(byte)
        });
        number.ok().map(|number| (number, at))
    }

    #[test]
    fn numbers_come_back_in_as_many_bytes_as_they_need() {
        for (number, length) in
            [(0, 1), (1, 1), (127, 1), (128, 2), (16_383, 2), (16_384, 3), (u64::MAX >> 1, 9), (u64::MAX, 10)]
        {
            let mut bytes = Vec::new();
            write(number, &mut bytes);
            assert_eq!(bytes.len(), length, "{number}");
            bytes.push(0xff);
            assert_eq!(read_all(&bytes), Some((number, length)));
        }
    }

    #[test]
    fn signed_numbers_come_back() {
        for number in [0, -1, 1, -64, 64, i64::MAX, i64::MIN] {
            assert_eq!(signed(unsigned(number)), number);
        }
        assert_eq!([0, 1, 2, 3].map(signed), [0, -1, 1, -2]);
        for (from, to) in [(5, 3), (3, 5), (0, u64::MAX), (u64::MAX, 0)] {
            assert_eq!(from_step(from, to), to);
        }
    }

    fn from_step(from: u64, to: u64) -> u64 {
        from.wrapping_add_signed(step(from, to))
    }

    #[test]
    fn long_forms_and_numbers_beyond_64_bits_are_refused() {
        assert_eq!(read_all(&[0x80, 0x00]), None);
        assert_eq!(read_all(&[0xff, 0x80, 0x00]), None);
        assert_eq!(read_all(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02]), None);
        assert_eq!(read_all(&[0xff; 11]), None);
        assert_eq!(read_all(&[0x80]), None);
    }
}
