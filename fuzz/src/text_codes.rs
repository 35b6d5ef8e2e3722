//! Unlock codes and registration codes, as people type them.

use sealpost_manifests::grant::{Grant, verify_registration};
use sealpost_manifests::text_code::{SHORTEST_CODE, TextCodeError, decode, encode};

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
    assert_typing_errors_are_found(&written);
    drop(verified::<Grant>(&signed));
    drop(verify_registration(&signed));
    true
}

/// One wrong character is found on its line, wherever it stands; a few places stand for all.
fn assert_typing_errors_are_found(code: &str) {
    let lines: Vec<&str> = code.lines().collect();
    for line in [0, lines.len() / 2, lines.len() - 1] {
        let at = (line * 7) % (lines[line].len() - 2);
        let at = if lines[line].as_bytes()[at] == b'-' { at + 1 } else { at };
        let typo = if lines[line].as_bytes()[at] == b'7' { "8" } else { "7" };
        let wrong = format!("{}{typo}{}", &lines[line][..at], &lines[line][at + 1..]);
        let typed: Vec<&str> = lines
            .iter()
            .enumerate()
            .map(|(index, right)| if index == line { &wrong } else { *right })
            .collect();
        assert_eq!(decode(&typed.join("\n")).err(), Some(TextCodeError::Check { line: line + 1 }));
    }
}
