//! Text from outside, made harmless and bounded before it is stored or shown.
//!
//! Invariant: nothing that came from outside reaches a terminal or a log file as a control character.

use std::fmt;

use jiff::SignedDuration;

/// Longest piece of outside text in a line, in characters: a line stays a line.
const MAX_SHOWN_CHARS: usize = 300;
/// Names that one line names.
const MAX_NAMED: usize = 5;
/// Longest reason or problem that is stored, in characters: hostile input does not fill the log.
const MAX_STORED_CHARS: usize = 500;
/// Longest comment of a person, in bytes.
pub const MAX_COMMENT_BYTES: usize = 2 * 1024;
/// Longest agent version that is stored, in characters.
const MAX_AGENT_VERSION_CHARS: usize = 64;
/// Longest source (IP address or account) that is stored, in characters.
const MAX_SOURCE_CHARS: usize = 64;

/// Outside text made harmless: control characters, line separators, characters that turn the direction of writing and those that
/// are shown as nothing are written as `\u{…}`; cut to 300 characters.
#[must_use]
pub fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len().min(MAX_SHOWN_CHARS));
    for (index, character) in text.chars().enumerate() {
        if index == MAX_SHOWN_CHARS {
            safe.push('…');
            break;
        }
        if character == '\n' || character == '\t' {
            safe.push(' ');
        } else if is_harmful(character) {
            safe.extend(character.escape_unicode());
        } else {
            safe.push(character);
        }
    }
    safe
}

/// Control characters, separators of lines, what turns the direction of writing, and all that is shown as nothing
/// (`Default_Ignorable_Code_Point` of Unicode 16, and the marks of annotations). The programs have the same list for terminals.
fn is_harmful(character: char) -> bool {
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

/// Whether a text is of the characters that a ledger may hold as a description. This set is part of the ledger's format: with fewer
/// characters an older ledger could not be read. What else is harmful in them is escaped where it is shown.
pub(crate) fn may_stand_in_a_ledger(text: &str) -> bool {
    text.chars().count() <= MAX_SHOWN_CHARS
        && !text.chars().any(|character| {
            character.is_control()
                || matches!(
                    character,
                    '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}'
                )
        })
}

/// As much of a text as fits into so many bytes, in whole characters.
#[must_use]
pub fn at_most(text: &str, max_bytes: usize) -> &str {
    let end = (0..=max_bytes.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    end.and_then(|end| text.get(..end)).unwrap_or_default()
}

/// What a person wrote, as it is stored: whole. Commands refuse what is longer.
#[must_use]
pub fn comment(text: &str) -> String {
    at_most(text.trim(), MAX_COMMENT_BYTES).to_owned()
}

/// A reason or problem from a program or another site, as it is stored.
#[must_use]
pub fn stored(text: &str) -> String {
    cut(text, MAX_STORED_CHARS)
}

/// An agent's version as it is stored. Unknown computers name one too: what is no ASCII letter, digit or one of `.+-_~:` is
/// written as `?`, so that it forges neither a column nor another version that looks alike.
#[must_use]
pub fn agent_version(text: &str) -> String {
    let plain = |character: char| {
        let is_plain =
            character.is_ascii_alphanumeric() || matches!(character, '.' | '+' | '-' | '_' | '~' | ':');
        if is_plain { character } else { '?' }
    };
    text.chars().take(MAX_AGENT_VERSION_CHARS).map(plain).collect()
}

/// The source of a request as it is stored.
#[must_use]
pub fn source(text: &str) -> String {
    cut(text, MAX_SOURCE_CHARS)
}

/// A number with its noun: "1 computer", "2 computers".
#[must_use]
pub fn counted(count: u64, one: &str, more: &str) -> String {
    Counted(count, one, more).to_string()
}

/// The same, for a sentence that is written at one go.
#[derive(Debug, Clone, Copy)]
pub struct Counted<'a>(pub u64, pub &'a str, pub &'a str);

impl fmt::Display for Counted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(count, one, more) = self;
        write!(f, "{count} {}", if *count == 1 { one } else { more })
    }
}

/// A duration in its two largest units: "3 d 4 h", "2 h 5 min", "40 s".
#[must_use]
pub fn span(duration: SignedDuration) -> String {
    Span(duration).to_string()
}

/// The same, for a sentence that is written at one go.
#[derive(Debug, Clone, Copy)]
pub struct Span(pub SignedDuration);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs().max(0);
        let parts = [
            (seconds / 86_400, "d"),
            (seconds / 3_600 % 24, "h"),
            (seconds / 60 % 60, "min"),
            (seconds % 60, "s"),
        ];
        let units = parts.iter().skip_while(|(count, _)| *count == 0).take(2);
        let mut before = "";
        for (count, unit) in units.filter(|(count, _)| *count > 0) {
            write!(f, "{before}{count} {unit}")?;
            before = " ";
        }
        if before.is_empty() { f.write_str("0 s") } else { Ok(()) }
    }
}

