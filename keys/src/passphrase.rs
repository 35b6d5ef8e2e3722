//! Passphrases: where they come from, and that they are wiped afterwards.
//!
//! A passphrase never stands in an argument list: it comes from the terminal, from a private file or
//! from the environment.

use std::fmt;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use zeroize::{Zeroize, Zeroizing};

use crate::private_file::PrivateFile;
use crate::prompt;

/// Longest passphrase, in bytes: minisign's own limit.
const MAX_PASSPHRASE_BYTES: usize = 1024;

/// A passphrase: 1 to 1024 bytes, wiped on drop, not shown by `Debug`.
#[derive(Clone)]
pub struct Passphrase(Zeroizing<String>);

/// Where to get a passphrase when one is needed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PassphraseSource {
    /// Nowhere: only unencrypted keys can be read.
    None,
    /// From the person at the terminal.
    Prompt,
    /// From the first line of a file that only its owner can read.
    File(PathBuf),
    /// From an environment variable of this name.
    Env(String),
}

/// Why no passphrase could be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PassphraseError {
    /// The passphrase is empty.
    #[error("cannot use an empty passphrase: give one, or store the key unencrypted on purpose")]
    Empty,
    /// Longer than minisign accepts.
    #[error("cannot use the passphrase: it is longer than 1024 bytes")]
    TooLong,
    /// The terminal could not be asked.
    #[error(
        "cannot ask for the passphrase of {purpose} at the terminal: use a passphrase file or variable instead"
    )]
    Terminal {
        /// What it was for.
        purpose: String,
        /// What the terminal said.
        #[source]
        source: io::Error,
    },
    /// The file could not be read.
    #[error("cannot read the passphrase file {}: check that it exists and is text", path.display())]
    File {
        /// Path of the passphrase file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The file can be read by others.
    #[error("cannot use the passphrase file {}: others can read it (mode {mode:03o}); run `chmod 600` on it", path.display())]
    FileExposed {
        /// Path of the passphrase file.
        path: PathBuf,
        /// Permission bits of the file, such as `0o644`.
        mode: u32,
    },
    /// The variable is not set, or is not text.
    #[error("cannot read the passphrase from the environment: the variable {name} is not set to text")]
    Variable {
        /// Name of the environment variable.
        name: String,
    },
    /// A text that names no source.
    #[error("cannot tell where to get the passphrase: use none, prompt, file:PATH or env:NAME")]
    Source,
}

impl Passphrase {
    /// Checks and takes a passphrase.
    ///
    /// # Errors
    /// An empty or very long one.
    pub fn new(text: impl Into<String>) -> Result<Self, PassphraseError> {
        let text = Zeroizing::new(text.into());
        if text.is_empty() {
            return Err(PassphraseError::Empty);
        }
        if text.len() > MAX_PASSPHRASE_BYTES {
            return Err(PassphraseError::TooLong);
        }
        Ok(Self(text))
    }

    /// Whether a second typing of a passphrase is the same as the first.
    pub fn is_same(&self, again: &Self) -> bool {
        *self.0 == *again.0
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase(not shown)")
    }
}

impl PassphraseSource {
    /// Gets the passphrase; `purpose` tells the person at the terminal what it is for.
    ///
    /// # Errors
    /// When the source has none, or is not private.
    pub fn obtain(&self, purpose: &str) -> Result<Option<Passphrase>, PassphraseError> {
        match self {
            Self::None => Ok(None),
            Self::Prompt => {
                let text = prompt::ask_hidden(&format!("Passphrase for {purpose}: "))
                    .map_err(|source| PassphraseError::Terminal { purpose: purpose.to_owned(), source })?;
                Passphrase::new(text.as_str()).map(Some)
            }
            Self::File(path) => from_file(path).map(Some),
            Self::Env(name) => {
                let text =
                    std::env::var(name).map_err(|_| PassphraseError::Variable { name: name.clone() })?;
                Passphrase::new(text).map(Some)
            }
        }
    }
}

impl FromStr for PassphraseSource {
    type Err = PassphraseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once(':') {
            None if text == "none" => Ok(Self::None),
            None if text == "prompt" => Ok(Self::Prompt),
            Some(("file", path)) if !path.is_empty() => Ok(Self::File(PathBuf::from(path))),
            Some(("env", name)) if !name.is_empty() => Ok(Self::Env(name.to_owned())),
            _ => Err(PassphraseError::Source),
        }
    }
}

fn from_file(path: &Path) -> Result<Passphrase, PassphraseError> {
    let fail = |source| PassphraseError::File { path: path.to_owned(), source };
    let file = match PrivateFile::open(path).map_err(fail)? {
        PrivateFile::Private(file) => file,
        PrivateFile::Exposed { mode } => {
            return Err(PassphraseError::FileExposed { path: path.to_owned(), mode });
        }
    };
    // Room for the longest passphrase and its line end; one allocation, so nothing is left behind by growth.
    let limit = MAX_PASSPHRASE_BYTES + 2;
    let mut text = Zeroizing::new(String::with_capacity(limit + 1));
    file.take(u64::try_from(limit).unwrap_or(u64::MAX)).read_to_string(&mut text).map_err(fail)?;
    let passphrase = Passphrase::new(text.lines().next().unwrap_or_default());
    text.zeroize();
    passphrase
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_passphrase_file_gives_its_first_line_and_is_refused_when_others_can_read_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("passphrase");
        fs::write(&path, "correct horse\nsecond line\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let source: PassphraseSource = format!("file:{}", path.display()).parse().unwrap();
        assert_eq!(source.obtain("a key").unwrap().unwrap().as_str(), "correct horse");

        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let refused = source.obtain("a key").unwrap_err();
        assert!(matches!(refused, PassphraseError::FileExposed { mode: 0o640, .. }), "{refused}");
    }

    #[test]
    fn a_missing_variable_an_empty_passphrase_and_an_unknown_source_are_refused() {
        let unset = PassphraseSource::Env("SEALPOST_NO_SUCH_VARIABLE".into());
        assert!(matches!(unset.obtain("a key"), Err(PassphraseError::Variable { .. })));
        assert!(matches!(Passphrase::new(""), Err(PassphraseError::Empty)));
        assert!(matches!(Passphrase::new("x".repeat(1025)), Err(PassphraseError::TooLong)));
        assert!("secret".parse::<PassphraseSource>().is_err());
        assert!(PassphraseSource::None.obtain("a key").unwrap().is_none());
    }

    #[test]
    fn a_passphrase_does_not_show_in_debug_output() {
        assert!(!format!("{:?}", Passphrase::new("hunter2").unwrap()).contains("hunter2"));
    }
}
