//! Patterns for names of computers: `*` stands for any characters or none, `?` for exactly one.
//!
//! Invariants: a pattern is written in the same canonical form as the names (NFKC, case-folded, no dot at the end), so
//! that `PC-*` means `pc-01`. Matching takes at most as many steps as pattern and name have characters, multiplied; both
//! are bounded by 128 bytes, and it allocates nothing.
//!
//! Left out on purpose: sets of characters and escapes. No name contains `*` or `?`.

use std::fmt;
use std::str::Chars;

use sealpost_manifests::ids::{ComputerName, NameError};
use serde::{Deserialize, Serialize};

/// Longest pattern, in bytes: two less than the longest name. Who means one long name can list the computer.
pub const MAX_PATTERN_BYTES: usize = 126;
/// Longest text that is looked at, in bytes: normalization can make a text shorter.
const MAX_TYPED_BYTES: usize = 512;
/// Characters of a refused text that its error repeats.
const MAX_SHOWN_CHARS: usize = 80;

/// A pattern for names of computers.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NamePattern(String);

impl NamePattern {
    /// Reads a pattern, in any spelling of the names that it means.
    ///
    /// # Errors
    /// When it has a character that no name has, or is too long.
    pub fn new(text: &str) -> Result<Self, NameError> {
        Self::canonical(text).ok_or_else(|| NameError {
            what: "pattern for computer names",
            text: text.chars().take(MAX_SHOWN_CHARS).collect(),
            rule: "use the letters, digits, '-', '.' and '_' of names, '*' for any characters and '?' for one; at \
                   most 126 bytes",
        })
    }

    /// The pattern as it is stored and shown.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a name is meant. A dot at its end does not count.
    #[must_use]
    pub fn matches(&self, name: &ComputerName) -> bool {
        let name = name.as_str().trim_end_matches('.');
        // Most names fail at one of their ends already.
        let fits = |pattern: Option<char>, name: Option<char>| match pattern {
            Some('*' | '?') => true,
            end => end == name,
        };
        fits(self.0.chars().next(), name.chars().next())
            && fits(self.0.chars().next_back(), name.chars().next_back())
            && matches(self.0.chars(), name.chars())
    }

    fn canonical(text: &str) -> Option<Self> {
        if text.len() > MAX_TYPED_BYTES {
            return None;
        }
        let mut canonical = String::new();
        for piece in text.trim().split_inclusive(['*', '?']) {
            let literal = piece.trim_end_matches(['*', '?']);
            canonical.push_str(&canonical_piece(literal)?);
            canonical.push_str(piece.get(literal.len()..)?);
        }
        canonical.truncate(canonical.trim_end_matches('.').len());
        (1..=MAX_PATTERN_BYTES).contains(&canonical.len()).then_some(Self(canonical))
    }
}

/// Whether a pattern of plain text takes a whole name.
#[must_use]
pub fn fits(pattern: &str, name: &str) -> bool {
    matches(pattern.chars(), name.chars())
}

/// A piece between wildcards as it stands in a canonical name.
fn canonical_piece(literal: &str) -> Option<String> {
    // A name begins with a letter or digit and is trimmed, a piece in its middle need not be: so it is put between two.
    let name = ComputerName::new(format!("x{literal}x")).ok()?;
    // A combining character at the beginning changed the first letter: it belongs to a wildcard, and means nothing.
    name.as_str().strip_prefix('x')?.strip_suffix('x').map(str::to_owned)
}

/// Goes on from the last `*` only when a character does not fit: what an earlier one could take, the last one can too.
fn matches(mut pattern: Chars<'_>, mut name: Chars<'_>) -> bool {
    let mut last_star: Option<(Chars<'_>, Chars<'_>)> = None;
    loop {
        let (mut next_pattern, mut next_name) = (pattern.clone(), name.clone());
        match (next_pattern.next(), next_name.next()) {
            (Some('*'), _) => {
                last_star = Some((next_pattern.clone(), name.clone()));
                pattern = next_pattern;
            }
            (None, None) => return true,
            (Some(wanted), Some(character)) if wanted == '?' || wanted == character => {
                (pattern, name) = (next_pattern, next_name);
            }
            _ => {
                let Some((after, from)) = last_star.as_mut() else { return false };
                if from.next().is_none() {
                    return false;
                }
                (pattern, name) = (after.clone(), from.clone());
            }
        }
    }
}

