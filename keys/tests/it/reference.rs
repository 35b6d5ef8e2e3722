//! Our verification beside the crate `minisign-verify`, which is the reference: what it refuses, we refuse.

use data_encoding::{BASE64, HEXLOWER};
use sealpost_keys::verify::verify;
use sealpost_keys::{KeyId, Minisig, PublicKey, SigningKey};

use crate::{comment, golden_key};

/// The order of the base point, little-endian.
const GROUP_ORDER: &str = "edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010";
/// The canonical encodings of the eight points whose order divides 8.
const SMALL_ORDER: [&str; 8] = [
    "0100000000000000000000000000000000000000000000000000000000000000",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
];
/// Other encodings of the same points: x = 0 with the sign bit, and y above the field's modulus.
const SMALL_ORDER_AGAIN: [&str; 6] = [
    "0100000000000000000000000000000000000000000000000000000000000080",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
];

/// A signed file in parts, each of which can be changed.
#[derive(Clone)]
struct Parts {
    message: Vec<u8>,
    key: Vec<u8>,
    key_id: Vec<u8>,
    algorithm: Vec<u8>,
    claimed_id: Vec<u8>,
    signature: Vec<u8>,
    comment: Vec<u8>,
    global_signature: Vec<u8>,
}

impl Parts {
    fn signed(key: &SigningKey, message: &[u8], text: &str) -> Self {
        let minisig = key.sign(message, &comment(text));
        let lines: Vec<&str> = minisig.as_str().lines().collect();
        let first = BASE64.decode(lines[1].as_bytes()).unwrap();
        Self {
            message: message.to_vec(),
            key: key.public().ed25519_bytes().to_vec(),
            key_id: key.public().id().as_bytes().to_vec(),
            algorithm: first[..2].to_vec(),
            claimed_id: first[2..10].to_vec(),
            signature: first[10..].to_vec(),
            comment: text.as_bytes().to_vec(),
            global_signature: BASE64.decode(lines[3].as_bytes()).unwrap(),
        }
    }

    fn text(&self) -> String {
        format!(
            "untrusted comment: c\n{}\ntrusted comment: {}\n{}\n",
            BASE64.encode(&[&self.algorithm[..], &self.claimed_id, &self.signature].concat()),
            String::from_utf8_lossy(&self.comment),
            BASE64.encode(&self.global_signature),
        )
    }

    fn reference_accepts(&self) -> bool {
        let key = BASE64.encode(&[b"Ed", &self.key_id[..], &self.key].concat());
        let key = minisign_verify::PublicKey::from_base64(&key).unwrap();
        minisign_verify::Signature::decode(&self.text())
            .is_ok_and(|signature| key.verify(&self.message, &signature, false).is_ok())
    }

    fn we_accept(&self) -> bool {
        let id = KeyId::from_bytes(self.key_id.clone().try_into().unwrap());
        let key = PublicKey::new(id, self.key.clone().try_into().unwrap());
        Minisig::parse(&self.text())
            .is_ok_and(|minisig| verify(self.message.clone(), &minisig, &[key]).is_ok())
    }
}

/// A sequence that looks random and is the same in each run (xorshift64).
struct Sequence(u64);

impl Sequence {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % limit
    }
}

fn hex(text: &str) -> Vec<u8> {
    HEXLOWER.decode(text.as_bytes()).unwrap()
}

#[test]
fn of_some_thousand_changed_files_both_accept_the_same() {
    let key = golden_key();
    let mut sequence = Sequence(0x5ea1_9057);
    let (mut accepted, mut refused) = (0, 0);
    for round in 0..4_000 {
        let message: Vec<u8> =
            (0..sequence.below(200)).map(|_| sequence.below(256).to_le_bytes()[0]).collect();
        let mut parts = Parts::signed(&key, &message, &format!("round:{round}"));
        // A key, an R and an S are changed most often. Each ninth file stays as it is.
        let flips = if round % 9 == 0 { 0 } else { 1 + sequence.below(3) };
        for _ in 0..flips {
            let part = match sequence.below(10) {
                0..3 => &mut parts.signature,
                3..5 => &mut parts.global_signature,
                5..7 => &mut parts.key,
                7 => &mut parts.message,
                8 => &mut parts.comment,
                _ => [&mut parts.algorithm, &mut parts.claimed_id, &mut parts.key_id][sequence.below(3)],
            };
            if !part.is_empty() {
                let byte = sequence.below(part.len());
                part[byte] ^= 1 << sequence.below(8);
            }
        }
        assert_eq!(parts.we_accept(), parts.reference_accepts(), "round {round}:\n{}", parts.text());
        if parts.we_accept() { accepted += 1 } else { refused += 1 }
    }
    assert!(accepted >= 4_000 / 9 && refused > 3_000, "{accepted} accepted, {refused} refused");
}

