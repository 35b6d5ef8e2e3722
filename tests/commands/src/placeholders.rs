//! What stands for what: `SERIAL` in a sentence becomes a serial number that a parser accepts.

/// A serial number whose check characters are right.
const SERIAL: &str = "55555-55555-55555-5555W";
/// The head of a log.
const HEAD: &str = "3:4813494d137e1631bba301d5acab6e7bb7aa74ce1185d456565ef51d737677b2";
/// Values for placeholders of a known kind. The first that a parser accepts is taken.
const KINDS: &[(&str, &[&str])] = &[
    ("SERIAL", &[SERIAL]),
    ("SERVER_ID", &["9c1f0e6a2b7d4c35a8e0f1d2c3b4a596"]),
    ("RELEASE", &["acme-av:1.0.0"]),
    ("REF", &["acme-av:1.0.0"]),
    ("VERSION", &["1.0.0"]),
    ("V", &["1.0.0"]),
    ("URL", &["https://updates.acme.example"]),
    ("ADDR:PORT", &["127.0.0.1:1"]),
    ("SIZE:ROOT", &[HEAD]),
    ("SHELL", &["bash"]),
    ("N", &["3"]),
    ("DAYS", &["3"]),
    ("DATE", &["2028-12-31"]),
];

/// Values for any other placeholder, and for what a program fills in at run time.
const OTHERS: &[&str] = &[
    "acme-av",
    "3",
    "acme-av:1.0.0",
    "1.0.0",
    "https://updates.acme.example",
    "127.0.0.1:1",
    "2028-12-31",
    SERIAL,
    HEAD,
];

/// The values that a word of a command may stand for; itself if it stands for nothing else.
pub(crate) fn values(word: &str) -> Vec<String> {
    let bare = word.trim_end_matches('…').trim_end_matches("...");
    let (before, name) = match bare.split_once('=') {
        Some((option, value)) if option.starts_with('-') => (format!("{option}="), value),
        _ => (String::new(), bare),
    };
    if let Some((_, known)) =
        KINDS.iter().find(|(kind, _)| *kind == name.trim_matches(|one| "<>".contains(one)))
    {
        return known.iter().map(|value| format!("{before}{value}")).collect();
    }
    // The examples show what a serial number looks like, without right check characters.
    if name.len() == SERIAL.len() && name.split('-').all(|group| group.len() == 5) {
        return vec![format!("{before}{SERIAL}")];
    }
    if is_placeholder(name) {
        return OTHERS.iter().map(|value| format!("{before}{value}")).collect();
    }
    vec![bare.to_owned()]
}

/// Whether a word stands for something: `PACKAGE`, `FILE.json`, `{name}`, `<name>`.
pub(crate) fn is_placeholder(word: &str) -> bool {
    let is_capital = word.len() > 1
        && word.chars().next().is_some_and(|first| first.is_ascii_uppercase())
        && word.chars().all(|one| one.is_ascii_uppercase() || one.is_ascii_digit() || "-_.".contains(one));
    let ends_in_capitals = word.split(['.', ':', '=']).next().is_some_and(|first| {
        first.len() > 1 && first.chars().all(|one| one.is_ascii_uppercase() || "-_".contains(one))
    });
    word.contains('{') || word.starts_with('<') || is_capital || ends_in_capitals
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capitals_and_what_is_filled_in_stand_for_something_and_words_for_themselves() {
        for word in ["PACKAGE", "ROOT.json", "{package}", "{0:?}", "<name>", "NAME…", "PACKAGE:VERSION"] {
            assert!(values(word).len() > 1 || values(word)[0] != word, "{word}");
        }
        for word in ["--json", "acme-av", "stable", "CVE-2026-1234x", "A"] {
            assert_eq!(values(word), [word], "{word}");
        }
        assert_eq!(values("--to=N"), ["--to=3"]);
    }
}
