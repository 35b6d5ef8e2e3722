//! Key ids: the eight bytes by which a minisign signature names its key.
//!
//! An id is a hint for finding a key, never a proof: whoever makes a key chooses its id. Nothing is
//! decided on an id alone.

use std::fmt;
use std::str::FromStr;

use crate::serde_text::serde_text;

/// The eight bytes that name a key, shown as minisign prints them: 16 upper-case hex digits of the
/// bytes read as a little-endian number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId([u8; 8]);

impl KeyId {
    /// The id whose bytes stand in a key or signature in this order.
    pub fn from_bytes(bytes: [u8; 8]) -> Self {
        Self(bytes)
    }

    /// The bytes in the order in which a key or signature holds them.
    pub fn as_bytes(&self) -> &[u8; 8] {
        &self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016X}", u64::from_le_bytes(self.0))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

/// Why a text is not a key id.
#[derive(Debug, thiserror::Error)]
#[error("cannot read a key id: expected 16 upper-case hex digits, as minisign prints them")]
pub struct KeyIdError;

impl FromStr for KeyId {
    type Err = KeyIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let canonical = text.len() == 16 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'A'..=b'F'));
        if !canonical {
            return Err(KeyIdError);
        }
        let number = u64::from_str_radix(text, 16).map_err(|_| KeyIdError)?;
        Ok(Self(number.to_le_bytes()))
    }
}

serde_text!(KeyId);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_as_it_prints_and_only_in_that_form() {
        let id = KeyId::from_bytes([0x1F, 0xE8, 0xB4, 0x42, 0x18, 0x0F, 0x62, 0xE7]);
        assert_eq!(id.to_string(), "E7620F1842B4E81F");
        assert_eq!("E7620F1842B4E81F".parse::<KeyId>().unwrap(), id);
        assert_eq!(serde_json::to_string(&id).unwrap(), "\"E7620F1842B4E81F\"");
        for wrong in ["", "e7620f1842b4e81f", "E7620F1842B4E81", "+7620F1842B4E81F", "E7620F1842B4E81FF"] {
            assert!(wrong.parse::<KeyId>().is_err(), "{wrong}");
        }
    }
}
