//! Random tokens, and the digests under which servers store them.
//!
//! A server keeps only the [`TokenDigest`]; the comparison takes the same time for every wrong token.
//! Left out on purpose: codes that people type (they have a checksum and an alphabet of their own),
//! and how long a token lives.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::{constant_time, digest, rand};
use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

use crate::serde_text::serde_text;
use crate::signer::KeyError;

/// Random bytes in a token: beyond any guessing.
const TOKEN_BYTES: usize = 32;
/// Characters of a token: 32 bytes in base64url without padding.
const TOKEN_CHARS: usize = 43;

/// Fresh random bytes from the operating system's generator.
///
/// # Errors
/// When the generator fails.
pub fn random_bytes<const N: usize>() -> Result<[u8; N], KeyError> {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).map_err(|_| KeyError::Randomness)?;
    Ok(bytes)
}

/// A bearer token: 32 random bytes as 43 characters of base64url. Wiped on drop, not shown by `Debug`.
#[derive(Clone)]
pub struct Token(Zeroizing<String>);

/// Why a text is not a token.
#[derive(Debug, thiserror::Error)]
#[error("cannot read a token: expected 43 characters of base64url")]
pub struct TokenError;

impl Token {
    /// A new random token.
    ///
    /// # Errors
    /// When the operating system gives no randomness.
    pub fn generate() -> Result<Self, KeyError> {
        let bytes = Zeroizing::new(random_bytes::<TOKEN_BYTES>()?);
        Ok(Self(Zeroizing::new(BASE64URL_NOPAD.encode(&*bytes))))
    }

    /// The token itself, for the one header or file that carries it. Never for a log.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What a server stores.
    pub fn digest(&self) -> TokenDigest {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest::digest(&digest::SHA256, self.0.as_bytes()).as_ref());
        TokenDigest(bytes)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(not shown)")
    }
}

impl FromStr for Token {
    type Err = TokenError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() != TOKEN_CHARS {
            return Err(TokenError);
        }
        let bytes = Zeroizing::new(BASE64URL_NOPAD.decode(text.as_bytes()).map_err(|_| TokenError)?);
        if bytes.len() != TOKEN_BYTES {
            return Err(TokenError);
        }
        Ok(Self(Zeroizing::new(text.to_owned())))
    }
}

impl Serialize for Token {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Token {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Zeroizing::new(String::deserialize(deserializer)?);
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// SHA-256 of a token's characters: harmless to store, enough to recognize the token.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TokenDigest([u8; 32]);

/// Why a text is not a token's digest.
#[derive(Debug, thiserror::Error)]
#[error("cannot read a token digest: expected 64 lower-case hex digits")]
pub struct TokenDigestError;

impl TokenDigest {
    /// Whether this is the digest of that token, in constant time.
    pub fn matches(&self, token: &Token) -> bool {
        constant_time::verify_slices_are_equal(&self.0, &token.digest().0).is_ok()
    }

    /// The 32 bytes of the SHA-256.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for TokenDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for TokenDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenDigest({self})")
    }
}

impl FromStr for TokenDigest {
    type Err = TokenDigestError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() != 64 {
            return Err(TokenDigestError);
        }
        let bytes = HEXLOWER.decode(text.as_bytes()).map_err(|_| TokenDigestError)?;
        bytes.try_into().map(Self).map_err(|_| TokenDigestError)
    }
}

serde_text!(TokenDigest);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_recognizes_its_token_and_no_other() {
        let (token, other) = (Token::generate().unwrap(), Token::generate().unwrap());
        let digest = token.digest();
        assert!(digest.matches(&token));
        assert!(!digest.matches(&other));
        assert!(digest.matches(&token.as_str().parse().unwrap()));
        let json = serde_json::to_string(&digest).unwrap();
        assert_eq!(serde_json::from_str::<TokenDigest>(&json).unwrap(), digest);
    }

    #[test]
    fn a_token_does_not_show_in_debug_output_and_a_text_of_another_length_is_refused() {
        let token = Token::generate().unwrap();
        assert!(!format!("{token:?}").contains(token.as_str()));
        assert_eq!(token.as_str().len(), TOKEN_CHARS);
        for wrong in ["", "x", &"x".repeat(44), &"=".repeat(43), &"a".repeat(1 << 20)] {
            assert!(wrong.parse::<Token>().is_err());
        }
    }
}
