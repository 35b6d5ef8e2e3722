//! What must hold for everything that is read: it is written as a text that reads the same.

use std::fmt::{Debug, Display};
use std::str::FromStr;

use sealpost_keys::TrustedComment;
use sealpost_manifests::document::{self, Document, SignedDocument};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::fixed::key;

/// The bytes as text; readers of text are called with nothing else.
pub(crate) fn text(data: &[u8]) -> Option<&str> {
    std::str::from_utf8(data).ok()
}

/// Reads a JSON body, and checks that it is written as a text which reads the same.
pub(crate) fn json<T: Serialize + DeserializeOwned>(data: &[u8]) -> Option<T> {
    let value: T = serde_json::from_slice(data).ok()?;
    let written = serde_json::to_string(&value).expect("what was read has a JSON form");
    let again: T = serde_json::from_str(&written).expect("what was written can be read");
    assert_eq!(serde_json::to_string(&again).unwrap(), written, "it is written in one way");
    Some(value)
}

/// Reads a document, and checks that it is written as a text which reads the same.
pub(crate) fn document<T: Document>(data: &[u8]) -> Option<T> {
    let value: T = document::read(data).ok()?;
    let written = document::write(&value).expect("what was read can be written");
    let again: T = document::read(written.as_bytes()).expect("what was written can be read");
    assert_eq!(document::write(&again).unwrap(), written, "it is written in one way");
    assert!(!value.trusted_comment().chars().any(char::is_control), "a comment is one line");
    Some(value)
}

/// Parses a text, and checks that its canonical form is a fixed point.
pub(crate) fn parsed<T>(text: &str) -> Option<T>
where
    T: FromStr + Display + PartialEq + Debug + Serialize + DeserializeOwned,
{
    let value: T = text.parse().ok()?;
    let shown = value.to_string();
    let again = shown.parse::<T>().ok().expect("a canonical form is accepted");
    assert_eq!(again, value, "the canonical form {shown:?} is another value");
    assert_eq!(again.to_string(), shown, "there is one canonical form");
    let stored = serde_json::to_string(&value).expect("it has a JSON form");
    let loaded: T = serde_json::from_str(&stored).expect("what was stored can be loaded");
    assert_eq!(loaded, value, "{stored} is another value");
    Some(value)
}

/// Verifies a document with the fixed key. What verifies is exactly what the key signs, to the last bit of the
/// signature.
pub(crate) fn verified<T: Document>(signed: &SignedDocument) -> Option<T> {
    let document = signed.verify::<T>(&[key().public()]).ok()?.into_inner();
    let comment = TrustedComment::new(document.trusted_comment()).expect("a comment that was signed");
    let made = key().sign(signed.document.as_bytes(), &comment);
    assert_eq!(
        covered(signed.minisig.as_str()),
        covered(made.as_str()),
        "a signature that the key did not make is accepted"
    );
    Some(document)
}

/// The lines of a minisig that are not free text.
pub(crate) fn covered(minisig: &str) -> Vec<&str> {
    minisig.lines().skip(1).take(3).collect()
}

/// Asserts that a text for people can go to a terminal.
pub(crate) fn assert_harmless(shown: &str) {
    let harmful = |character: char| {
        character.is_control()
            || matches!(character, '\u{61c}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{3164}')
    };
    assert!(!shown.chars().any(harmful), "{shown:?}");
}
