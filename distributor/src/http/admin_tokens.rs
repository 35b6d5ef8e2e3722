//! The file of the tokens of admins who come over the network. It holds names and digests only; a token is shown once.
//!
//! The file is read at each use, so that a token that is taken out of it is gone at once. That a token stands in it is not
//! enough: the log must tell of it too, see [`TokenDesk`](super::token_desk::TokenDesk). Over the Unix socket no token is
//! needed: there the operating system says who it is.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use sealpost_files::{FileLock, PRIVATE, open_regular};
use sealpost_keys::{KeyError, Token, TokenDigest};
use sealpost_site::rules::account::TokenId;
use serde::{Deserialize, Serialize};

/// Largest file that is read, in bytes; far more than [`MAX_TOKENS`] need.
const MAX_FILE_BYTES: u64 = 256 * 1024;
/// The version that is written, and read.
const VERSION: u32 = 2;
/// Most tokens; a list that nobody can look over is no list.
const MAX_TOKENS: usize = 500;
const MAX_NAME_CHARS: usize = 64;

/// Why tokens could not be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum AdminTokenError {
    #[error("cannot {attempted} the admin tokens in {}; check its folder and your permissions", path.display())]
    Io {
        attempted: &'static str,
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Not the file that this program writes.
    #[error("cannot read the admin tokens in {}: the file is damaged; restore it, or delete it and make new tokens", path.display())]
    Damaged { path: PathBuf },
    /// Others can write or read it.
    #[error("cannot use the admin tokens in {}: others can read it (mode {mode:03o}); run `chmod 600` on it", path.display())]
    Exposed { path: PathBuf, mode: u32 },
    /// The name cannot be used.
    #[error("cannot use {name:?} as a token's name: {rule}")]
    Name { name: String, rule: &'static str },
    #[error("cannot make a token")]
    Key(#[from] KeyError),
}

/// One token, without itself.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AdminToken {
    pub digest: TokenDigest,
    /// When it was made.
    pub created_at: Timestamp,
    /// Its end; absent for one without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_at: Option<Timestamp>,
}

impl AdminToken {
    pub(super) fn has_ended(&self, now: Timestamp) -> bool {
        self.ends_at.is_some_and(|end| end <= now)
    }
}

/// Whose token a text is, as the file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recognized {
    /// One that has not ended.
    Good(KnownToken),
    /// The name of one that has ended.
    Ended(String),
    Unknown,
}

/// A token as the file has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownToken {
    pub name: String,
    pub digest: TokenDigest,
    pub ends_at: Option<Timestamp>,
}

/// A token that is made and not stored yet. Until it is dropped nobody else changes the file.
#[derive(Debug)]
pub struct PlannedToken {
    pub token: Token,
    name: String,
    file: TokenFile,
    tokens: AdminTokens,
    _alone: FileLock,
}