impl fmt::Display for NamePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl TryFrom<String> for NamePattern {
    type Error = NameError;
    fn try_from(text: String) -> Result<Self, NameError> {
        Self::new(&text)
    }
}

impl From<NamePattern> for String {
    fn from(pattern: NamePattern) -> Self {
        pattern.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, name: &str) -> bool {
        NamePattern::new(pattern).unwrap().matches(&ComputerName::new(name).unwrap())
    }

    #[test]
    fn a_star_is_any_characters_and_a_question_mark_is_one() {
        #[rustfmt::skip]
        let table = [
            ("pc-*", "pc-01", true), ("pc-*", "pc-", true), ("pc-*", "pc", false), ("pc-*", "xpc-01", false),
            ("*", "a", true), ("**", "abc", true), ("*.berlin", "a.b.berlin", true), ("*.berlin", "berlin", false),
            ("pc-?", "pc-1", true), ("pc-?", "pc-", false), ("pc-?", "pc-12", false), ("?c", "pc", true),
            ("a*b*c", "aXbYc", true), ("a*b*c", "abbbcc", true), ("a*b*c", "acb", false), ("*ab", "aab", true),
            ("a*?c", "ac", false), ("a*?c", "abc", true), ("*a?b*", "xaab-ayb", true), ("pc-01", "pc-01", true),
            ("pc-01", "pc-011", false), ("??", "ü1", true),
        ];
        for (pattern, name, expected) in table {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }

    /// Every pattern of up to four characters over `a`, `b`, `*`, `?` against every name of up to four.
    #[test]
    fn short_patterns_match_what_the_definition_says() {
        fn defined(pattern: &[char], name: &[char]) -> bool {
            match (pattern, name) {
                ([], []) => true,
                (['*', rest @ ..], _) => (0..=name.len()).any(|taken| defined(rest, &name[taken..])),
                ([wanted, rest @ ..], [character, others @ ..]) => {
                    (*wanted == '?' || wanted == character) && defined(rest, others)
                }
                _ => false,
            }
        }
        fn texts(alphabet: &[char]) -> Vec<Vec<char>> {
            let mut all = vec![Vec::new()];
            let mut last = all.clone();
            for _ in 0..4 {
                let longer = |text: &Vec<char>| {
                    alphabet.iter().map(|one| [text.as_slice(), &[*one]].concat()).collect::<Vec<_>>()
                };
                last = last.iter().flat_map(longer).collect();
                all.extend(last.iter().cloned());
            }
            all
        }
        let mut compared = 0;
        for pattern in texts(&['a', 'b', '*', '?']).into_iter().skip(1) {
            let read = NamePattern::new(&pattern.iter().collect::<String>()).unwrap();
            for name in texts(&['a', 'b']).into_iter().skip(1) {
                let typed = ComputerName::new(name.iter().collect::<String>()).unwrap();
                assert_eq!(read.matches(&typed), defined(&pattern, &name), "{read} {typed}");
                compared += 1;
            }
        }
        assert_eq!(compared, 340 * 30);
    }

    #[test]
    fn a_pattern_means_every_spelling_of_the_names_that_it_means() {
        assert!(matches("PC-*", "pc-01") && matches(" STRASSE* ", "Straße-1") && matches("ＰＣ?", "pc1"));
        // Names in older ledgers can end with a dot.
        assert!(matches("*.example.com", "a.example.com.") && matches("a.example.com.", "a.example.com"));
        assert_eq!(serde_json::from_str::<NamePattern>("\"PC-*\"").unwrap().as_str(), "pc-*");
    }

    #[test]
    fn what_no_name_can_contain_is_no_pattern() {
        let longest = "ü".repeat(63);
        assert!(NamePattern::new(&longest).is_ok());
        let combining = "*\u{308}a";
        for bad in ["", " ", ".", "a b*", "a/b", "[ab]*", "a\\*", "pc\n*", combining, &format!("{longest}*")]
        {
            assert!(NamePattern::new(bad).is_err(), "{bad:?}");
        }
        let error = NamePattern::new(&"*".repeat(5000)).unwrap_err();
        assert!(error.to_string().len() < 400, "{error}");
    }

    #[test]
    fn a_hostile_pattern_is_bounded_in_steps() {
        // Exponential search would not come back: each star could end at each letter.
        let (pattern, name) = ("*a".repeat(62) + "*b", "a".repeat(128));
        for _ in 0..100 {
            assert!(!matches(&pattern, &name));
        }
    }
}
