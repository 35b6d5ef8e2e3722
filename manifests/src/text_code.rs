//! Signed documents as text that a person can read out, paste or print: unlock codes and registration codes.
//!
//! Crockford base-32 in lines of ten groups of five; the last two characters of each line check that line and its
//! position, so that a typing error is found on the line where it is. The signature decides about trust; the check
//! characters only help the typist. White space, case and hyphens do not matter.

use sealpost_keys::Minisig;

use crate::crockford::{crockford_char, crockford_value};
use crate::document::SignedDocument;

/// The format that is written and read; the first one was never used by a site.
const FORMAT: u8 = 2;
/// Characters of a line that carry data, and check characters after them.
const DATA: usize = 48;
const CHECK: usize = 2;
const LINE: usize = DATA + CHECK;
/// Longest code that is read, in bytes.
pub const MAX_CODE_BYTES: u64 = 64 * 1024;
/// No code is shorter, in characters: its signature alone takes more. What is shorter is the name of a file.
pub const SHORTEST_CODE: usize = 300;

/// Why a code cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TextCodeError {
    /// A character that is in no code.
    #[error("character {character:?} on line {line} is in no code; copy the whole code again")]
    Character {
        /// The character that is in no code.
        character: char,
        /// The line, counted from 1.
        line: usize,
    },
    /// A line's check characters do not fit.
    #[error("line {line} has a typing error (its check characters do not fit); compare that line")]
    Check {
        /// The line, counted from 1.
        line: usize,
    },
    /// Too short, too long, or cut.
    #[error("the code is incomplete or too long; copy it from its first to its last line")]
    Length,
    /// Of a format from before the formats were kept.
    #[error("the code is of a format that no site ever used; ask the sender for a new code")]
    TooOld,
    /// The content is of no known shape.
    #[error("the code's content cannot be read; ask the sender for it as a file")]
    Content,
}