impl PlannedToken {
    /// Stores it; from now on the file has it.
    ///
    /// # Errors
    /// [`AdminTokenError`].
    pub fn store(
        mut self,
        created_at: Timestamp,
        ends_at: Option<Timestamp>,
    ) -> Result<Token, AdminTokenError> {
        let digest = self.token.digest();
        self.file.tokens.insert(self.name, AdminToken { digest, created_at, ends_at });
        self.tokens.write(&self.file)?;
        Ok(self.token)
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct TokenFile {
    version: u32,
    tokens: BTreeMap<String, AdminToken>,
}

/// The file of admin tokens.
#[derive(Debug, Clone)]
pub struct AdminTokens {
    path: PathBuf,
}

impl AdminTokens {
    /// Tokens in this file; it need not exist yet.
    #[must_use]
    pub fn at(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    /// The token that this text is. Blocks for a small file.
    ///
    /// # Errors
    /// [`AdminTokenError`].
    pub fn recognize(&self, text: &str, now: Timestamp) -> Result<Recognized, AdminTokenError> {
        let Ok(token) = text.parse::<Token>() else { return Ok(Recognized::Unknown) };
        let tokens = self.read()?.tokens;
        // Every digest is compared, so that the time says nothing about the place.
        let found =
            tokens.iter().fold(
                None,
                |found, (name, known)| {
                    if known.digest.matches(&token) { Some((name, known)) } else { found }
                },
            );
        Ok(match found {
            None => Recognized::Unknown,
            Some((name, known)) if known.has_ended(now) => Recognized::Ended(name.clone()),
            Some((name, known)) => Recognized::Good(KnownToken {
                name: name.clone(),
                digest: known.digest,
                ends_at: known.ends_at,
            }),
        })
    }

    /// Every token by name.
    ///
    /// # Errors
    /// [`AdminTokenError`].
    pub fn list(&self) -> Result<BTreeMap<String, AdminToken>, AdminTokenError> {
        Ok(self.read()?.tokens)
    }

    /// Makes a token under a name that is free, and stores nothing yet.
    ///
    /// # Errors
    /// [`AdminTokenError`], also when the name is taken.
    pub fn plan(&self, name: &str) -> Result<PlannedToken, AdminTokenError> {
        let refuse = |rule| Err(AdminTokenError::Name { name: name.chars().take(80).collect(), rule });
        let plain = |character: char| character.is_ascii_alphanumeric() || "-_.@".contains(character);
        if name.is_empty() || name.chars().count() > MAX_NAME_CHARS || !name.chars().all(plain) {
            return refuse("use letters, digits, '-', '_', '.' and '@', at most 64");
        }
        let alone = self.lock()?;
        let file = self.read()?;
        if file.tokens.contains_key(name) {
            return refuse("there is a token of that name; revoke it first, or take another name");
        }
        if file.tokens.len() >= MAX_TOKENS {
            return refuse("there are 500 tokens; revoke some first");
        }
        let token = Token::generate()?;
        Ok(PlannedToken { token, name: name.to_owned(), file, tokens: self.clone(), _alone: alone })
    }

    /// Makes a token in the place of one that stands in the file, with its name and end, and stores nothing yet.
    ///
    /// # Errors
    /// [`AdminTokenError`], also when that token is not there any more.
    pub fn plan_renewal(
        &self,
        before: &TokenId,
    ) -> Result<(PlannedToken, String, Option<Timestamp>), AdminTokenError> {
        let alone = self.lock()?;
        let file = self.read()?;
        let found = file.tokens.iter().find(|(_, token)| TokenId::of(&token.digest) == *before);
        let Some((name, ends_at)) = found.map(|(name, token)| (name.clone(), token.ends_at)) else {
            let rule = "this token is not in the file any more; it was revoked meanwhile";
            return Err(AdminTokenError::Name { name: before.to_string(), rule });
        };
        let token = Token::generate()?;
        let planned = PlannedToken { token, name: name.clone(), file, tokens: self.clone(), _alone: alone };
        Ok((planned, name, ends_at))
    }

    /// Takes a token out of the file; `false` when there is none of that name.
    ///
    /// # Errors
    /// [`AdminTokenError`].
    pub fn remove(&self, name: &str) -> Result<bool, AdminTokenError> {
        let _alone = self.lock()?;
        let mut file = self.read()?;
        let removed = file.tokens.remove(name).is_some();
        if removed {
            self.write(&file)?;
        }
        Ok(removed)
    }

    /// One change at a time, by whichever process: else one that is made meanwhile brings a revoked token back.
    fn lock(&self) -> Result<FileLock, AdminTokenError> {
        let fail = |source| AdminTokenError::Io { attempted: "lock", path: self.path.clone(), source };
        FileLock::take(&self.path.with_extension("lock"), || ()).map_err(fail)
    }

    fn read(&self) -> Result<TokenFile, AdminTokenError> {
        let fail = |source| AdminTokenError::Io { attempted: "read", path: self.path.clone(), source };
        let file = match open_regular(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(TokenFile { version: VERSION, tokens: BTreeMap::new() });
            }
            Err(error) => return Err(fail(error)),
        };
        let mode = file.metadata().map_err(fail)?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(AdminTokenError::Exposed { path: self.path.clone(), mode });
        }
        let mut bytes = Vec::new();
        // One that is longer is cut, and then is damaged.
        file.take(MAX_FILE_BYTES).read_to_end(&mut bytes).map_err(fail)?;
        match serde_json::from_slice::<TokenFile>(&bytes) {
            Ok(file) if file.version == VERSION => Ok(file),
            _ => Err(AdminTokenError::Damaged { path: self.path.clone() }),
        }
    }

    fn write(&self, file: &TokenFile) -> Result<(), AdminTokenError> {
        let fail = |source| AdminTokenError::Io { attempted: "write", path: self.path.clone(), source };
        let text = serde_json::to_vec_pretty(file).map_err(|error| fail(error.into()))?;
        sealpost_files::replace(&self.path, &text, PRIVATE).map_err(fail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn create(
        tokens: &AdminTokens,
        name: &str,
        ends_at: Option<Timestamp>,
    ) -> Result<Token, AdminTokenError> {
        tokens.plan(name)?.store(NOW, ends_at)
    }

    fn good(recognized: Recognized) -> String {
        match recognized {
            Recognized::Good(known) => known.name,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_token_with_an_end_is_good_until_then_and_one_without_for_good() {
        let folder = tempfile::tempdir().unwrap();
        let tokens = AdminTokens::at(&folder.path().join("admin-tokens.json"));
        let at = |second| Timestamp::from_second(second).unwrap();
        let ending = create(&tokens, "anna", Some(at(100))).unwrap();
        let endless = create(&tokens, "ci", None).unwrap();
        let of = |token: &Token, second| tokens.recognize(token.as_str(), at(second)).unwrap();
        assert_eq!(good(of(&ending, 99)), "anna");
        assert_eq!(of(&ending, 100), Recognized::Ended("anna".to_owned()));
        assert_eq!(good(of(&endless, 4_000_000_000)), "ci");
    }

    #[test]
    fn a_token_is_recognized_until_it_is_revoked_and_is_not_in_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let tokens = AdminTokens::at(&folder.path().join("admin-tokens.json"));
        let token = create(&tokens, "ci", None).unwrap();
        assert_eq!(good(tokens.recognize(token.as_str(), NOW).unwrap()), "ci");
        assert_eq!(tokens.recognize("something", NOW).unwrap(), Recognized::Unknown);
        let text = std::fs::read_to_string(folder.path().join("admin-tokens.json")).unwrap();
        assert!(!text.contains(token.as_str()));
        assert!(create(&tokens, "ci", None).is_err());
        assert!(create(&tokens, "a b", None).is_err());
        assert!(tokens.remove("ci").unwrap());
        assert_eq!(tokens.recognize(token.as_str(), NOW).unwrap(), Recognized::Unknown);
    }

    #[test]
    fn admins_who_make_and_revoke_tokens_at_once_lose_none_and_bring_none_back() {
        let folder = tempfile::tempdir().unwrap();
        let tokens = AdminTokens::at(&folder.path().join("admin-tokens.json"));
        for number in 0..20 {
            create(&tokens, &format!("old-{number}"), None).unwrap();
        }
        std::thread::scope(|scope| {
            for number in 0..20 {
                let tokens = &tokens;
                scope.spawn(move || tokens.remove(&format!("old-{number}")).unwrap());
                scope.spawn(move || create(tokens, &format!("new-{number}"), None).unwrap());
            }
        });
        let left = tokens.list().unwrap();
        assert_eq!(left.len(), 20);
        assert!(left.keys().all(|name| name.starts_with("new-")), "{left:?}");
    }

    #[test]
    fn the_file_has_its_frozen_form() {
        let golden = include_str!("../../tests/golden/admin-tokens.v2.json").trim_end();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin-tokens.json");
        sealpost_files::replace(&path, golden.as_bytes(), PRIVATE).unwrap();
        let tokens = AdminTokens::at(&path);
        let names: Vec<String> = tokens.list().unwrap().into_keys().collect();
        assert_eq!(names, ["anna@example.com", "ci"]);
        assert_eq!(good(tokens.recognize(&"A".repeat(43), NOW).unwrap()), "ci");
        tokens.write(&tokens.read().unwrap()).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), golden);
        let older = golden.replace("\"version\": 2", "\"version\": 1");
        sealpost_files::replace(&path, older.as_bytes(), PRIVATE).unwrap();
        assert!(matches!(tokens.list(), Err(AdminTokenError::Damaged { .. })), "it was never in use");
    }

    #[test]
    fn a_token_file_that_others_can_read_or_that_is_damaged_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin-tokens.json");
        let tokens = AdminTokens::at(&path);
        let token = create(&tokens, "ci", None).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(tokens.recognize(token.as_str(), NOW), Err(AdminTokenError::Exposed { .. })));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        std::fs::write(&path, "{}").unwrap();
        assert!(matches!(tokens.recognize(token.as_str(), NOW), Err(AdminTokenError::Damaged { .. })));
    }

    #[test]
    fn a_named_pipe_in_place_of_the_token_file_is_refused_and_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin-tokens.json");
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        let tokens = AdminTokens::at(&path);
        assert!(matches!(tokens.recognize(&"A".repeat(43), NOW), Err(AdminTokenError::Io { .. })));
    }
}
