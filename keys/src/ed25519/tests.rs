//! What we verify beside what the crate `minisign-verify` verifies, on inputs on which implementations differ.

use data_encoding::{BASE64, HEXLOWER};

use super::*;
use crate::minisig::covered_by_global;
use vectors::{SPECCHECK, Vector};

mod vectors;

fn bytes<const N: usize>(hex: &str) -> [u8; N] {
    HEXLOWER.decode(hex.as_bytes()).unwrap().try_into().unwrap()
}

/// What `minisign-verify` says of the vector as a file without prehash, so that the message is the vector's own.
fn minisign_verify_accepts(vector: &Vector) -> bool {
    let encode = |parts: &[&[u8]]| BASE64.encode(&parts.concat());
    let key = encode(&[b"Ed", &[0; 8], &bytes::<32>(vector.key)]);
    let text = format!(
        "untrusted comment: c\n{}\ntrusted comment: {}\n{}\n",
        encode(&[b"Ed", &[0; 8], &bytes::<64>(vector.signature)]),
        vector.comment,
        encode(&[&bytes::<64>(vector.global_signature)]),
    );
    let key = minisign_verify::PublicKey::from_base64(&key).unwrap();
    let signature = minisign_verify::Signature::decode(&text).unwrap();
    key.verify(&bytes::<32>(vector.message), &signature, true).is_ok()
}

/// What we say of both its signatures. The format without prehash itself is refused before it comes to this.
fn we_accept(vector: &Vector) -> bool {
    let signature = bytes::<64>(vector.signature);
    let covered = covered_by_global(&signature, vector.comment);
    VerifyingKey::new(&bytes(vector.key)).is_some_and(|key| {
        key.verifies(&bytes::<32>(vector.message), &signature)
            && key.verifies(&covered, &bytes(vector.global_signature))
    })
}

#[test]
fn each_vector_of_taming_the_many_eddsas_is_decided_as_stated_and_nothing_is_accepted_beyond_minisign_verify()
{
    for (index, vector) in SPECCHECK.iter().enumerate() {
        let (theirs, ours, what) = (minisign_verify_accepts(vector), we_accept(vector), vector.what);
        assert_eq!(theirs, vector.minisign_verify_accepts, "minisign-verify on vector {index}: {what}");
        assert_eq!(ours, vector.we_accept, "we on vector {index}: {what}");
        assert!(theirs || !ours, "vector {index}: {what}");
    }
}

#[test]
fn aws_lc_alone_would_accept_points_of_small_order() {
    for vector in &SPECCHECK[..3] {
        let key = ParsedPublicKey::new(&ED25519, bytes::<32>(vector.key)).unwrap();
        let signature = bytes::<64>(vector.signature);
        assert!(key.verify_sig(&bytes::<32>(vector.message), &signature).is_ok(), "{}", vector.what);
    }
}

#[test]
fn an_encoding_above_the_modulus_is_refused_as_a_key_and_as_an_r() {
    let sound = &SPECCHECK[3];
    let key = VerifyingKey::new(&bytes(sound.key)).unwrap();
    for first in 0xed..=0xff {
        for last in [0x7f, 0xff] {
            let point = first_byte_then(first, 0xff, last);
            assert!(VerifyingKey::new(&point).is_none(), "{first:x} {last:x}");
            let mut signature = bytes::<64>(sound.signature);
            signature[..32].copy_from_slice(&point);
            assert!(!key.verifies(&bytes::<32>(sound.message), &signature), "{first:x} {last:x}");
        }
    }
    // The largest y below the modulus whose point has not small order is a key like any other.
    assert!(VerifyingKey::new(&first_byte_then(0xeb, 0xff, 0x7f)).is_some());
}
