//! The form of every name and id: a text that only its parser can make.

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

/// Declares a newtype of text whose only constructor checks it. The paths are whole, so that a caller imports nothing.
macro_rules! text_type {
    ($(#[$doc:meta])* $name:ident, $parse:path) => {
        text_type!(secret $(#[$doc])* #[derive(Debug)] $name, $parse);
    };
    // A secret brings a `Debug` of its own.
    (secret $(#[$doc:meta])* $name:ident, $parse:path) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Parses the text.
            ///
            /// # Errors
            /// [`NameError`](crate::ids::NameError) with the rule that the text breaks.
            pub fn new(text: impl AsRef<str>) -> Result<Self, $crate::ids::text_type::NameError> {
                $parse(text.as_ref()).map(Self)
            }

            /// The text in its canonical form.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(&self.0)
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::ids::text_type::NameError;
            fn from_str(text: &str) -> Result<Self, $crate::ids::text_type::NameError> {
                Self::new(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = $crate::ids::text_type::NameError;
            fn try_from(text: String) -> Result<Self, $crate::ids::text_type::NameError> {
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
