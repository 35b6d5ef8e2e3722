//! Names that people choose: packages, channels, platforms, targets, computers, and paths inside a release.

use unicode_normalization::UnicodeNormalization;

use crate::ids::text_type::{NameError, text_type};

text_type!(
    /// A package: `[a-z0-9-]+`, at most 64 bytes, beginning with a letter or digit. Never contains `_`, which
    /// separates the parts of a target name.
    PackageName,
    parse_package
);
text_type!(
    /// A channel of a package, for example `stable`: the same grammar as a package name.
    ChannelName,
    parse_channel
);
text_type!(
    /// A platform, for example `linux-x86_64` or `any`: `[a-z0-9_-]+`, at most 64 bytes.
    Platform,
    parse_platform
);
text_type!(
    /// A flat TUF target name: `[A-Za-z0-9._+-]+`, at most 200 bytes, not beginning with `.`.
    TargetName,
    parse_target
);
text_type!(
    /// A computer's canonical name: NFKC, case-folded (Unicode version frozen by the pinned `caseless` crate),
    /// letters, digits, `-`, `.` and `_`, at most 128 bytes. Two spellings of one name are one computer.
    ComputerName,
    parse_computer
);
text_type!(
    /// A relative path inside a release: `/`-separated, no empty, `.` or `..` part, no backslash or control
    /// character, each part at most 255 bytes, the whole at most 1,024.
    RelativePath,
    parse_relative_path
);
text_type!(
    /// A word that a computer's configuration gives it, for groups, for example `site:berlin`: `[a-z0-9._:-]+`, at most
    /// 64 bytes, beginning with a letter or digit.
    Tag,
    parse_tag
);
/// The name of the agent's own package.
const AGENT_PACKAGE: &str = "agent-updater";

impl PackageName {
    /// The package of the agent itself, `agent-updater`. A release of the kind `agent` has this name and no other, so that
    /// whoever sees only names knows which package every license covers.
    #[must_use]
    pub fn agent() -> Self {
        Self(AGENT_PACKAGE.to_owned())
    }

    /// Whether it is the package of the agent itself: every live license covers it.
    #[must_use]
    pub fn is_agent(&self) -> bool {
        self.0 == AGENT_PACKAGE
    }
}

impl Platform {
    /// The platform that this program was built for, for example `linux-x86_64`.
    #[must_use]
    pub fn current() -> Self {
        Self(format!("{}-{}", std::env::consts::OS, std::env::consts::ARCH))
    }

    /// The platform of releases that run anywhere, for example signature sets.
    #[must_use]
    pub fn any() -> Self {
        Self("any".to_owned())
    }

    /// Whether a release for `self` can be installed on a computer of platform `computer`.
    #[must_use]
    pub fn fits(&self, computer: &Self) -> bool {
        self == computer || self.0 == "any"
    }
}

fn parse_simple(
    what: &'static str,
    text: &str,
    limit: usize,
    rule: &'static str,
    allowed: fn(u8) -> bool,
) -> Result<String, NameError> {
    let first_is_plain = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    if first_is_plain && text.len() <= limit && text.bytes().all(allowed) {
        Ok(text.to_owned())
    } else {
        Err(NameError::new(what, text, rule))
    }
}

const fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-'
}

fn parse_package(text: &str) -> Result<String, NameError> {
    parse_simple("package name", text, 64, "use a-z, 0-9 and '-', at most 64 characters", is_name_byte)
}

fn parse_channel(text: &str) -> Result<String, NameError> {
    parse_simple("channel name", text, 64, "use a-z, 0-9 and '-', at most 64 characters", is_name_byte)
}

fn parse_tag(text: &str) -> Result<String, NameError> {
    parse_simple("tag", text, 64, "use a-z, 0-9, '-', '_', '.' and ':', at most 64 characters", |byte| {
        is_name_byte(byte) || matches!(byte, b'_' | b'.' | b':')
    })
}

