//! Sealed documents.

use sealpost_keys::sealed::{SealContext, claimed_recipient, open, sealed_len};

use crate::fixed::{SEALED_TEXTS, seal_context, sealing_key};

/// Most bytes of plaintext that are accepted.
const MAX_BYTES: usize = 1024;

/// Opens bytes as a sealed document. Only what was sealed for the fixed key, as what it is, opens.
pub(crate) fn sealed_documents(data: &[u8]) -> bool {
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
