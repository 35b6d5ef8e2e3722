//! Codes of open sets: a reader keeps a code that it does not know as text, so that a newer program can send new ones.
//!
//! Invariant: a code is 1 to 40 bytes of `[a-z0-9_-]`, so that it can stand in a log line, a file name or a label as it
//! is. What decides something (an action, a key's use) treats an unknown code as "not this one", never as a known one.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::ids::NameError;

/// Longest code, in bytes.
pub const MAX_WORD_BYTES: usize = 40;
const RULE: &str = "1 to 40 characters of a-z, 0-9, '_' and '-'";

/// A code that this program does not know, or the name of a document type: short, plain text without allocation.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Word {
    // Ordered first by bytes, which are padded with zeros: the order of the texts.
    bytes: [u8; MAX_WORD_BYTES],
    length: u8,
}

impl Word {
    /// Parses a code.
    ///
    /// # Errors
    /// [`NameError`] when it is empty, longer than 40 bytes, or has another character.
    pub fn new(text: &str) -> Result<Self, NameError> {
        Self::of(text).ok_or_else(|| NameError::new("code", text, RULE))
    }

    /// A code that stands in the program.
    #[must_use]
    pub fn known(text: &'static str) -> Self {
        Self::of(text).unwrap_or_else(|| unreachable!("{text} is no code"))
    }

    fn of(text: &str) -> Option<Self> {
        let plain = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-');
        if text.is_empty() || !text.bytes().all(plain) {
            return None;
        }
        let mut bytes = [0; MAX_WORD_BYTES];
        bytes.get_mut(..text.len())?.copy_from_slice(text.as_bytes());
        Some(Self { bytes, length: u8::try_from(text.len()).ok()? })
    }

    /// The text of the code.
    #[must_use]
    pub fn as_str(&self) -> &str {
        let text = self.bytes.get(..usize::from(self.length)).unwrap_or_default();
        std::str::from_utf8(text).unwrap_or_default()
    }
}

impl std::str::FromStr for Word {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::new(text)
    }
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl Serialize for Word {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Word {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl serde::de::Visitor<'_> for Reader {
            type Value = Word;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(RULE)
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Word, E> {
                Word::new(text).map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Reader)
    }
}

/// Declares an open set of codes: an enum of those that this program knows, and `Other` for the rest.
macro_rules! open_codes {
    ($(#[$doc:meta])* $name:ident { $($(#[$code_doc:meta])* $code:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $($(#[$code_doc])* $code,)*
            /// A code that this program does not know.
            Other($crate::word::Word),
        }

        impl $name {
            /// Every code that this program knows.
            pub const KNOWN: &'static [Self] = &[$(Self::$code,)*];

            /// The stable text of the code.
            #[must_use]
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$code => $text,)*
                    Self::Other(word) => word.as_str(),
                }
            }
        }

        impl From<$crate::word::Word> for $name {
            fn from(word: $crate::word::Word) -> Self {
                match word.as_str() {
                    $($text => Self::$code,)*
                    _ => Self::Other(word),
                }
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::ids::NameError;
            fn from_str(text: &str) -> Result<Self, $crate::ids::NameError> {
                $crate::word::Word::new(text).map(Self::from)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                <$crate::word::Word as serde::Deserialize>::deserialize(deserializer).map(Self::from)
            }
        }
    };
}
pub(crate) use open_codes;

#[cfg(test)]
#[expect(unreachable_pub, reason = "the macro makes public types")]
mod tests {
    use super::*;

    open_codes! {
        /// For these tests.
        Color {
            /// As blood.
            Red = "red",
        }
    }

    #[test]
    fn an_unknown_code_is_kept_as_text_and_written_back_as_it_was() {
        let codes: Vec<Color> = serde_json::from_str(r#"["red","ultra_violet-2"]"#).unwrap();
        assert_eq!(codes, [Color::Red, Color::Other(Word::new("ultra_violet-2").unwrap())]);
        assert_eq!(codes[1].to_string(), "ultra_violet-2");
        assert_eq!(serde_json::to_string(&codes).unwrap(), r#"["red","ultra_violet-2"]"#);
        assert_eq!("red".parse(), Ok(Color::Red));
        assert_eq!(Color::KNOWN, [Color::Red]);
    }

    #[test]
    fn what_could_forge_a_line_or_fill_memory_is_no_code() {
        for bad in ["", "Red", "a b", "a\n", "ä", &"x".repeat(41)] {
            assert!(Word::new(bad).is_err(), "{bad:?}");
            assert!(serde_json::from_str::<Color>(&serde_json::to_string(bad).unwrap()).is_err(), "{bad:?}");
        }
        assert!(Word::new(&"x".repeat(40)).is_ok());
    }

    #[test]
    fn codes_are_sorted_as_their_texts_are() {
        let word = |text| Word::new(text).unwrap();
        assert!(word("a") < word("a-") && word("a-") < word("a0") && word("a0") < word("b"));
    }
}
