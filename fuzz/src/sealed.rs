//! Sealed documents, in two ways: any bytes, and honest documents that are changed on their way.
//!
//! No fuzzer finds a chunk that verifies. So a line of three numbers stands for a document that is sealed here: its
//! length in bytes, a place in the sealed bytes, and what is done there.

use sealpost_keys::sealed::{SealContext, claimed_recipient, open, seal, sealed_len};

use crate::fixed::{SEALED_TEXTS, seal_context, sealing_key};
use crate::reading::text;

/// Most bytes of plaintext that are accepted.
const MAX_BYTES: usize = 1024;
/// What stands before the chunks: magic, version, key id and HPKE's encapsulated key.
const HEADER_BYTES: usize = 8 + 4 + 8 + 32;
/// Longest document that is sealed here, in bytes: two whole chunks, and a bit.
const MAX_SEALED_HERE: usize = 2 * 65_536 + 2;

/// Opens bytes as a sealed document.
pub(crate) fn sealed_documents(data: &[u8]) -> bool {
    let numbers = text(data).and_then(|text| {
        let mut numbers = text.trim_end().split(' ').map(|number| number.parse::<usize>().ok());
        Some([numbers.next()??, numbers.next()??, numbers.next()??])
    });
    match numbers {
        Some([length, at, change]) if length <= MAX_SEALED_HERE => {
            changed_on_its_way(length, at, change);
            true
        }
        _ => foreign_bytes(data),
    }
}

/// A document that was cut, extended, reordered or changed anywhere is refused whole.
fn changed_on_its_way(length: usize, at: usize, change: usize) {
    let (key, context) = (sealing_key(), seal_context());
    let plain: Vec<u8> = (0..length).map(|index| index.to_le_bytes()[0]).collect();
    let sealed = seal(&plain, &key.public(), &context).expect("a sound key");
    assert_eq!(sealed.len(), sealed_len(length));
    let at = at % sealed.len();
    let mut changed = sealed.clone();
    match change % 5 {
        0 => changed[at] ^= 1 << (change / 5 % 8),
        1 => changed.truncate(at),
        2 => changed.extend_from_slice(&sealed[at..]),
        3 => drop(changed.remove(at)),
        _ => {
            let (_, chunks) = changed.split_at_mut(HEADER_BYTES);
            chunks.rotate_left(at % chunks.len());
        }
    }
    let opened = open(&changed, key, &context, MAX_SEALED_HERE);
    assert!(opened.is_err() || changed == sealed, "a changed document opens");
    assert_eq!(open(&sealed, key, &context, length).as_deref(), Ok(plain.as_slice()));
}

/// Only what was sealed for the fixed key, as what it is, opens.
fn foreign_bytes(data: &[u8]) -> bool {
    let context = seal_context();
    let claimed = claimed_recipient(data);
    let Ok(opened) = open(data, sealing_key(), &context, MAX_BYTES) else { return false };
    assert!(SEALED_TEXTS.contains(&opened.as_slice()), "changed bytes open");
    assert_eq!(claimed, Ok(sealing_key().public().key_id()));
    assert_eq!(data.len(), sealed_len(opened.len()));
    for other in [
        SealContext { document_type: "other", ..context },
        SealContext { document_version: 3, ..context },
        SealContext { party: "", ..context },
    ] {
        assert!(open(data, sealing_key(), &other, MAX_BYTES).is_err(), "it opens as another document");
    }
    if let Some(less) = opened.len().checked_sub(1) {
        assert!(open(data, sealing_key(), &context, less).is_err(), "the bound is exceeded");
    }
    true
}
