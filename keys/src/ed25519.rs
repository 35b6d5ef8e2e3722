//! Verifies single Ed25519 signatures: aws-lc does the arithmetic, the checks in front of it stand here.
//!
//! aws-lc refuses an S that is not below the group order, a key that is no point of the curve, and an R that is not
//! the canonical encoding of the point that the equation gives. Its equation has no cofactor, like minisign's.
//! Invariant: a key or an R of small order, or in a second encoding, is refused before aws-lc sees it. Under a key of
//! small order anybody can make signatures, so a signature under it would prove nothing.
//! Left out on purpose: keys that are the sum of a sound point and one of small order. Only their owner can sign, and
//! finding them costs as much as a verification. The reference, the crate `minisign-verify`, accepts them too.

use aws_lc_rs::signature::{ED25519, ParsedPublicKey};

/// Bytes of an encoded point: y in little-endian order; the highest bit is the sign of x.
pub(crate) const POINT_BYTES: usize = 32;
/// Bytes of a signature: the point R, then the number S.
pub(crate) const SIGNATURE_BYTES: usize = 64;
/// The bit of an encoded point's last byte that is the sign of x.
const SIGN_BIT: u8 = 0x80;

/// The y of every point whose order divides 8. With either sign of x, these are all encodings of such points that
/// lie below the field's modulus.
const SMALL_ORDER_Y: [[u8; POINT_BYTES]; 5] = [
    // 0: the two points of order 4.
    [0; POINT_BYTES],
    // 1: the neutral element.
    first_byte_then(1, 0, 0),
    // Modulus - 1: the point of order 2.
    first_byte_then(0xec, 0xff, 0x7f),
    // The four points of order 8.
    [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5,
        0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
    ],
    [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a,
        0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
    ],
];

/// The field's modulus, 2^255 - 19: a y from here on is a second encoding of a smaller one.
const MODULUS: [u8; POINT_BYTES] = first_byte_then(0xed, 0xff, 0x7f);

const fn first_byte_then(first: u8, middle: u8, last: u8) -> [u8; POINT_BYTES] {
    let mut bytes = [middle; POINT_BYTES];
    bytes[0] = first;
    bytes[POINT_BYTES - 1] = last;
    bytes
}

/// A public key that signatures may be verified with.
pub(crate) struct VerifyingKey(ParsedPublicKey);

impl VerifyingKey {
    /// `None` if the bytes are a point of small order, or not the canonical encoding of a point.
    ///
    /// Whether they are a point at all shows at the first verification.
    pub(crate) fn new(bytes: &[u8; POINT_BYTES]) -> Option<Self> {
        if is_refused(bytes) {
            return None;
        }
        ParsedPublicKey::new(&ED25519, bytes).ok().map(Self)
    }

    /// Whether the key made this signature over exactly this message.
    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8; SIGNATURE_BYTES]) -> bool {
        let point_is_sound = signature.first_chunk::<POINT_BYTES>().is_some_and(|point| !is_refused(point));
        point_is_sound && self.0.verify_sig(message, signature).is_ok()
    }
}

/// Whether an encoded point has small order or is not the canonical encoding. An x of 0 with the sign bit set is not
/// canonical either; both points with that x have small order, so the list covers them.
fn is_refused(point: &[u8; POINT_BYTES]) -> bool {
    let mut y = *point;
    y[POINT_BYTES - 1] &= !SIGN_BIT;
    SMALL_ORDER_Y.contains(&y) || y.iter().rev().ge(MODULUS.iter().rev())
}

#[cfg(test)]
mod tests;