/// A number of bytes in decimal units, rounded down to a tenth: "1.2 GB", "700 B".
#[must_use]
pub fn bytes(count: u64) -> String {
    for (unit, factor) in [("GB", 1_000_000_000), ("MB", 1_000_000), ("kB", 1_000)] {
        if count >= factor {
            return format!("{}.{} {unit}", count / factor, count % factor * 10 / factor);
        }
    }
    format!("{count} B")
}

/// The first five of `count` names, for a line that people read. `names` may be cut at five or more.
#[must_use]
pub fn first_names<N: AsRef<str>>(names: &[N], count: u64) -> String {
    more_than(MAX_NAMED, names, count)
}

/// The first `most` of `count` names, and how many more there are.
#[must_use]
pub fn more_than<N: AsRef<str>>(most: usize, names: &[N], count: u64) -> String {
    let first: Vec<&str> = names.iter().take(most).map(AsRef::as_ref).collect();
    match count.saturating_sub(first.len() as u64) {
        0 => first.join(", "),
        more => format!("{} and {more} more", first.join(", ")),
    }
}

fn cut(text: &str, max_chars: usize) -> String {
    text.chars().take(max_chars).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outside_text_cannot_move_a_cursor_or_forge_a_line() {
        assert_eq!(escape("a\u{1b}[2J\r\nb\u{202e}c\u{9b}"), "a\\u{1b}[2J\\u{d} b\\u{202e}c\\u{9b}");
        assert_eq!(escape("plain – ünïcode"), "plain – ünïcode");
        assert_eq!(escape("a\u{61c}\u{3164}\u{ad}\u{e0041}b"), "a\\u{61c}\\u{3164}\\u{ad}\\u{e0041}b");
        assert_eq!(escape(&"x".repeat(5000)).chars().count(), 301);
    }

    #[test]
    fn what_an_older_ledger_may_hold_can_still_be_read_from_it() {
        for text in ["a family: \u{1f469}\u{200d}\u{1f467}", "\u{26a0}\u{fe0f}", "soft\u{ad}hyphen", ""] {
            assert!(may_stand_in_a_ledger(text), "{text:?}");
        }
        for text in ["a\nb", "a\u{202e}b", "\u{61c}", "\u{9b}2J", &"x".repeat(301)] {
            assert!(!may_stand_in_a_ledger(text), "{text:?}");
        }
    }

    #[test]
    fn a_duration_is_said_in_its_two_largest_units() {
        for (seconds, said) in [
            (0, "0 s"),
            (-5, "0 s"),
            (40, "40 s"),
            (60, "1 min"),
            (61, "1 min 1 s"),
            (7_500, "2 h 5 min"),
            (86_400 * 3 + 60, "3 d"),
        ] {
            assert_eq!(span(SignedDuration::from_secs(seconds)), said);
        }
    }

    #[test]
    fn five_names_are_named_and_how_many_more_there_are_is_said() {
        let names = ["a", "b", "c", "d", "e", "f"];
        assert_eq!(first_names(&names[..2], 2), "a, b");
        assert_eq!(first_names(&names[..5], 5), "a, b, c, d, e");
        assert_eq!(first_names(&names, 6), "a, b, c, d, e and 1 more");
        assert_eq!(first_names(&names[..2], 900), "a, b and 898 more");
    }

    #[test]
    fn what_is_stored_is_bounded_in_characters_and_never_cut_inside_one() {
        assert_eq!(stored(&"ü".repeat(5000)).chars().count(), 500);
        let said = "ü".repeat(MAX_COMMENT_BYTES / 2);
        assert_eq!(comment(&format!("  {said}\n")), said, "what a person wrote is kept whole");
        assert_eq!(comment(&format!("{said}x")), said);
        assert_eq!(agent_version(&"ü".repeat(5000)), "?".repeat(64));
        assert_eq!(agent_version("1.0.2-rc.1+git_0~b:7"), "1.0.2-rc.1+git_0~b:7");
        assert_eq!(agent_version("1.0  pc-1\u{430}\u{1b}\n(x)"), "1.0??pc-1????x?");
        assert_eq!(source("192.0.2.1"), "192.0.2.1");
        assert_eq!((at_most("aü", 2), at_most("aü", 3), at_most("a", 9)), ("a", "aü", "a"));
    }
}
