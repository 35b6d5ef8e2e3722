//! Ids and nonces that are drawn at random and carry no meaning: 32 lower-case hex digits.

use sealpost_keys::KeyError;
use sealpost_keys::token::random_bytes;

use crate::ids::text_type::{NameError, text_type};

text_type!(
    /// A Primary Server: 32 lower-case hex digits, random, made at `distributor init`.
    ServerId,
    parse_server_id
);
text_type!(
    /// A client: 32 lower-case hex digits, random, given at enrollment.
    ClientId,
    parse_client_id
);
text_type!(
    /// One of the two nonces of a contact: 32 lower-case hex digits, random.
    Nonce,
    parse_nonce
);

impl ServerId {
    /// A new id from sixteen random bytes.
    #[must_use]
    pub fn from_random(bytes: [u8; 16]) -> Self {
        Self(data_encoding::HEXLOWER.encode(&bytes))
    }
}

impl ClientId {
    /// A new id from sixteen random bytes.
    #[must_use]
    pub fn from_random(bytes: [u8; 16]) -> Self {
        Self(data_encoding::HEXLOWER.encode(&bytes))
    }
}

impl Nonce {
    /// A new nonce from sixteen random bytes.
    #[must_use]
    pub fn from_random(bytes: [u8; 16]) -> Self {
        Self(data_encoding::HEXLOWER.encode(&bytes))
    }

    /// A new nonce from the system's random source.
    ///
    /// # Errors
    /// When the system gives no random bytes.
    pub fn generate() -> Result<Self, KeyError> {
        Ok(Self::from_random(random_bytes::<16>()?))
    }
}

fn parse_hex32(what: &'static str, text: &str) -> Result<String, NameError> {
    if text.len() == 32 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
        Ok(text.to_owned())
    } else {
        Err(NameError::new(what, text, "32 lower-case hex digits"))
    }
}

fn parse_server_id(text: &str) -> Result<String, NameError> {
    parse_hex32("server id", text)
}

fn parse_client_id(text: &str) -> Result<String, NameError> {
    parse_hex32("client id", text)
}

fn parse_nonce(text: &str) -> Result<String, NameError> {
    parse_hex32("nonce", text)
}
