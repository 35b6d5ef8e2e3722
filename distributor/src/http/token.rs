//! Access tokens: short-lived proof that a client contacted a moment ago, so that reads need no signature each.
//!
//! A token is (version, client id, end, tag), the tag being HMAC-SHA-256 under a key that only this server has. It
//! names a client and gives no right by itself: each request is admitted by what the ledger says at that time. Its version
//! says what it came with: the answer to a request that is sent once more goes to whoever recorded it too, so the token in
//! it is good for reads, and shows of nobody that he is the computer.
//! Left out on purpose: revocation of single tokens; they end after a quarter of an hour.

use std::fmt;

use aws_lc_rs::hmac;
use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use jiff::Timestamp;
use sealpost_manifests::ids::ClientId;

use super::secret::ServerSecret;

/// How long a token is good for, in seconds: long enough for one update over a slow line, short enough to forget.
pub const TOKEN_VALID_SECS: u32 = 15 * 60;

/// First byte of a token that came with the first answer.
const FIRST: u8 = 1;
/// First byte of one that came with the answer to a request that was sent once more.
const REPEATED: u8 = 2;
const CLIENT_BYTES: usize = 16;
const END_BYTES: usize = 8;
const SIGNED_BYTES: usize = 1 + CLIENT_BYTES + END_BYTES;
const TAG_BYTES: usize = 32;
const TOKEN_BYTES: usize = SIGNED_BYTES + TAG_BYTES;
/// 57 bytes in base64url without padding.
const TOKEN_CHARS: usize = TOKEN_BYTES / 3 * 4;

/// What a token came with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenOrigin {
    /// The answer to a request that only the computer can have made.
    First,
    /// The answer to one that was answered before, and that anybody who recorded it can send.
    Repeated,
}

impl TokenOrigin {
    const fn version(self) -> u8 {
        match self {
            Self::First => FIRST,
            Self::Repeated => REPEATED,
        }
    }
}

/// What a good token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    pub client: ClientId,
    pub origin: TokenOrigin,
}

/// Makes and checks tokens.
pub struct AccessTokens {
    key: hmac::Key,
}

/// Why a text is no good as a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenRefusal {
    /// Not a token of this server.
    Unknown,
    /// It was good once.
    Expired { client: ClientId },
}

impl AccessTokens {
    #[must_use]
    pub fn new(secret: &ServerSecret) -> Self {
        Self { key: secret.key_for("access token") }
    }

    /// A token for a client, good for [`TOKEN_VALID_SECS`] from `now`. `None` when the id is not one of ours.
    #[must_use]
    pub fn issue(&self, client: &ClientId, origin: TokenOrigin, now: Timestamp) -> Option<String> {
        let id = HEXLOWER.decode(client.as_str().as_bytes()).ok()?;
        let end = now.as_second().checked_add(i64::from(TOKEN_VALID_SECS))?;
        let mut bytes = Vec::with_capacity(TOKEN_BYTES);
        bytes.push(origin.version());
        bytes.extend_from_slice(&id);
        bytes.extend_from_slice(&end.to_be_bytes());
        let tag = hmac::sign(&self.key, &bytes);
        bytes.extend_from_slice(tag.as_ref());
        Some(BASE64URL_NOPAD.encode(&bytes))
    }

    /// The client that a token names, and what it came with.
    ///
    /// # Errors
    /// [`TokenRefusal`]. A token whose tag does not hold is unknown, whatever its end says.
    pub fn check(&self, text: &str, now: Timestamp) -> Result<Access, TokenRefusal> {
        if text.len() != TOKEN_CHARS {
            return Err(TokenRefusal::Unknown);
        }
        let bytes = BASE64URL_NOPAD.decode(text.as_bytes()).map_err(|_| TokenRefusal::Unknown)?;
        let (signed, tag) = bytes.split_at_checked(SIGNED_BYTES).ok_or(TokenRefusal::Unknown)?;
        hmac::verify(&self.key, signed, tag).map_err(|_| TokenRefusal::Unknown)?;
        let (version, rest) = signed.split_first().ok_or(TokenRefusal::Unknown)?;
        let (id, end) = rest.split_first_chunk::<CLIENT_BYTES>().ok_or(TokenRefusal::Unknown)?;
        let end: [u8; END_BYTES] = end.try_into().map_err(|_| TokenRefusal::Unknown)?;
        let origin = match *version {
            FIRST => TokenOrigin::First,
            REPEATED => TokenOrigin::Repeated,
            _ => return Err(TokenRefusal::Unknown),
        };
        let client = ClientId::from_random(*id);
        if now.as_second() >= i64::from_be_bytes(end) {
            return Err(TokenRefusal::Expired { client });
        }
        Ok(Access { client, origin })
    }
}

impl fmt::Debug for AccessTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccessTokens(key not shown)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_token_names_its_client_until_its_end_and_not_a_second_longer() {
        let tokens = AccessTokens::new(&ServerSecret::new([7; 32]));
        let client = ClientId::from_random([3; 16]);
        for origin in [TokenOrigin::First, TokenOrigin::Repeated] {
            let token = tokens.issue(&client, origin, at(1000)).unwrap();
            assert_eq!(tokens.check(&token, at(1000)), Ok(Access { client: client.clone(), origin }));
        }
        let token = tokens.issue(&client, TokenOrigin::First, at(1000)).unwrap();
        let access = Access { client: client.clone(), origin: TokenOrigin::First };
        let end = 1000 + i64::from(TOKEN_VALID_SECS);
        assert_eq!(tokens.check(&token, at(end - 1)), Ok(access));
        assert_eq!(tokens.check(&token, at(end)), Err(TokenRefusal::Expired { client }));
    }

    #[test]
    fn a_token_of_another_server_or_with_any_character_changed_is_unknown() {
        let tokens = AccessTokens::new(&ServerSecret::new([7; 32]));
        let client = ClientId::from_random([3; 16]);
        let token = tokens.issue(&client, TokenOrigin::First, at(1000)).unwrap();
        assert_eq!(
            AccessTokens::new(&ServerSecret::new([8; 32])).check(&token, at(1000)),
            Err(TokenRefusal::Unknown)
        );
        for index in 0..token.len() {
            let mut changed = token.clone().into_bytes();
            changed[index] = if changed[index] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert_eq!(tokens.check(&changed, at(1000)), Err(TokenRefusal::Unknown), "character {index}");
        }
        for wrong in ["", "x", &token[1..], &format!("{token}A")] {
            assert_eq!(tokens.check(wrong, at(1000)), Err(TokenRefusal::Unknown));
        }
    }
}
