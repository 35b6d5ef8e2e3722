//! Ids and nonces of 32 lower-case hex digits: drawn at random, or for a server derived from its first site key.

use sealpost_keys::token::random_bytes;
use sealpost_keys::{KeyError, PublicKey};

use crate::digest::Sha256Digest;
use crate::ids::text_type::{NameError, text_type};

text_type!(
    /// A Primary Server: 32 lower-case hex digits, derived from its first site key, so that nobody can claim another's.
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

text_type!(
    /// A registration: 32 lower-case hex digits, random.
    RequestId,
    parse_request_id
);
text_type!(
    /// An issued setup file: 32 lower-case hex digits, random. The enrollment code is derived from it.
    SetupId,
    parse_setup_id
);
text_type!(
    /// The time between two restores of a ledger: 32 lower-case hex digits, random, or zeros before the first restore.
    EraId,
    parse_era_id
);

impl ServerId {
    /// The id of the server whose first site key this is: half of a SHA-256 over a fixed text and the key's 32 bytes.
    #[must_use]
    pub fn of_site_key(key: &PublicKey) -> Self {
        let mut bytes = b"sealpost server id\n".to_vec();
        bytes.extend_from_slice(&key.ed25519_bytes());
        let digest = Sha256Digest::of(&bytes);
        Self(data_encoding::HEXLOWER.encode(digest.as_bytes().get(..16).unwrap_or_default()))
    }

    /// An id of no key, for tests.
    #[must_use]
    pub fn from_random(bytes: [u8; 16]) -> Self {
        Self(data_encoding::HEXLOWER.encode(&bytes))
    }
}

impl EraId {
    /// The time before the first restore.
    #[must_use]
    pub fn first() -> Self {
        Self("0".repeat(32))
    }
}

/// Ids that are drawn.
macro_rules! random_id {
    ($($name:ident,)*) => {$(
        impl $name {
            /// A new id from sixteen random bytes.
            #[must_use]
            pub fn from_random(bytes: [u8; 16]) -> Self {
                Self(data_encoding::HEXLOWER.encode(&bytes))
            }
        }
    )*};
}
random_id! { RequestId, SetupId, EraId, }

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

fn parse_request_id(text: &str) -> Result<String, NameError> {
    parse_hex32("request id", text)
}

fn parse_setup_id(text: &str) -> Result<String, NameError> {
    parse_hex32("setup id", text)
}

fn parse_era_id(text: &str) -> Result<String, NameError> {
    parse_hex32("era id", text)
}

fn parse_nonce(text: &str) -> Result<String, NameError> {
    parse_hex32("nonce", text)
}
