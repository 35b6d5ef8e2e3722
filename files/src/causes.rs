//! An error and its causes as one line, for logs, reports and people.
//!
//! Invariant: the line has no character that moves a cursor, changes colors, turns the direction of text around or
//! forges a line, and is bounded.

use std::error::Error;

/// Longest line, in characters.
const MAX_CHARS: usize = 2_000;

/// An error and its causes in one line, separated by `: `.
#[must_use]
pub fn with_causes(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    escape(&text)
}

/// Any text in one line that can be shown: characters that could do harm become spaces.
#[must_use]
pub fn escape(text: &str) -> String {
    text.trim()
        .chars()
        .take(MAX_CHARS)
        .map(|character| if is_harmless(character) { character } else { ' ' })
        .collect()
}

/// Neither a control character nor one that turns the direction of text, nor a separator of lines.
fn is_harmless(character: char) -> bool {
    !character.is_control()
        && !matches!(
            character,
            '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_from_elsewhere_cannot_move_the_cursor_forge_a_line_or_fill_the_screen() {
        let hostile = "red \u{1b}[31m\r\nerror: forged \u{9b}2J \u{202e}turned\u{2028}x\u{7}";
        assert_eq!(escape(hostile), "red  [31m  error: forged  2J  turned x ");
        assert_eq!(escape(&"ü".repeat(10_000)).chars().count(), MAX_CHARS);
        let error = std::io::Error::other(std::io::Error::other("a\u{1b}b"));
        assert!(!with_causes(&error).contains('\u{1b}'));
    }

    #[test]
    fn every_cause_is_named_once_and_in_order() {
        #[derive(Debug, thiserror::Error)]
        #[error("cannot read the grant")]
        struct Outer(#[source] std::io::Error);
        let error = Outer(std::io::Error::other("disk on fire"));
        assert_eq!(with_causes(&error), "cannot read the grant: disk on fire");
    }
}