#[test]
fn of_some_thousand_changed_texts_both_read_the_same() {
    let text = Parts::signed(&golden_key(), b"m", "a comment").text();
    let mut sequence = Sequence(0x0071_e575);
    for round in 0..4_000 {
        let mut changed = text.clone().into_bytes();
        for _ in 0..1 + sequence.below(2) {
            let at = sequence.below(changed.len());
            match sequence.below(4) {
                0 => drop(changed.remove(at)),
                1 => changed.insert(at, b"=A\n /+r"[sequence.below(7)]),
                2 => changed[at] = b"=A\n /+r"[sequence.below(7)],
                _ => changed[at] ^= 1 << sequence.below(7),
            }
        }
        let changed = String::from_utf8(changed).unwrap();
        let four_lines = changed.lines().skip(4).all(|line| line.trim().is_empty());
        let theirs = minisign_verify::Signature::decode(&changed);
        let ours = Minisig::parse(&changed);
        assert_eq!(ours.is_ok(), theirs.is_ok() && four_lines, "round {round}: {changed:?}");
    }
}

#[test]
fn an_s_beyond_the_group_order_is_refused_although_the_equation_holds() {
    let sound = Parts::signed(&golden_key(), b"message", "c");
    assert!(sound.we_accept() && sound.reference_accepts());
    for global in [false, true] {
        let mut parts = sound.clone();
        let signature = if global { &mut parts.global_signature } else { &mut parts.signature };
        let mut carry = 0;
        for (byte, order) in signature[32..].iter_mut().zip(hex(GROUP_ORDER)) {
            let sum = u16::from(*byte) + u16::from(order) + carry;
            (*byte, carry) = (sum.to_le_bytes()[0], sum >> 8);
        }
        assert_eq!(carry, 0);
        assert!(!parts.reference_accepts() && !parts.we_accept(), "global: {global}");
    }
}

/// Under a key of small order, anyone can sign: S is 0, and one of eight R fits.
#[test]
fn a_file_that_nobody_signed_is_refused_under_a_key_of_small_order_also_where_the_reference_accepts_it() {
    let template = Parts::signed(&golden_key(), b"", "forged");
    let mut accepted_by_reference = 0;
    for key in SMALL_ORDER.into_iter().chain(SMALL_ORDER_AGAIN) {
        let forged = (0..1_000).map(|attempt: usize| {
            let point = |at: usize| [hex(SMALL_ORDER[at % 8]), vec![0; 32]].concat();
            Parts {
                key: hex(key),
                message: attempt.to_le_bytes().to_vec(),
                signature: point(attempt),
                global_signature: point(attempt / 8),
                ..template.clone()
            }
        });
        let mut reference_accepts = false;
        for parts in forged {
            assert!(!parts.we_accept(), "key {key}");
            reference_accepts |= parts.reference_accepts();
            if reference_accepts {
                break;
            }
        }
        accepted_by_reference += usize::from(reference_accepts);
    }
    // The reference knows the neutral element and the point of 32 zero bytes.
    assert_eq!(accepted_by_reference, 11);
}

#[test]
fn a_key_line_that_the_reference_refuses_is_refused() {
    let line = golden_key().public().to_base64();
    for at in 0..line.len() {
        for character in ['A', '=', ' ', '\n', '-'] {
            let mut changed = line.clone();
            changed.replace_range(at..=at, &character.to_string());
            let reference = minisign_verify::PublicKey::from_base64(&changed);
            assert!(reference.is_ok() || PublicKey::from_base64(&changed).is_err(), "{changed}");
        }
    }
}
