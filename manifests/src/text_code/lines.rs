//! Format 2: lines of 48 values and two that check them. It is read for ever, and written to who wrote in it.

use super::typed::{TextCodeError, is_between};
use crate::crockford::{crockford_char, crockford_value};

pub(super) const FORMAT: u8 = 2;
/// The second value of each code of this format: the low bits of its first byte.
pub(super) const SECOND_VALUE: u8 = FORMAT << 2;
/// Characters of a line that carry data, and check characters after them.
pub(super) const DATA: usize = 48;
const CHECK: usize = 2;
const LINE: usize = DATA + CHECK;

pub(super) fn write(values: &[u8]) -> String {
    let mut text = String::with_capacity(values.len() * 13 / 10);
    for (index, line) in values.chunks(DATA).enumerate() {
        let check = line_check(index, line);
        let symbols = line.iter().copied().chain(check);
        for (at, value) in symbols.enumerate() {
            if at > 0 && at % 5 == 0 {
                text.push('-');
            }
            text.push(crockford_char(value));
        }
        text.push('\n');
    }
    text
}

/// The values of a code without its check characters, which fit.
pub(super) fn read(text: &str) -> Result<Vec<u8>, TextCodeError> {
    let mut values = Vec::with_capacity(text.len());
    for character in text.chars().filter(|character| !is_between(*character)) {
        let line = values.len() / LINE + 1;
        values.push(crockford_value(character).ok_or(TextCodeError::Character { character, line })?);
    }
    let mut data = Vec::with_capacity(values.len());
    for (index, line) in values.chunks(LINE).enumerate() {
        let split = line.len().checked_sub(CHECK).ok_or(TextCodeError::Length)?;
        let (content, check) = line.split_at(split);
        if check != line_check(index, content) {
            return Err(TextCodeError::Check { line: index + 1 });
        }
        data.extend_from_slice(content);
    }
    Ok(data)
}

/// Ten check bits over the line's number and values: a polynomial modulo 1021, the largest prime below 1024.
pub(super) fn line_check(index: usize, values: &[u8]) -> [u8; CHECK] {
    let start = u32::try_from(index % 1021).unwrap_or(0) + 1;
    let sum = values.iter().fold(start, |sum, value| (sum * 37 + u32::from(*value) + 1) % 1021);
    [u8::try_from(sum >> 5).unwrap_or(0), u8::try_from(sum & 31).unwrap_or(0)]
}
