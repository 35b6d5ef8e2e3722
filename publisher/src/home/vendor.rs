//! The home's folder: opening it, its files by name, and its lock.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use jiff::tz::TimeZone;
use sealpost_files::{FileLock, PUBLIC, read_bounded, write_new};

use super::error::HomeError;
use super::settings::Settings;

/// The settings file's name; its presence marks a home.
pub const SETTINGS_FILE: &str = "vendor.toml";
/// The folder of the published repository.
const REPOSITORY: &str = "repository";
/// Settings are a page of text.
const MAX_SETTINGS_BYTES: u64 = 1024 * 1024;
/// Permission of everybody to write.
const WRITABLE_BY_ALL: u32 = 0o002;

/// A vendor's home: a folder and what its settings say.
#[derive(Debug, Clone)]
pub struct Vendor {
    home: PathBuf,
    settings: Settings,
}

impl Vendor {
    /// Opens a home. One that every user of this computer can change is refused, and so is one with such a repository.
    pub fn open(home: &Path) -> Result<Self, HomeError> {
        let path = home.join(SETTINGS_FILE);
        let text = match read_bounded(&path, MAX_SETTINGS_BYTES) {
            Ok(Some(bytes)) => String::from_utf8(bytes)
                .map_err(|error| HomeError::Read { path: path.clone(), source: io::Error::other(error) })?,
            Ok(None) => return Err(HomeError::NotAHome { home: home.to_owned() }),
            Err(source) => return Err(HomeError::Read { path, source }),
        };
        let repository = home.join(REPOSITORY);
        let published = ["metadata", "targets"].map(|name| repository.join(name));
        for path in [home, &path, &repository, &published[0], &published[1]] {
            let found = match fs::metadata(path) {
                Ok(found) => found,
                // What is missing is told by whoever needs it.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(source) => return Err(HomeError::Read { path: path.to_owned(), source }),
            };
            if found.permissions().mode() & WRITABLE_BY_ALL != 0 {
                return Err(HomeError::WritableByAll { path: path.to_owned() });
            }
        }
        let settings = toml::from_str::<Settings>(&text)
            .map_err(|source| HomeError::Settings { path: path.clone(), source: Box::new(source) })?;
        settings.check().map_err(|problem| HomeError::Value { path, problem })?;
        Ok(Self { home: home.to_owned(), settings })
    }

    /// The home of these settings, which need not be on disk yet.
    #[must_use]
    pub fn with(home: &Path, settings: Settings) -> Self {
        Self { home: home.to_owned(), settings }
    }

    /// Writes the settings; the last step of `init`.
    ///
    /// # Errors
    /// When the file exists already or cannot be written.
    pub fn write_settings(&self) -> Result<(), HomeError> {
        let path = self.home.join(SETTINGS_FILE);
        write_new(&path, self.settings.to_commented_text().as_bytes(), PUBLIC)
            .map_err(HomeError::writing(&path))
    }

    #[must_use]
    pub fn home(&self) -> &Path {
        &self.home
    }

    #[must_use]
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The time zone of the settings, or this computer's.
    #[must_use]
    pub fn time_zone(&self) -> TimeZone {
        self.settings.time_zone.as_ref().map_or_else(TimeZone::system, |zone| zone.time_zone().clone())
    }

    /// The published repository: `metadata/` and `targets/`.
    #[must_use]
    pub fn repository(&self) -> PathBuf {
        self.home.join(REPOSITORY)
    }

    /// The root that is shipped to sites.
    #[must_use]
    pub fn root_file(&self) -> PathBuf {
        self.home.join("root.json")
    }

    #[must_use]
    pub fn license_database(&self) -> PathBuf {
        self.home.join("license.db")
    }

    /// The TLS certificate of `publisher serve`, if the settings name one.
    #[must_use]
    pub fn certificate(&self) -> Option<PathBuf> {
        self.settings.serve.certificate.as_ref().map(|path| self.home.join(path))
    }

    /// The private key of that certificate.
    #[must_use]
    pub fn certificate_key(&self) -> Option<PathBuf> {
        self.settings.serve.key.as_ref().map(|path| self.home.join(path))
    }

    /// Where payloads are built before they are published.
    #[must_use]
    pub fn staging(&self) -> PathBuf {
        self.home.join("staging")
    }

    /// Takes the home's lock; waits for another publisher, and calls `waiting` once before.
    ///
    /// # Errors
    /// When the lock file cannot be opened or locked.
    pub fn lock(&self, waiting: impl FnOnce()) -> Result<FileLock, HomeError> {
        let path = self.home.join(".lock");
        FileLock::take(&path, waiting).map_err(|source| HomeError::Lock { path, source })
    }
}
