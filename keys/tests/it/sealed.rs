//! Sealed documents: who can open them, and that a changed one is refused whole. Offsets are those of the format as it
//! is documented, not the code's own constants.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use sealpost_keys::sealed::{OpenError, SealContext, claimed_recipient, open, seal, sealed_len};
use sealpost_keys::{KeyFileError, SealingKey, SealingKeyId, SealingPublicKey};

use crate::{golden, private_copy};

const CHUNK: usize = 65_536;
const SEALED_CHUNK: usize = CHUNK + 16;
const HEADER: usize = 52;

const CONTEXT: SealContext<'_> =
    SealContext { document_type: "sync", document_version: 2, party: "server-1" };

/// Bytes in which no two chunks are the same.
fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|index| u8::try_from((index * 31 + index / 251) % 256).unwrap()).collect()
}

fn key() -> SealingKey {
    SealingKey::generate().unwrap()
}

fn sealed_for(key: &SealingKey, length: usize) -> Vec<u8> {
    seal(&pattern(length), &key.public(), &CONTEXT).unwrap()
}

fn opened(sealed: &[u8], key: &SealingKey) -> Result<Vec<u8>, OpenError> {
    open(sealed, key, &CONTEXT, 1 << 20)
}

fn golden_key() -> SealingKey {
    let folder = tempfile::tempdir().unwrap();
    SealingKey::read_file(&private_copy("sealing.v2.key", folder.path())).unwrap()
}

#[test]
fn the_frozen_sealed_document_and_its_key_file_stay_readable() {
    let key = golden_key();
    assert_eq!(*key.to_bytes(), std::array::from_fn(|index| u8::try_from(index).unwrap()));
    assert_eq!(key.public().to_string(), "j0DFrbaPJWJK5bIU6nZ6bslNgp09e14a0bpvPiE4KF8=");
    assert_eq!(key.public().key_id().to_string(), "eedd883da0a94515");
    let sealed = fs::read(golden("document.v2.sealed")).unwrap();
    assert_eq!(sealed.len(), HEADER + SEALED_CHUNK + 100 + 16);
    assert_eq!(claimed_recipient(&sealed).unwrap(), key.public().key_id());
    assert_eq!(open(&sealed, &key, &CONTEXT, CHUNK + 100).unwrap(), pattern(CHUNK + 100));
}

#[test]
fn what_was_sealed_opens_again_at_every_chunk_boundary() {
    let key = key();
    for length in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 3 * CHUNK + 7] {
        let sealed = sealed_for(&key, length);
        let chunks = length.div_ceil(CHUNK).max(1);
        assert_eq!(sealed.len(), HEADER + length + 16 * chunks, "{length}");
        assert_eq!(sealed.len(), sealed_len(length), "{length}");
        assert_eq!(opened(&sealed, &key).unwrap(), pattern(length), "{length}");
    }
}

#[test]
fn the_same_bytes_sealed_twice_have_nothing_in_common_after_the_recipient() {
    let key = key();
    let (one, other) = (sealed_for(&key, 100), sealed_for(&key, 100));
    assert_eq!(one[..20], other[..20]);
    assert_ne!(one[20..52], other[20..52]);
    assert_ne!(one[52..68], other[52..68]);
}

#[test]
fn each_changed_bit_of_a_sealed_document_is_found() {
    let key = key();
    let whole = sealed_for(&key, 40);
    for index in 0..whole.len() {
        for bit in 0..8 {
            let mut changed = whole.clone();
            changed[index] ^= 1 << bit;
            assert!(opened(&changed, &key).is_err(), "byte {index}, bit {bit}");
        }
    }
}

#[test]
fn a_changed_bit_in_any_chunk_is_found() {
    let key = key();
    let whole = sealed_for(&key, 2 * CHUNK + 10);
    let (second, third) = (HEADER + SEALED_CHUNK, HEADER + 2 * SEALED_CHUNK);
    let places = [HEADER, second - 17, second - 1, second, second + 1000, third - 1, third, whole.len() - 1];
    for index in places {
        let mut changed = whole.clone();
        changed[index] ^= 0x80;
        assert_eq!(opened(&changed, &key), Err(OpenError::Refused), "byte {index}");
    }
}