/// Writes a signed document as text.
#[must_use]
pub fn encode(document: &SignedDocument) -> String {
    let mut bytes = Vec::with_capacity(document.document.len() + 400);
    bytes.push(FORMAT);
    let length = u32::try_from(document.document.len()).unwrap_or(u32::MAX);
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(document.document.as_bytes());
    bytes.extend_from_slice(document.minisig.as_str().as_bytes());

    let values = to_values(&bytes);
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

/// Reads a code back. The result is unverified: verify it before use.
///
/// # Errors
/// [`TextCodeError`] names the line with the typing error.
pub fn decode(text: &str) -> Result<SignedDocument, TextCodeError> {
    if text.len() as u64 > MAX_CODE_BYTES {
        return Err(TextCodeError::Length);
    }
    let mut values = Vec::with_capacity(text.len());
    for character in text.chars().filter(|character| !character.is_whitespace() && *character != '-') {
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
    let bytes = from_values(&data);
    let (version, rest) = bytes.split_first().ok_or(TextCodeError::Length)?;
    let (length, rest) = rest.split_first_chunk::<4>().ok_or(TextCodeError::Length)?;
    if *version == 1 {
        return Err(TextCodeError::TooOld);
    }
    if *version != FORMAT {
        return Err(TextCodeError::Content);
    }
    let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| TextCodeError::Length)?;
    let (document, minisig) = rest.split_at_checked(length).ok_or(TextCodeError::Length)?;
    let document = std::str::from_utf8(document).map_err(|_| TextCodeError::Content)?;
    // The last symbol may leave up to one padding byte behind.
    let minisig = std::str::from_utf8(minisig).map_err(|_| TextCodeError::Content)?.trim_end_matches('\0');
    let minisig = Minisig::parse(minisig).map_err(|_| TextCodeError::Content)?;
    Ok(SignedDocument { document: document.to_owned(), minisig })
}

/// Ten check bits over the line's number and values: a polynomial modulo 1021, the largest prime below 1024.
fn line_check(index: usize, values: &[u8]) -> [u8; CHECK] {
    let start = u32::try_from(index % 1021).unwrap_or(0) + 1;
    let sum = values.iter().fold(start, |sum, value| (sum * 37 + u32::from(*value) + 1) % 1021);
    [u8::try_from(sum >> 5).unwrap_or(0), u8::try_from(sum & 31).unwrap_or(0)]
}

fn to_values(bytes: &[u8]) -> Vec<u8> {
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

fn from_values(values: &[u8]) -> Vec<u8> {
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::document::SignedDocument;
    use crate::grant::{MAX_SERIALS, Registration, RegistrationReason, verify_registration};
    use crate::ids::{RequestId, SerialNumber, ServerId};
    use crate::log::LogHead;
    use crate::order::Epoch;
    use sealpost_keys::{SealingPublicKey, SigningKey};

    fn sample() -> (SignedDocument, SigningKey) {
        sample_with(BTreeMap::new())
    }

    fn sample_with(used: BTreeMap<SerialNumber, u32>) -> (SignedDocument, SigningKey) {
        let key = SigningKey::generate().unwrap();
        let registration = Registration {
            request_id: RequestId::from_random([6; 16]),
            serial: SerialNumber::from_random([9; 19]),
            server_id: ServerId::of_site_key(&key.public()),
            site_key: key.public(),
            sealing_key: SealingPublicKey::from_bytes([7; 32]),
            reason: RegistrationReason::First,
            epoch: Epoch::default(),
            ledger_head: LogHead::empty(),
            used,
        };
        (SignedDocument::sign(&registration, &key).unwrap(), key)
    }

    #[test]
    fn a_registration_of_as_many_serials_as_a_server_may_have_fits_a_code() {
        let serial = |number: usize| {
            let mut values = [0; 19];
            values[0] = u8::try_from(number % 32).unwrap();
            values[1] = u8::try_from(number / 32).unwrap();
            SerialNumber::from_random(values)
        };
        let used: BTreeMap<_, _> = (0..MAX_SERIALS).map(|number| (serial(number), u32::MAX)).collect();
        assert_eq!(used.len(), MAX_SERIALS);
        let (document, _) = sample_with(used);
        let text = encode(&document);
        assert!(text.len() as u64 <= MAX_CODE_BYTES, "{}", text.len());
        assert_eq!(verify_registration(&decode(&text).unwrap()).unwrap().used.len(), MAX_SERIALS);
        let longer = text.clone() + &" ".repeat(usize::try_from(MAX_CODE_BYTES).unwrap());
        assert_eq!(decode(&longer).unwrap_err(), TextCodeError::Length);
    }

    #[test]
    fn a_code_of_the_first_format_is_refused_as_too_old_and_one_of_a_later_as_unreadable() {
        let (document, _) = sample();
        let code = |format: u8| {
            let mut bytes = vec![format];
            bytes.extend_from_slice(&u32::try_from(document.document.len()).unwrap().to_be_bytes());
            bytes.extend_from_slice(document.document.as_bytes());
            bytes.extend_from_slice(document.minisig.as_str().as_bytes());
            let lines = to_values(&bytes);
            let lines = lines.chunks(DATA).enumerate().flat_map(|(index, line)| {
                line.iter().copied().chain(line_check(index, line)).collect::<Vec<_>>()
            });
            lines.map(crockford_char).collect::<String>()
        };
        assert!(decode(&code(FORMAT)).is_ok());
        assert_eq!(decode(&code(1)).unwrap_err(), TextCodeError::TooOld);
        assert_eq!(decode(&code(FORMAT + 1)).unwrap_err(), TextCodeError::Content);
    }

    #[test]
    fn a_code_survives_being_typed_in_lower_case_without_groups() {
        let (document, key) = sample();
        let text = encode(&document);
        let typed = text.to_lowercase().replace('-', " ").replace('0', "o").replace('1', "l");
        let back = decode(&typed).unwrap();
        assert_eq!(back.document, document.document);
        back.verify::<Registration>(&[key.public()]).unwrap();
    }

    #[test]
    fn a_typing_error_is_found_on_its_line() {
        let (document, _) = sample();
        let lines: Vec<String> = encode(&document).lines().map(str::to_owned).collect();
        for (index, line) in lines.iter().enumerate() {
            let mut typo = lines.clone();
            let first = if line.starts_with('7') { "8" } else { "7" };
            typo[index] = format!("{first}{}", &line[1..]);
            assert_eq!(decode(&typo.join("\n")).unwrap_err(), TextCodeError::Check { line: index + 1 });
        }
        let mut swapped = lines.clone();
        swapped.swap(0, 1);
        assert_eq!(decode(&swapped.join("\n")).unwrap_err(), TextCodeError::Check { line: 1 });
        assert!(decode(&lines[..lines.len() - 1].join("\n")).is_err());
        assert!(decode("").is_err());
    }
}
