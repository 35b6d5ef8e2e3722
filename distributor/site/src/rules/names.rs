//! Names of computers and channels, as people type them: what is the same name, and what is asked back.
//!
//! A name holds a seat for good, so a name that only looks like another one is not taken without a word. White space,
//! case, width and zero-width characters are the matter of `ComputerName` itself; a dot at the end (the root of the DNS)
//! is taken off here, because names with one may stand in older ledgers.

use std::collections::BTreeSet;

use sealpost_manifests::ids::{ChannelName, ComputerName};
use sealpost_manifests::wire::problem::{Problem, ProblemCode};
use unicode_security::MixedScript as _;

/// The letters that are drawn as nothing: the Hangul fillers, to which normalization leads others.
const INVISIBLE: [char; 2] = ['\u{115f}', '\u{1160}'];

/// What to do about a name whose letters come from several scripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MixedScripts {
    /// It is refused, so that somebody looks at it again.
    AskBack,
    /// Somebody looked at it, and means it.
    Meant,
}

/// The name without dots at its end.
#[must_use]
pub fn canonical(name: &ComputerName) -> ComputerName {
    let plain = name.as_str().trim_end_matches('.');
    ComputerName::new(plain).unwrap_or_else(|_| name.clone())
}

/// Why a name is asked back, if it is.
#[must_use]
pub fn asked_back(name: &ComputerName, mixed: MixedScripts) -> Option<Problem> {
    let is_plain = name.as_str().is_single_script() && !name.as_str().contains(INVISIBLE);
    if mixed == MixedScripts::Meant || is_plain {
        return None;
    }
    let spelled: String = name.as_str().chars().flat_map(spelled).collect();
    Some(Problem::new(
        ProblemCode::BadRequest,
        format!(
            "the name {name} mixes letters of several scripts, or has letters that nobody sees ({spelled}); a seat is \
             taken for good"
        ),
        "type it again; if it is meant so, add --mixed-scripts",
    ))
}

/// A character by which nobody can be deceived.
fn spelled(character: char) -> Vec<char> {
    if character.is_ascii() { vec![character] } else { character.escape_unicode().collect() }
}

/// Why a channel cannot be followed, if nobody ships anything to it. Before the first release nothing is known.
#[must_use]
pub fn unknown_channel(channel: &ChannelName, known: &BTreeSet<ChannelName>) -> Option<Problem> {
    if known.is_empty() || known.contains(channel) {
        return None;
    }
    let names: Vec<&str> = known.iter().map(AsRef::as_ref).collect();
    Some(Problem::new(
        ProblemCode::NotFound,
        format!("the vendor has no channel {channel}: a computer that follows it would get nothing"),
        format!("give one of these channels: {}", names.join(", ")),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> ComputerName {
        ComputerName::new(text).unwrap()
    }

    #[test]
    fn spellings_of_one_name_are_one_seat() {
        for spelling in [
            "h.example.com.",
            "H.Example.COM",
            "  h.example.com. ",
            "h.example.com..",
            "\u{ff48}\u{ff0e}example.com\u{ff0e}",
        ] {
            assert_eq!(canonical(&name(spelling)), name("h.example.com"), "{spelling:?}");
        }
        for hidden in
            ["h\u{200b}.example", "h\u{200d}.example", "h\u{ad}.example", "h.example\u{3002}", "h x"]
        {
            assert!(ComputerName::new(hidden).is_err(), "{hidden:?}");
        }
    }

    #[test]
    fn letters_of_several_scripts_are_asked_back_and_taken_when_they_are_meant() {
        for plain in ["pc-17", "straße-pc", "\u{43f}\u{43a}-17", "\u{6771}\u{4eac}\u{30bf}\u{30ef}\u{30fc}1"]
        {
            assert_eq!(asked_back(&name(plain), MixedScripts::AskBack), None, "{plain}");
        }
        // A Cyrillic es among Latin letters.
        let mixed = name("p\u{441}-17");
        let problem = asked_back(&mixed, MixedScripts::AskBack).unwrap();
        assert!(problem.message.contains("p\\u{441}-17"), "{}", problem.message);
        assert_eq!(asked_back(&mixed, MixedScripts::Meant), None);
    }

    #[test]
    fn a_name_with_a_letter_that_nobody_sees_is_asked_back() {
        assert_eq!(asked_back(&name("\u{cef4}\u{d4e8}\u{d130}"), MixedScripts::AskBack), None);
        for filler in ['\u{115f}', '\u{1160}', '\u{3164}', '\u{ffa0}'] {
            let hidden = name(&format!("\u{cef4}\u{d4e8}{filler}\u{d130}"));
            assert!(asked_back(&hidden, MixedScripts::AskBack).is_some(), "{filler:?}");
        }
    }

    #[test]
    fn a_channel_that_the_vendor_does_not_have_is_named_with_those_that_it_has() {
        let channel = |text: &str| ChannelName::new(text).unwrap();
        let known = BTreeSet::from([channel("beta"), channel("stable")]);
        let problem = unknown_channel(&channel("bata"), &known).unwrap();
        assert!(problem.hint.contains("beta, stable"), "{}", problem.hint);
        assert_eq!(unknown_channel(&channel("beta"), &known), None);
        assert_eq!(unknown_channel(&channel("beta"), &BTreeSet::new()), None, "before the first pull");
    }
}
