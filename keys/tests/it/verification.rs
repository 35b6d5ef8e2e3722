//! What counts as signed, and what does not.

use std::num::NonZeroUsize;

use sealpost_keys::verify::{StreamVerifier, verify, verify_threshold};
use sealpost_keys::{Minisig, SigningKey, VerifyError};

use crate::comment;

const BYTES: &[u8] = b"a signed document";

fn two() -> NonZeroUsize {
    NonZeroUsize::new(2).unwrap()
}

#[test]
fn signed_bytes_verify_with_their_key_and_comment() {
    let key = SigningKey::generate().unwrap();
    let other = SigningKey::generate().unwrap();
    let minisig = key.sign(BYTES, &comment("what it is"));
    let verified = verify(BYTES.to_vec(), &minisig, &[other.public(), key.public()]).unwrap();
    assert_eq!(verified.bytes, BYTES);
    assert_eq!(verified.key, key.public());
    assert_eq!(verified.comment, "what it is");
    let length = verified.as_ref().map(|signed| signed.bytes.len());
    assert_eq!(*length, BYTES.len());
    assert!(verified.try_map(|_| Err::<(), _>("refused")).is_err());
}

#[test]
fn a_flipped_bit_in_the_bytes_is_found() {
    let key = SigningKey::generate().unwrap();
    let minisig = key.sign(BYTES, &comment("c"));
    for index in 0..BYTES.len() {
        let mut changed = BYTES.to_vec();
        changed[index] ^= 1;
        let refused = verify(changed, &minisig, &[key.public()]).unwrap_err();
        assert_eq!(refused, VerifyError::BadSignature { key_id: key.public().id() });
    }
}

#[test]
fn a_changed_character_anywhere_in_the_covered_lines_is_found() {
    let key = SigningKey::generate().unwrap();
    let text = key.sign(BYTES, &comment("package:a version:1")).as_str().to_owned();
    let unsigned_line = text.find('\n').unwrap();
    for index in unsigned_line + 1..text.len() {
        let mut changed = text.clone().into_bytes();
        changed[index] ^= 1;
        let Ok(changed) = String::from_utf8(changed) else { continue };
        let Ok(minisig) = Minisig::parse(&changed) else { continue };
        let outcome = verify(BYTES.to_vec(), &minisig, &[key.public()]);
        assert!(outcome.is_err(), "a changed byte at {index} went through: {changed}");
    }
}

#[test]
fn the_trusted_comment_of_one_signature_cannot_be_moved_to_another() {
    let key = SigningKey::generate().unwrap();
    let first = key.sign(BYTES, &comment("version:1")).as_str().to_owned();
    let forged = Minisig::parse(&first.replace("version:1", "version:2")).unwrap();
    assert!(matches!(
        verify(BYTES.to_vec(), &forged, &[key.public()]),
        Err(VerifyError::BadSignature { .. })
    ));
}

#[test]
fn a_key_that_is_not_trusted_is_named_and_refused() {
    let (key, other) = (SigningKey::generate().unwrap(), SigningKey::generate().unwrap());
    let minisig = key.sign(BYTES, &comment("c"));
    let refused = verify(BYTES.to_vec(), &minisig, &[other.public()]).unwrap_err();
    assert_eq!(refused, VerifyError::UnknownKey { key_id: key.public().id() });
    assert!(verify(BYTES.to_vec(), &minisig, &[]).is_err());
}

#[test]
fn a_key_under_the_id_of_a_trusted_one_gains_nothing() {
    let (trusted, attacker) = (SigningKey::generate().unwrap(), SigningKey::generate().unwrap());
    let disguised = sealpost_keys::PublicKey::new(trusted.public().id(), attacker.public().ed25519_bytes());
    let text = attacker.sign(BYTES, &comment("c")).as_str().to_owned();
    let minisig = Minisig::parse(&text).unwrap();
    assert!(verify(BYTES.to_vec(), &minisig, &[trusted.public()]).is_err());
    // Two trusted keys with the same id are both tried.
    let good = trusted.sign(BYTES, &comment("c"));
    let verified = verify(BYTES.to_vec(), &good, &[disguised, trusted.public()]).unwrap();
    assert_eq!(verified.key, trusted.public());
}

#[test]
fn a_threshold_counts_distinct_keys_not_signatures() {
    let (first, second) = (SigningKey::generate().unwrap(), SigningKey::generate().unwrap());
    let trusted = [first.public(), second.public()];
    let twice = [first.sign(BYTES, &comment("a")), first.sign(BYTES, &comment("b"))];
    let refused = verify_threshold(BYTES.to_vec(), &twice, &trusted, two()).unwrap_err();
    assert_eq!(refused, VerifyError::ThresholdNotMet { found: 1, needed: 2 });

    let both = [first.sign(BYTES, &comment("a")), second.sign(BYTES, &comment("b"))];
    let verified = verify_threshold(BYTES.to_vec(), &both, &trusted, two()).unwrap();
    assert_eq!(verified.signers.len(), 2);
}

#[test]
fn one_key_listed_under_two_ids_still_counts_once() {
    let key = SigningKey::generate().unwrap();
    let other_id = SigningKey::generate().unwrap().public().id();
    let alias = sealpost_keys::PublicKey::new(other_id, key.public().ed25519_bytes());
    let by_key = key.sign(BYTES, &comment("a"));
    let by_alias = {
        // The id in a signature is not signed: anyone can rewrite it.
        let line = by_key.as_str().lines().nth(1).unwrap();
        let mut bytes = data_encoding::BASE64.decode(line.as_bytes()).unwrap();
        bytes[2..10].copy_from_slice(other_id.as_bytes());
        Minisig::parse(&by_key.as_str().replace(line, &data_encoding::BASE64.encode(&bytes))).unwrap()
    };
    assert!(verify(BYTES.to_vec(), &by_alias, std::slice::from_ref(&alias)).is_ok());
    let refused =
        verify_threshold(BYTES.to_vec(), &[by_key, by_alias], &[key.public(), alias], two()).unwrap_err();
    assert_eq!(refused, VerifyError::ThresholdNotMet { found: 1, needed: 2 });
}

#[test]
fn a_hostile_list_of_signatures_is_refused_before_any_is_checked() {
    let key = SigningKey::generate().unwrap();
    let many = vec![key.sign(BYTES, &comment("a")); 33];
    let refused = verify_threshold(BYTES.to_vec(), &many, &[key.public()], two()).unwrap_err();
    assert_eq!(refused, VerifyError::TooManySignatures { found: 33 });
}

#[test]
fn a_streamed_body_verifies_like_a_held_one() {
    let key = SigningKey::generate().unwrap();
    let body = vec![7; 300_000];
    let minisig = key.sign_reader(body.as_slice(), &comment("large")).unwrap();
    assert_eq!(minisig.as_str(), key.sign(&body, &comment("large")).as_str());
    let trusted = [key.public()];

    let mut stream = StreamVerifier::new(&minisig, &trusted).unwrap();
    for chunk in body.chunks(1000) {
        stream.update(chunk);
    }
    assert_eq!(stream.finish().unwrap().comment, "large");

    let mut short = StreamVerifier::new(&minisig, &trusted).unwrap();
    short.update(&body[1..]);
    assert!(matches!(short.finish(), Err(VerifyError::BadSignature { .. })));
}
