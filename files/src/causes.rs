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
        .map(|character| if is_active(character) { ' ' } else { character })
        .collect()
}

/// Whether a character acts on a terminal, or on how what stands beside it is read: control characters, separators of lines, what
/// turns the direction of text, and all that is shown as nothing (`Default_Ignorable_Code_Point` of Unicode 16, and the marks of
/// annotations). The rules of a site have the same list.
#[must_use]
pub fn is_active(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            // Soft hyphen; marks that turn, join or hide; fillers that look like nothing; selectors of variants; tags.
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}'
                | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}'
                | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}'
                | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_from_elsewhere_cannot_move_the_cursor_forge_a_line_or_fill_the_screen() {
        let hostile = "red \u{1b}[31m\r\nerror: forged \u{9b}2J \u{202e}turned\u{2028}x\u{7}";
        assert_eq!(escape(hostile), "red  [31m  error: forged  2J  turned x ");
        assert_eq!(escape("a\u{61c}b\u{3164}c\u{e0041}d"), "a b c d");
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
