//! HPKE itself, with the published test vectors of RFC 9180 for this suite in base mode.
//!
//! Sealing draws a random key, so vectors can only be opened: through the same function by which [`super::open`] gets
//! its opener.

use data_encoding::HEXLOWER;
use zeroize::Zeroizing;

use super::{OpenError, SealingKey, opener};

/// The values of the RFC's file of test vectors, suite (0x0020, 0x0001, 0x0002), mode 0. The `aad` of number *i* is
/// `Count-i`; every plaintext is the same.
const VECTORS: &str = include_str!("../../tests/golden/hpke-0020-0001-0002-base.txt");

fn values(name: &str) -> Vec<Vec<u8>> {
    let lines = VECTORS.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    lines.map(|hex| HEXLOWER.decode(hex.as_bytes()).unwrap()).collect()
}

fn value<const N: usize>(name: &str) -> [u8; N] {
    let [value] = values(name).try_into().unwrap();
    value.try_into().unwrap()
}

#[test]
fn the_vectors_of_the_rfc_open_at_every_sequence_number() {
    let key = SealingKey::from_bytes(Zeroizing::new(value("skRm"))).unwrap();
    assert_eq!(key.public().as_bytes(), &value("pkRm"));
    let plain: [u8; 29] = value("pt");
    let sealed = values("ct");
    // The second byte of the number is reached too.
    assert_eq!(sealed.len(), 257);
    let mut opener = opener(&value("enc"), &value::<20>("info"), &key).unwrap();
    for (number, sealed) in sealed.iter().enumerate() {
        let opened = opener.open(format!("Count-{number}").as_bytes(), sealed).unwrap();
        assert_eq!(opened, plain, "number {number}");
    }
}

#[test]
fn a_vector_of_the_rfc_does_not_open_under_another_info_or_number_or_with_another_key() {
    let key = SealingKey::from_bytes(Zeroizing::new(value("skRm"))).unwrap();
    let (encapsulated, info, sealed) = (value("enc"), value::<20>("info"), values("ct"));
    let opens = |key: &SealingKey, info: &[u8], number: usize| {
        let mut opener = opener(&encapsulated, info, key).unwrap();
        opener.open(format!("Count-{number}").as_bytes(), &sealed[number]).is_ok()
    };
    assert!(opens(&key, &info, 0));
    assert!(!opens(&key, &info, 1));
    assert!(!opens(&key, &info[1..], 0));
    assert!(!opens(&SealingKey::generate().unwrap(), &info, 0));
}

#[test]
fn an_encapsulated_key_of_small_order_is_refused() {
    let key = SealingKey::generate().unwrap();
    assert!(matches!(opener(&[0; 32], b"", &key), Err(OpenError::Refused)));
}
