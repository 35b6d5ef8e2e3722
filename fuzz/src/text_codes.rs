//! Unlock codes and registration codes, as people type them.

use sealpost_manifests::grant::{Grant, verify_registration};
use sealpost_manifests::text_code::{CodeFormat, SHORTEST_CODE, TextCodeError, decode, encode_as, format_of};

use crate::reading::{text, verified};

/// Reads a code; it is written as another spelling of itself.
pub(crate) fn text_codes(data: &[u8]) -> bool {
    let Some(typed) = text(data) else { return false };
    let Ok(signed) = decode(typed) else { return false };
    assert!(typed.chars().count() >= SHORTEST_CODE, "a code of {} characters", typed.chars().count());
    for format in [CodeFormat::Lines, CodeFormat::Groups] {
        let written = encode_as(&signed, format);
        assert_eq!(format_of(&written), Some(format));
        let again = decode(&written).expect("a code that was written is read");
        assert_eq!((&again.document, again.minisig.as_str()), (&signed.document, signed.minisig.as_str()));
        assert_eq!(encode_as(&again, format), written, "it is written in one way");
        assert_typing_errors_are_found(&written, format);
    }
    drop(verified::<Grant>(&signed));
    drop(verify_registration(&signed));
    true
}

/// One wrong character is found on its line, and in its group where each has a check; a few places stand for all.
fn assert_typing_errors_are_found(code: &str, format: CodeFormat) {
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
        let found = match decode(&typed.join("\n")).err() {
            Some(TextCodeError::Check { line }) if format == CodeFormat::Lines => (line, None),
            Some(TextCodeError::Group { line, group, .. }) if format == CodeFormat::Groups => {
                (line, Some(group))
            }
            other => panic!("a typing error on line {} is {other:?}", line + 1),
        };
        assert_eq!(found, (line + 1, found.1.map(|_| at / 6 + 1)));
    }
}