#[test]
fn each_truncation_is_found_also_between_two_chunks() {
    let key = key();
    let small = sealed_for(&key, 40);
    for end in 0..small.len() {
        assert!(opened(&small[..end], &key).is_err(), "cut at {end}");
    }
    let large = sealed_for(&key, 3 * CHUNK);
    for chunks in 0..3 {
        let boundary = HEADER + chunks * SEALED_CHUNK;
        for end in boundary..boundary + 20 {
            assert!(opened(&large[..end], &key).is_err(), "cut at {end}");
        }
        assert!(opened(&large[..boundary + SEALED_CHUNK - 1], &key).is_err());
    }
    assert!(opened(&large, &key).is_ok());
}

#[test]
fn extra_bytes_after_the_last_chunk_are_found() {
    let key = key();
    for length in [0, 40, CHUNK] {
        let whole = sealed_for(&key, length);
        let again = &whole[HEADER..];
        for extra in [&[0][..], &[0; 16], &[0; 17], &whole, again] {
            let longer = [&whole, extra].concat();
            assert!(opened(&longer, &key).is_err(), "{length} bytes and {} more", extra.len());
        }
    }
}

#[test]
fn chunks_in_another_order_repeated_or_of_another_document_are_found() {
    let key = key();
    let (whole, other) = (sealed_for(&key, 3 * CHUNK), sealed_for(&key, 3 * CHUNK));
    let (head, body) = whole.split_at(HEADER);
    let chunk = |index: usize| &body[index * SEALED_CHUNK..(index + 1) * SEALED_CHUNK];
    let foreign = &other[HEADER..HEADER + SEALED_CHUNK];
    assert!(opened(&[head, chunk(0), chunk(1), chunk(2)].concat(), &key).is_ok());
    let orders: [&[&[u8]]; 6] = [
        &[head, chunk(1), chunk(0), chunk(2)],
        &[head, chunk(0), chunk(2), chunk(1)],
        &[head, chunk(0), chunk(0), chunk(2)],
        &[head, chunk(0), chunk(2)],
        &[head, chunk(0), chunk(1), chunk(1), chunk(2)],
        &[head, foreign, chunk(1), chunk(2)],
    ];
    for order in orders {
        assert_eq!(opened(&order.concat(), &key), Err(OpenError::Refused));
    }
}

#[test]
fn another_recipient_cannot_open_it_also_not_by_its_own_name_in_the_header() {
    let (key, other) = (key(), key());
    let mut sealed = sealed_for(&key, 40);
    let refused =
        OpenError::OtherRecipient { sealed_for: key.public().key_id(), key: other.public().key_id() };
    assert_eq!(opened(&sealed, &other), Err(refused));
    let renamed = sealed_for(&other, 40);
    sealed[12..20].copy_from_slice(&renamed[12..20]);
    assert_eq!(claimed_recipient(&sealed).unwrap(), other.public().key_id());
    assert_eq!(opened(&sealed, &other), Err(OpenError::Refused));
    assert!(opened(&sealed, &key).is_err());
}

#[test]
fn a_document_opens_only_as_what_it_was_sealed_as() {
    let key = key();
    let sealed = sealed_for(&key, 40);
    let others = [
        SealContext { document_type: "backup", ..CONTEXT },
        SealContext { document_version: 3, ..CONTEXT },
        SealContext { party: "server-2", ..CONTEXT },
        SealContext { party: "", ..CONTEXT },
        // The same letters, divided in another way.
        SealContext { document_type: "syn", party: "cserver-1", ..CONTEXT },
    ];
    for context in others {
        assert_eq!(open(&sealed, &key, &context, 1000), Err(OpenError::Refused), "{context:?}");
    }
    assert!(open(&sealed, &key, &CONTEXT, 1000).is_ok());
}

#[test]
fn another_format_version_is_refused_by_name_and_foreign_bytes_are_no_sealed_document() {
    let key = key();
    let mut sealed = sealed_for(&key, 40);
    for version in [0, 1, 3, u32::MAX] {
        sealed[8..12].copy_from_slice(&version.to_be_bytes());
        assert_eq!(opened(&sealed, &key), Err(OpenError::OtherVersion { found: version }));
    }
    for foreign in [&b""[..], b"SPSEALE", b"{\"type\": \"sync\"}", &[0; 200]] {
        assert_eq!(opened(foreign, &key), Err(OpenError::NotSealed));
        assert_eq!(claimed_recipient(foreign), Err(OpenError::NotSealed));
    }
}

