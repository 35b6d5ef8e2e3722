//! Signatures and public keys as text.

use std::num::NonZeroUsize;

use sealpost_keys::note::LogPublicKey;
use sealpost_keys::verify::{verify, verify_threshold};
use sealpost_keys::{Minisig, PublicKey, SealingPublicKey, TrustedComment};

use crate::fixed::{MESSAGE, key};
use crate::reading::{covered, parsed, text};

/// Reads a text as a signature over the fixed message, and as public keys.
pub(crate) fn minisigs(data: &[u8]) -> bool {
    let Some(text) = text(data) else { return false };
    let minisig = Minisig::parse(text);
    if let Ok(minisig) = &minisig {
        assert_eq!(minisig.as_str(), text);
        signature(minisig);
    }
    let file = PublicKey::from_file_text(text);
    if let Ok(key) = &file {
        assert_eq!(PublicKey::from_file_text(&key.to_file_text(text)).as_ref().ok(), Some(key));
    }
    let line = parsed::<PublicKey>(text).map(|key| key.to_string());
    let sealing = parsed::<SealingPublicKey>(text).map(|key| key.to_string());
    let log = parsed::<LogPublicKey>(text).map(|key| key.to_string());
    let keys: Vec<String> = [line, sealing, log].into_iter().flatten().collect();
    for key in &keys {
        assert_eq!(key, text, "a key has one spelling");
    }
    minisig.is_ok() || file.is_ok() || !keys.is_empty()
}

/// What verifies is what the key signs, and the reference accepts it too.
fn signature(minisig: &Minisig) {
    let trusted = [key().public()];
    let one = NonZeroUsize::MIN;
    let many = verify_threshold(MESSAGE.to_vec(), &[minisig.clone(), minisig.clone()], &trusted, one);
    let Ok(signed) = verify(MESSAGE.to_vec(), minisig, &trusted) else {
        assert!(many.is_err());
        return;
    };
    assert_eq!(many.expect("it verifies alone").signers.len(), 1, "one key counts twice");
    assert_eq!(signed.bytes, MESSAGE);
    let comment = TrustedComment::new(signed.comment.clone()).expect("the key signs no other comment");
    let made = key().sign(MESSAGE, &comment);
    assert_eq!(covered(minisig.as_str()), covered(made.as_str()), "the key did not make this signature");
    let reference = minisign_verify::PublicKey::from_base64(&key().public().to_base64()).expect("a key");
    let decoded = minisign_verify::Signature::decode(minisig.as_str()).expect("the reference reads it");
    assert!(reference.verify(MESSAGE, &decoded, false).is_ok(), "the reference refuses it");
}
