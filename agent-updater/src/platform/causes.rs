//! One line out of an error and its causes, or out of any text that came from elsewhere.
//!
//! Invariant: what goes to a terminal or into a log from here is short, and has no characters that could move a cursor,
//! change colors, turn the direction of text around, or forge a line.

use std::error::Error;

/// Longest line, in characters.
const MAX_CHARS: usize = 2_000;

/// An error and its causes in one line, for reports and for people.
#[must_use]
pub fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    one_line(&text)
}

/// A text in one line that can be shown.
#[must_use]
pub fn one_line(text: &str) -> String {
    text.trim()
        .chars()
        .take(MAX_CHARS)
        .map(|character| if is_shown(character) { character } else { ' ' })
        .collect()
}

/// Neither a control character nor one that turns the direction of text, nor a separator of lines.
fn is_shown(character: char) -> bool {
    !character.is_control()
        && !matches!(character, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_from_elsewhere_cannot_move_the_cursor_forge_a_line_or_fill_the_screen() {
        let hostile = "red \u{1b}[31m\r\nerror: forged \u{9b}2J \u{202e}turned\u{2028}x\u{7}";
        assert_eq!(one_line(hostile), "red  [31m  error: forged  2J  turned x ");
        assert_eq!(one_line(&"ü".repeat(10_000)).chars().count(), MAX_CHARS);
        let error = std::io::Error::other(std::io::Error::other("a\u{1b}b"));
        assert!(!with_causes(&error).contains('\u{1b}'));
    }
}
