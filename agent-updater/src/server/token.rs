//! Access tokens, as servers give them: opaque, short-lived and secret.
//!
//! Invariant: a token is bounded and can be sent as a header, whatever a server answered.

use std::fmt;

use reqwest::header::HeaderValue;

/// Longest token, in bytes; those of a Primary Server have about 120.
const MAX_TOKEN_BYTES: usize = 4 * 1024;

/// The right to read from a server for a while.
#[derive(Clone)]
pub struct AccessToken(String);

impl AccessToken {
    /// `None` for a token that is empty, too long, or cannot stand in a header.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let is_plain = text.bytes().all(|byte| byte.is_ascii_graphic());
        (is_plain && (1..=MAX_TOKEN_BYTES).contains(&text.len())).then(|| Self(text.to_owned()))
    }

    /// The text, for whoever sends it by a client of its own.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The value of the authorization header; no log shows it.
    pub(super) fn bearer(&self) -> Option<HeaderValue> {
        let mut value = HeaderValue::try_from(format!("Bearer {}", self.0)).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccessToken(not shown)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_that_cannot_be_sent_or_fills_memory_is_none() {
        let fits = "a".repeat(MAX_TOKEN_BYTES);
        assert!(AccessToken::new(&fits).is_some_and(|token| token.bearer().is_some()));
        for bad in ["", "a b", "a\r\nx: y", "\u{e9}", &format!("{fits}a")] {
            assert!(AccessToken::new(bad).is_none());
        }
    }

    #[test]
    fn a_token_is_not_shown() {
        let token = AccessToken::new("s3cret").unwrap();
        assert!(!format!("{token:?} {:?}", token.bearer().unwrap()).contains("s3cret"));
    }
}