#[test]
fn a_document_over_the_bound_is_refused_before_anything_is_decrypted() {
    let key = key();
    let sealed = sealed_for(&key, CHUNK + 1);
    assert!(open(&sealed, &key, &CONTEXT, CHUNK + 1).is_ok());
    let refused = OpenError::TooLong { length: CHUNK + 1, max_bytes: CHUNK };
    assert_eq!(open(&sealed, &key, &CONTEXT, CHUNK), Err(refused.clone()));
    // Not even that the chunks are nonsense is noticed.
    let mut nonsense = sealed.clone();
    nonsense[HEADER..].fill(0);
    assert_eq!(open(&nonsense, &key, &CONTEXT, CHUNK), Err(refused));
    assert_eq!(open(&nonsense, &key, &CONTEXT, CHUNK + 1), Err(OpenError::Refused));
}

#[test]
fn nothing_is_sealed_for_bytes_that_are_no_usable_key() {
    // A point of small order: the shared secret would be zero, whoever opens.
    let unusable = SealingPublicKey::from_bytes([0; 32]);
    let refused = seal(b"secret", &unusable, &CONTEXT).unwrap_err();
    assert_eq!(refused.recipient, unusable.key_id());
}

#[test]
fn a_sealing_key_and_its_id_read_back_from_their_text_and_json() {
    let public = key().public();
    assert_eq!(public.to_string().parse::<SealingPublicKey>().unwrap(), public);
    let json = serde_json::to_string(&public).unwrap();
    assert_eq!(serde_json::from_str::<SealingPublicKey>(&json).unwrap(), public);
    let id = public.key_id();
    assert_eq!(id.to_string().parse::<SealingKeyId>().unwrap(), id);
    let json = serde_json::to_string(&id).unwrap();
    assert_eq!(serde_json::from_str::<SealingKeyId>(&json).unwrap(), id);
    let text = public.to_string();
    // The last character but one holds two bits that no byte has.
    let second_form = format!("{}/=", &text[..42]);
    for wrong in ["", &text[1..], &format!("{text}="), &second_form, &"=".repeat(44)] {
        assert!(wrong.parse::<SealingPublicKey>().is_err(), "{wrong}");
    }
    for wrong in ["", "0123", "0123456789ABCDEF", "0123456789abcdef0"] {
        assert!(wrong.parse::<SealingKeyId>().is_err(), "{wrong}");
    }
}

#[test]
fn a_sealing_key_does_not_show_its_secret() {
    let key = golden_key();
    assert_eq!(format!("{key:?}"), format!("SealingKey({}, secret not shown)", key.public().key_id()));
}

#[test]
fn a_sealing_key_file_is_private_and_never_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("seal.key");
    let key = key();
    key.write_file(&path).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(SealingKey::read_file(&path).unwrap().public(), key.public());
    assert!(matches!(key.write_file(&path), Err(KeyFileError::Exists { .. })));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    assert!(matches!(SealingKey::read_file(&path), Err(KeyFileError::Exposed { mode: 0o640, .. })));
    assert!(matches!(SealingKey::read_file(folder.path()), Err(KeyFileError::Read { .. })));
}

#[test]
fn every_cut_and_every_changed_byte_of_a_sealing_key_file_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let path = private_copy("sealing.v2.key", folder.path());
    let whole = fs::read(&path).unwrap();
    let refused = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        matches!(SealingKey::read_file(&path), Err(KeyFileError::NotASealingKey { .. }))
    };
    for end in 0..whole.len() {
        assert!(refused(&whole[..end]), "cut at {end}");
    }
    for index in 0..whole.len() {
        let mut changed = whole.clone();
        changed[index] ^= 1;
        assert!(refused(&changed), "changed at {index}");
    }
    assert!(refused(&[&whole[..], b"\n"].concat()));
    assert!(refused(&vec![b'A'; 1 << 20]));
}
