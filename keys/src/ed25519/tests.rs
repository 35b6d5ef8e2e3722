//! What we verify beside what the crate `minisign-verify` verifies, on inputs on which implementations differ.

use data_encoding::{BASE64, HEXLOWER};

use super::*;
use vectors::{SPECCHECK, Vector};

mod vectors;

fn bytes<const N: usize>(hex: &str) -> [u8; N] {
    HEXLOWER.decode(hex.as_bytes()).unwrap().try_into().unwrap()
}

/// The second message of a minisign file: the first signature, then the comment.
fn covered(signature: &[u8; SIGNATURE_BYTES], comment: &str) -> Vec<u8> {
    [signature.as_slice(), comment.as_bytes()].concat()
}

/// What `minisign-verify` says of a file of these parts, without prehash, so that the message is `message` itself.
fn minisign_verify_accepts(
    key: &[u8; POINT_BYTES],
    message: &[u8],
    signature: &[u8; SIGNATURE_BYTES],
    comment: &str,
    global_signature: &[u8; SIGNATURE_BYTES],
) -> bool {
    let encode = |parts: &[&[u8]]| BASE64.encode(&parts.concat());
    let key = minisign_verify::PublicKey::from_base64(&encode(&[b"Ed", &[0; 8], key])).unwrap();
    let text = format!(
        "untrusted comment: c\n{}\ntrusted comment: {comment}\n{}\n",
        encode(&[b"Ed", &[0; 8], signature]),
        encode(&[global_signature]),
    );
    key.verify(message, &minisign_verify::Signature::decode(&text).unwrap(), true).is_ok()
}

/// What we say of the same file, but for the format without prehash, which is refused before it comes to this.
fn we_accept(
    key: &[u8; POINT_BYTES],
    message: &[u8],
    signature: &[u8; SIGNATURE_BYTES],
    comment: &str,
    global_signature: &[u8; SIGNATURE_BYTES],
) -> bool {
    VerifyingKey::new(key).is_some_and(|key| {
        key.verifies(message, signature) && key.verifies(&covered(signature, comment), global_signature)
    })
}

#[test]
fn each_vector_of_taming_the_many_eddsas_is_decided_as_stated_and_nothing_is_accepted_beyond_minisign_verify()
{
    for (index, vector) in SPECCHECK.iter().enumerate() {
        let Vector { what, comment, .. } = vector;
        let (key, message) = (bytes::<32>(vector.key), bytes::<32>(vector.message));
        let (signature, global) = (bytes::<64>(vector.signature), bytes::<64>(vector.global_signature));
        let theirs = minisign_verify_accepts(&key, &message, &signature, comment, &global);
        let ours = we_accept(&key, &message, &signature, comment, &global);
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
