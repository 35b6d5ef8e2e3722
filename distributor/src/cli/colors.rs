//! Colors for the words that say how something is: on a terminal only, and not where `NO_COLOR` is set.

use sealpost_service::output::shows_colors;

/// The word for a state, in its color where colors are shown.
pub(super) fn state(word: &str) -> String {
    colored(word, word, shows_colors())
}

/// The same for a cell that stands beside others: `cell` is what is printed for `word`.
pub(super) fn cell(cell: &str, word: &str) -> String {
    colored(cell, word, shows_colors())
}

fn colored(text: &str, word: &str, shown: bool) -> String {
    match code(word).filter(|_| shown) {
        Some(code) => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
        None => text.to_owned(),
    }
}

/// The color of a state: what is well, what waits for somebody, what was stopped or failed, what is over.
fn code(word: &str) -> Option<&'static str> {
    // What stands behind it in brackets is why.
    match word.split_once(" (").map_or(word, |(word, _)| word) {
        "approved" | "active" | "Active" | "completed" | "running" | "succeeded" => Some("32"),
        "staged" | "reserved" | "Reserved" | "warning" | "paused" | "offered" | "told" | "begun"
        | "installing" | "Scheduled" | "Installing" => Some("33"),
        "Contact lost" | "Two computers" | "halted" | "withdrawn" | "refused" | "rejected" | "forked"
        | "urgent" | "aborted" | "failed" | "Failed" | "silent" => Some("31"),
        "superseded" | "dropped" => Some("2"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use sealpost_service::text::harmless;

    use super::*;

    #[test]
    fn a_state_has_a_color_where_colors_are_shown_and_the_plain_word_elsewhere() {
        assert_eq!(colored("halted", "halted", true), "\u{1b}[31mhalted\u{1b}[0m");
        assert_eq!(colored("halted   ", "halted", false), "halted   ");
        for word in ["active", "staged", "halted", "superseded"] {
            let shown = colored(word, word, true);
            assert_eq!(harmless(&shown), shown, "what is printed keeps the color of {word}");
        }
        assert_eq!(colored("something new", "something new", true), "something new");
    }
}
