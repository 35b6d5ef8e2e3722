//! Fingerprints of public keys: what people compare, read out and type.
//!
//! A fingerprint is the whole SHA-256 of a key, never a part of it: whoever makes keys can make many until a part fits.

use std::fmt;
use std::str::FromStr;

use data_encoding::HEXLOWER;

use crate::public_key::PublicKey;
use crate::serde_text::serde_text;

/// Hex digits of a fingerprint.
const DIGITS: usize = 64;
/// Hex digits in a group that people compare.
const GROUP: usize = 8;

/// SHA-256 of the 32 bytes of a public key, shown as 64 lower-case hex digits. It is read in upper case too, and with blanks,
/// colons or hyphens between its digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// Of this key.
    #[must_use]
    pub fn of(key: &PublicKey) -> Self {
        Self(key.digest())
    }

    /// In groups of eight digits with hyphens between them, for people who compare.
    #[must_use]
    pub fn grouped(&self) -> String {
        let mut text = String::with_capacity(DIGITS + DIGITS / GROUP);
        for (place, digit) in self.to_string().chars().enumerate() {
            if place > 0 && place.is_multiple_of(GROUP) {
                text.push('-');
            }
            text.push(digit);
        }
        text
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

/// Why a text is no fingerprint.
#[derive(Debug, thiserror::Error)]
#[error("cannot read a key's fingerprint: expected its 64 hex digits, all of them")]
pub struct FingerprintError;

impl FromStr for Fingerprint {
    type Err = FingerprintError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut digits = Vec::with_capacity(DIGITS);
        for byte in text.bytes() {
            match byte {
                b' ' | b':' | b'-' => {}
                _ if digits.len() == DIGITS => return Err(FingerprintError),
                _ => digits.push(byte.to_ascii_lowercase()),
            }
        }
        let bytes = HEXLOWER.decode(&digits).map_err(|_| FingerprintError)?;
        bytes.try_into().map(Self).map_err(|_| FingerprintError)
    }
}

serde_text!(Fingerprint);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key_id::KeyId;

    #[test]
    fn a_fingerprint_is_read_as_it_is_shown_and_as_people_type_it_and_never_in_part() {
        let key = PublicKey::new(KeyId::from_bytes([1; 8]), [7; 32]);
        let found = Fingerprint::of(&key);
        let text = found.to_string();
        assert_eq!(text, key.fingerprint());
        assert_eq!(found.grouped().len(), 71);
        let typed = [
            text.clone(),
            found.grouped(),
            text.to_uppercase(),
            found.grouped().replace('-', ":"),
            format!(" {} ", found.grouped().replace('-', "  ")),
        ];
        for typed in typed {
            assert_eq!(typed.parse::<Fingerprint>().unwrap(), found, "{typed}");
        }
        let json = serde_json::to_string(&found).unwrap();
        assert_eq!(json, format!("\"{text}\""));
        let wrong = [
            String::new(),
            text[1..].to_owned(),
            text[..16].to_owned(),
            format!("{text}0"),
            format!("{text}{text}"),
            text.replacen(char::is_alphanumeric, "g", 1),
            text.replacen(char::is_alphanumeric, "_", 1),
            "-".repeat(64),
        ];
        for wrong in wrong {
            assert!(wrong.parse::<Fingerprint>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn another_id_of_the_same_key_is_the_same_fingerprint_and_another_key_is_not() {
        let of = |id, key| Fingerprint::of(&PublicKey::new(KeyId::from_bytes([id; 8]), [key; 32]));
        assert_eq!(of(1, 7), of(2, 7));
        assert_ne!(of(1, 7), of(1, 8));
    }
}
