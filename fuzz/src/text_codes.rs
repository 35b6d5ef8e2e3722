//! Unlock codes and registration codes, as people type them.

use sealpost_manifests::grant::{Grant, verify_registration};
use sealpost_manifests::text_code::{SHORTEST_CODE, decode, encode};

use crate::reading::{text, verified};

/// Reads a code; it is written as another spelling of itself.
pub(crate) fn text_codes(data: &[u8]) -> bool {
    let Some(typed) = text(data) else { return false };
    let Ok(signed) = decode(typed) else { return false };
    assert!(typed.chars().count() >= SHORTEST_CODE, "a code of {} characters", typed.chars().count());
    let written = encode(&signed);
    let again = decode(&written).expect("a code that was written is read");
    assert_eq!((&again.document, again.minisig.as_str()), (&signed.document, signed.minisig.as_str()));
    assert_eq!(encode(&again), written, "it is written in one way");
    drop(verified::<Grant>(&signed));
    drop(verify_registration(&signed));
    true
}
