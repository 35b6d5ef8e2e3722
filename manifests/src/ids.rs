//! Names and ids as types: what can be constructed is safe to use as a file name, a target name or a log field.
//!
//! Every constructor parses; serde goes through the constructor. Ids are random and carry no meaning.

use std::fmt;
use std::str::FromStr;

use sealpost_keys::KeyError;
use sealpost_keys::token::random_bytes;
use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization;

/// Why a text is not a valid name or id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a valid {what}: {rule}")]
pub struct NameError {
    /// What was to be parsed, for example `package name`.
    pub what: &'static str,
    /// The offending text, cut to 80 characters.
    pub text: String,
    /// The rule that it breaks.
    pub rule: &'static str,
}

impl NameError {
    pub(crate) fn new(what: &'static str, text: &str, rule: &'static str) -> Self {
        Self { what, text: text.chars().take(80).collect(), rule }
    }
}

/// Declares a text newtype whose only door is a checking constructor.
macro_rules! text_type {
    ($(#[$doc:meta])* $name:ident, $parse:path) => {
        text_type!(secret $(#[$doc])* #[derive(Debug)] $name, $parse);
    };
    // A secret brings a `Debug` of its own.
    (secret $(#[$doc:meta])* $name:ident, $parse:path) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Parses the text.
            ///
            /// # Errors
            /// [`NameError`] with the rule that the text breaks.
            pub fn new(text: impl AsRef<str>) -> Result<Self, NameError> {
                $parse(text.as_ref()).map(Self)
            }

            /// The canonical text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = NameError;
            fn from_str(text: &str) -> Result<Self, NameError> {
                Self::new(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;
            fn try_from(text: String) -> Result<Self, NameError> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
    };
}
pub(crate) use text_type;

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
    /// A vendor's serial number: four groups of five Crockford base-32 characters; the last is a check character.
    SerialNumber,
    parse_serial
);
text_type!(
    secret
    /// A one-time code that binds a reservation to the first client key that presents it: five groups of five
    /// Crockford base-32 characters (120 random bits and a check character). A secret: never log it.
    EnrollmentCode,
    parse_enrollment_code
);
text_type!(
    /// A Primary Server: 32 lower-case hex digits, random, made at `distributor init`.
    ServerId,
    parse_server_id
);
text_type!(
    /// A client: 32 lower-case hex digits, random, given at enrollment.
    ClientId,
    parse_client_id
);
text_type!(
    /// One of the two nonces of a contact: 32 lower-case hex digits, random.
    Nonce,
    parse_nonce
);

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

impl ServerId {
    /// A new id from sixteen random bytes.
    #[must_use]
    pub fn from_random(bytes: [u8; 16]) -> Self {
        Self(data_encoding::HEXLOWER.encode(&bytes))
    }
}

impl ClientId {
    /// A new id from sixteen random bytes.
    #[must_use]
    pub fn from_random(bytes: [u8; 16]) -> Self {
        Self(data_encoding::HEXLOWER.encode(&bytes))
    }
}

impl Nonce {
    /// A new nonce from sixteen random bytes.
    #[must_use]
    pub fn from_random(bytes: [u8; 16]) -> Self {
        Self(data_encoding::HEXLOWER.encode(&bytes))
    }

    /// A new nonce from the system's random source.
    ///
    /// # Errors
    /// When the system gives no random bytes.
    pub fn generate() -> Result<Self, KeyError> {
        Ok(Self::from_random(random_bytes::<16>()?))
    }
}

impl SerialNumber {
    /// A new serial number from nineteen random values; only the low five bits of each are used.
    #[must_use]
    pub fn from_random(bytes: [u8; 19]) -> Self {
        Self(grouped(&bytes))
    }
}

impl fmt::Debug for EnrollmentCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EnrollmentCode(not shown)")
    }
}

impl EnrollmentCode {
    /// A new code from twenty-four random values; only the low five bits of each are used.
    #[must_use]
    pub fn from_random(bytes: [u8; 24]) -> Self {
        Self(grouped(&bytes))
    }
}

const CROCKFORD: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

fn grouped(values: &[u8]) -> String {
    let mut symbols: Vec<u8> = values.iter().map(|value| value & 31).collect();
    symbols.push(check_symbol(&symbols));
    let mut text = String::with_capacity(symbols.len() + symbols.len() / 5);
    for (index, symbol) in symbols.iter().enumerate() {
        if index > 0 && index % 5 == 0 {
            text.push('-');
        }
        text.push(char::from(CROCKFORD[usize::from(*symbol)]));
    }
    text
}

/// Weighted sum modulo 31 (a prime): finds every single wrong character and every swap of neighbours, except that
/// 0 and 31 count alike.
fn check_symbol(symbols: &[u8]) -> u8 {
    let sum = symbols.iter().fold(0u32, |sum, symbol| (sum * 2 + u32::from(*symbol) + 1) % 31);
    u8::try_from(sum).unwrap_or(0)
}

/// The value of a Crockford base-32 character; `O` reads as 0, `I` and `L` as 1, as its author recommends.
pub(crate) fn crockford_value(character: char) -> Option<u8> {
    let upper = match character.to_ascii_uppercase() {
        'O' => '0',
        'I' | 'L' => '1',
        other => other,
    };
    CROCKFORD.iter().position(|symbol| char::from(*symbol) == upper).and_then(|at| u8::try_from(at).ok())
}

/// The Crockford base-32 character of a value; only the low five bits are used.
pub(crate) fn crockford_char(value: u8) -> char {
    char::from(CROCKFORD[usize::from(value & 31)])
}

fn parse_grouped(what: &'static str, text: &str, symbols: usize) -> Result<String, NameError> {
    const RULE: &str =
        "groups of five base-32 characters, the last being a check character; look for a typing error";
    if text.len() > 200 {
        return Err(NameError::new(what, text, RULE));
    }
    let values: Option<Vec<u8>> = text
        .chars()
        .filter(|character| !character.is_ascii_whitespace() && *character != '-')
        .map(crockford_value)
        .collect();
    match values {
        Some(values)
            if values.len() == symbols && check_symbol(&values[..symbols - 1]) == values[symbols - 1] =>
        {
            Ok(grouped(&values[..symbols - 1]))
        }
        _ => Err(NameError::new(what, text, RULE)),
    }
}

fn parse_serial(text: &str) -> Result<String, NameError> {
    parse_grouped("serial number", text, 20)
}

fn parse_enrollment_code(text: &str) -> Result<String, NameError> {
    // The text is a secret, so the error does not repeat it.
    parse_grouped("enrollment code", text, 25).map_err(|error| NameError { text: "…".to_owned(), ..error })
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
    // Folding can undo a normalization, so normalize on both sides (Unicode 3.13, D146).
    let folded: String =
        caseless::default_case_fold_str(&text.trim().nfkc().collect::<String>()).nfkc().collect();
    let plain = |character: char| character.is_alphanumeric();
    let ok = folded.len() <= 128
        && folded.chars().next().is_some_and(plain)
        && folded.chars().all(|character| plain(character) || matches!(character, '-' | '.' | '_'));
    if ok { Ok(folded) } else { Err(fail()) }
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

fn parse_hex32(what: &'static str, text: &str) -> Result<String, NameError> {
    if text.len() == 32 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
        Ok(text.to_owned())
    } else {
        Err(NameError::new(what, text, "32 lower-case hex digits"))
    }
}

fn parse_server_id(text: &str) -> Result<String, NameError> {
    parse_hex32("server id", text)
}

fn parse_client_id(text: &str) -> Result<String, NameError> {
    parse_hex32("client id", text)
}

fn parse_nonce(text: &str) -> Result<String, NameError> {
    parse_hex32("nonce", text)
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

    #[test]
    fn a_typing_error_in_a_serial_number_is_found() {
        let serial = SerialNumber::from_random([7; 19]);
        let text = serial.to_string();
        assert_eq!(SerialNumber::new(text.to_lowercase().replace('-', " ")).unwrap(), serial);
        for at in 0..text.len() {
            let mut typo: Vec<char> = text.chars().collect();
            if typo[at] == '-' {
                continue;
            }
            typo[at] = if typo[at] == '8' { '9' } else { '8' };
            assert!(SerialNumber::new(typo.iter().collect::<String>()).is_err(), "position {at}");
        }
    }

    #[test]
    fn a_wrong_enrollment_code_is_not_repeated_in_the_error() {
        let error = EnrollmentCode::new("AAAAA-BBBBB-CCCCC-DDDDD-EEEEE").unwrap_err();
        assert!(!error.to_string().contains("BBBBB"), "{error}");
    }
}