fn parse_platform(text: &str) -> Result<String, NameError> {
    parse_simple("platform", text, 64, "use a-z, 0-9, '-' and '_', at most 64 characters", |byte| {
        is_name_byte(byte) || byte == b'_'
    })
}

fn parse_target(text: &str) -> Result<String, NameError> {
    parse_simple(
        "target name",
        text,
        200,
        "use letters, digits, '.', '_', '+' and '-', at most 200",
        |byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'+' | b'-'),
    )
}

fn parse_computer(text: &str) -> Result<String, NameError> {
    const RULE: &str =
        "use letters, digits, '-', '.' and '_', at most 128 bytes, beginning with a letter or digit";
    let fail = || NameError::new("computer name", text, RULE);
    if text.len() > 512 {
        return Err(fail());
    }
    let folded = folded(text.trim());
    let plain = |character: char| character.is_alphanumeric();
    let ok = folded.len() <= 128
        && folded.chars().next().is_some_and(plain)
        && folded.chars().all(|character| plain(character) || matches!(character, '-' | '.' | '_'));
    if ok { Ok(folded) } else { Err(fail()) }
}

/// The one spelling of all that mean the same name.
fn folded(text: &str) -> String {
    // Most names are of these characters alone, and every row that is read has one.
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    folded_by_unicode(text)
}

fn folded_by_unicode(text: &str) -> String {
    // Folding can undo a normalization, so normalize on both sides (Unicode 3.13, D146).
    caseless::default_case_fold_str(&text.nfkc().collect::<String>()).nfkc().collect()
}

fn parse_relative_path(text: &str) -> Result<String, NameError> {
    const RULE: &str =
        "a relative path of at most 1,024 bytes, without '..', empty parts, backslash or control characters";
    let ok = !text.is_empty()
        && text.len() <= 1024
        && text.split('/').all(|part| !part.is_empty() && part != "." && part != ".." && part.len() <= 255)
        && !text.chars().any(|character| character.is_control() || character == '\\');
    if ok { Ok(text.to_owned()) } else { Err(NameError::new("relative path", text, RULE)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_computer_name_are_one_name() {
        let name = ComputerName::new("Straße-PC.example").unwrap();
        assert_eq!(name, ComputerName::new("  STRASSE-pc.EXAMPLE ").unwrap());
        // Full-width letters are the same letters (NFKC).
        assert_eq!(ComputerName::new("ＰＣ１").unwrap().as_str(), "pc1");
    }

    #[test]
    fn names_of_ascii_characters_are_folded_as_unicode_folds_them() {
        let all: String = (0..128_u8).map(char::from).collect();
        assert_eq!(folded(&all), folded_by_unicode(&all));
        assert_eq!(folded("K"), "k", "the sign for Kelvin is a letter of another script");
    }

    #[test]
    fn a_tag_is_one_short_word_that_can_stand_in_a_log_line() {
        for good in ["a", "site:berlin", "room_2.14", "0-1", &"x".repeat(64)] {
            assert_eq!(Tag::new(good).unwrap().as_str(), good);
        }
        for bad in ["", "Site", "a b", "a,b", "a=b", ":a", "a\n", "ä", &"x".repeat(65)] {
            assert!(Tag::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn names_that_could_escape_a_folder_are_refused() {
        for bad in ["", ".", "..", "../x", "a/b", "a\\b", "-a", ".hidden", "a b", "a\n", "A_B"] {
            assert!(PackageName::new(bad).is_err(), "package {bad:?}");
        }
        for bad in ["", "/etc/passwd", "a/../b", "a//b", "./a", "a/", "a\\b", "a\0b", "a/\u{1b}[2J"] {
            assert!(RelativePath::new(bad).is_err(), "path {bad:?}");
        }
        for bad in ["", ".x", "a/b", "a b", "ü"] {
            assert!(TargetName::new(bad).is_err(), "target {bad:?}");
        }
        for bad in ["", "a/b", "a\tb", "a'b", &"x".repeat(600)] {
            assert!(ComputerName::new(bad).is_err(), "computer {bad:?}");
        }
    }
}
