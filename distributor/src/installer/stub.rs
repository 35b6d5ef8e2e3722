//! The script at the beginning of an install file.
//!
//! Invariant: nothing stands in it that a shell could take for more than a word: names, ids and keys have no quote, and are
//! checked again here.

use jiff::Timestamp;

/// The script, with marks for what varies.
const SCRIPT: &str = include_str!("install.sh");
/// Digits of the two places, so that the script's length does not depend on them.
const DIGITS: usize = 12;

/// What varies.
#[derive(Debug)]
pub(super) struct About<'a> {
    pub(super) name: &'a str,
    pub(super) server: &'a str,
    pub(super) platform: &'a str,
    pub(super) key: &'a str,
    pub(super) made_at: Timestamp,
    pub(super) not_before: Option<Timestamp>,
}

/// The script for a payload of so many bytes; `None` if something in it is no plain word.
pub(super) fn script(about: &About<'_>, payload_bytes: u64) -> Option<String> {
    let words = [about.name, about.server, about.platform, about.key];
    if !words.into_iter().all(is_plain) {
        return None;
    }
    let time = |time: Timestamp| time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let not_before = about.not_before.unwrap_or(Timestamp::UNIX_EPOCH);
    let text = [
        ("@NAME@", about.name.to_owned()),
        ("@SERVER@", about.server.to_owned()),
        ("@PLATFORM@", about.platform.to_owned()),
        ("@KEY@", about.key.to_owned()),
        ("@MADE@", time(about.made_at)),
        ("@NOT_BEFORE@", not_before.as_second().max(0).to_string()),
        ("@WAITS_UNTIL@", time(not_before)),
    ]
    .into_iter()
    .fold(SCRIPT.to_owned(), |text, (mark, value)| text.replace(mark, &value));
    // Both with the digits that they will have; a shell reads a number with a leading 0 as octal, so blanks stand behind them.
    let placed = |at: u64, whole: u64| {
        text.replace("@PAYLOAD_AT@", &format!("{at:<DIGITS$}"))
            .replace("@WHOLE@", &format!("{whole:<DIGITS$}"))
    };
    let length = u64::try_from(placed(0, 0).len()).ok()?;
    Some(placed(length + 1, length.checked_add(payload_bytes)?))
}

/// Whether a text is one word in single quotes and in a comment: letters, digits and a few signs.
fn is_plain(text: &str) -> bool {
    !text.is_empty()
        && text.chars().all(|character| character.is_alphanumeric() || "._-+/=:".contains(character))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn about(name: &str) -> About<'_> {
        About {
            name,
            server: "0f007385b6f9d4b7",
            platform: "linux-x86_64",
            key: "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3",
            made_at: Timestamp::UNIX_EPOCH,
            not_before: None,
        }
    }

    #[test]
    fn the_script_knows_where_it_ends() {
        for payload in [0, 9, 123_456_789_012] {
            let script = script(&about("büro-7"), payload).unwrap();
            assert!(!script.replace("$@", "").contains('@'), "every mark was replaced: {script}");
            let length = script.len() as u64;
            assert!(script.contains(&format!("payload_at={:<12}\n", length + 1)), "{script}");
            assert!(script.contains(&format!("whole={:<12}\n", length + payload)), "{script}");
        }
    }

    #[test]
    fn nothing_that_a_shell_reads_goes_into_it() {
        for bad in ["", "a'b", "a b", "a\nb", "$(id)", "a;b", "`id`", "a\"b", "a\\b"] {
            assert!(script(&about(bad), 1).is_none(), "{bad:?}");
        }
    }
}
