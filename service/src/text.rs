//! Making text harmless that goes to a terminal: a release's notes must not move the cursor of the person who reviews
//! them, and a computer's name must not turn a line around.
//!
//! Invariant: of all that a terminal acts on, line breaks, tabs and our own colors pass, and those only in whole lines.

use std::fmt::Write as _;

use sealpost_files::is_active;

/// The colors that the programs use, and their end.
const COLORS: [&str; 5] = ["\u{1b}[0m", "\u{1b}[2m", "\u{1b}[31m", "\u{1b}[32m", "\u{1b}[33m"];

/// Text from outside, on one line, without anything that a terminal acts on.
#[must_use]
pub fn plain(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        if is_active(character) {
            // Writing into a String cannot fail.
            let _ = write!(safe, "{}", character.escape_default());
        } else {
            safe.push(character);
        }
    }
    safe
}

/// The same for text of several lines.
#[must_use]
pub fn plain_lines(text: &str) -> String {
    text.lines().map(plain).collect::<Vec<_>>().join("\n")
}

/// Whole lines as they go to a terminal: of all that a terminal acts on, line breaks, tabs and our own colors are left.
#[must_use]
pub fn harmless(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        let color = leading_color(rest);
        let (taken, behind) = rest.split_at(if color == 0 { character.len_utf8() } else { color });
        if color > 0 || matches!(character, '\n' | '\t') || !is_active(character) {
            safe.push_str(taken);
        } else {
            // Writing into a String cannot fail.
            let _ = write!(safe, "{}", character.escape_default());
        }
        rest = behind;
    }
    safe
}

/// The same for JSON, which says the same afterwards: such characters stand in its strings alone.
#[must_use]
pub fn harmless_json(json: &str) -> String {
    let mut safe = String::with_capacity(json.len());
    for character in json.chars() {
        if character != '\n' && is_active(character) {
            for unit in character.encode_utf16(&mut [0; 2]) {
                // Writing into a String cannot fail.
                let _ = write!(safe, "\\u{unit:04x}");
            }
        } else {
            safe.push(character);
        }
    }
    safe
}

/// The length of a color of ours at the beginning of a text, in bytes; 0 if there is none.
fn leading_color(text: &str) -> usize {
    COLORS.into_iter().find(|color| text.starts_with(color)).map_or(0, str::len)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_outside_cannot_move_the_cursor_or_turn_the_line_around() {
        assert_eq!(plain("a\u{1b}[2Jb\rc\u{202e}d"), "a\\u{1b}[2Jb\\rc\\u{202e}d");
        assert_eq!(plain("Grüße, 世界"), "Grüße, 世界");
        assert_eq!(plain_lines("a\n\u{7}b"), "a\n\\u{7}b");
    }

    /// One of each range of what is shown as nothing or turns what stands beside it, with its ends.
    const INVISIBLE: &str = "\u{ad}\u{34f}\u{61c}\u{115f}\u{1160}\u{17b4}\u{17b5}\u{180b}\u{180e}\u{180f}\u{200b}\u{200f}\u{2028}\
        \u{202e}\u{2060}\u{2066}\u{206f}\u{3164}\u{fe00}\u{fe0f}\u{feff}\u{ffa0}\u{fff0}\u{fff9}\u{fffb}\u{1bca0}\u{1bca3}\u{1d173}\
        \u{1d17a}\u{e0000}\u{e0001}\u{e007f}\u{e0100}\u{e0fff}";

    #[test]
    fn nothing_that_is_shown_as_nothing_reaches_a_terminal() {
        for character in INVISIBLE.chars() {
            let text = format!("a{character}b");
            let escaped = format!("a\\u{{{:x}}}b", u32::from(character));
            assert_eq!((plain(&text), harmless(&text)), (escaped.clone(), escaped));
            let json = harmless_json(&format!("\"{text}\""));
            assert!(json.is_ascii(), "{json}");
        }
        assert_eq!(harmless_json("\"\u{61c}\u{e0041}\""), "\"\\u061c\\udb40\\udc41\"");
    }

    #[test]
    fn whatever_is_printed_keeps_our_colors_and_nothing_else_that_a_terminal_acts_on() {
        let red = "\u{1b}[31mhalted\u{1b}[0m";
        assert_eq!(harmless(&format!("{red}\ta\nb")), format!("{red}\ta\nb"));
        assert_eq!(
            harmless("a\u{1b}]0;title\u{7}\u{9b}2J\u{1b}[5m"),
            "a\\u{1b}]0;title\\u{7}\\u{9b}2J\\u{1b}[5m"
        );
    }

    #[test]
    fn json_is_made_harmless_without_saying_anything_else() {
        assert_eq!(
            harmless_json("{\n\"name\": \"a\u{9b}2J\u{202e}\u{7f}\"\n}"),
            "{\n\"name\": \"a\\u009b2J\\u202e\\u007f\"\n}"
        );
    }
}
