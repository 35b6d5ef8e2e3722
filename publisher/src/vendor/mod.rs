//! The vendor's home: which keys and files live where.
//!
//! Invariants: `vendor.toml` is written last at `init`, so a folder that has one is a whole home; secret keys are
//! private files; everything that changes the repository happens under the home's lock ([`HomeLock`]), so that two
//! publishers never sign the same version twice.
//!
//! Each key's place can be set by itself, because keys belong apart: root keys offline, release keys and
//! package-role keys on different machines or tokens.
//! Left out on purpose: moving and replacing keys (a later version).

mod keyring;
mod settings;

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

pub use keyring::{Keyring, KeyringError, PackageKeys, VendorKeys};
pub use settings::{KeyPlaces, LifetimeDays, Settings};

/// The settings file's name; its presence marks a home.
pub const SETTINGS_FILE: &str = "vendor.toml";

/// Why a home cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HomeError {
    /// There is no home there.
    #[error("{} is no vendor's home: it has no vendor.toml; give --home, or make one with `publisher init`", home.display())]
    NotAHome {
        /// The folder.
        home: PathBuf,
    },
    /// Anybody could put keys or settings of his own there.
    #[error("cannot use {}: every user of this computer can change it; run `chmod o-w` on it", path.display())]
    WritableByAll {
        /// The home or its settings.
        path: PathBuf,
    },
    /// The settings cannot be read.
    #[error("cannot read {}; check the path and its permissions", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The settings are not what they should be.
    #[error("cannot understand {}; correct the line that is named", path.display())]
    Settings {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: Box<toml::de::Error>,
    },
    /// A value that makes no sense.
    #[error("cannot use {}: {problem}", path.display())]
    Value {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// A file or folder could not be written.
    #[error("cannot write {}; check the folder's permissions and free space", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The lock could not be taken.
    #[error("cannot lock {}; is it on a file system that knows locks?", path.display())]
    Lock {
        /// The lock file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// A vendor's home.
#[derive(Debug, Clone)]
pub struct Vendor {
    home: PathBuf,
    settings: Settings,
}

impl Vendor {
    /// Opens a home.
    ///
    /// # Errors
    /// [`HomeError`].
    pub fn open(home: &Path) -> Result<Self, HomeError> {
        let path = home.join(SETTINGS_FILE);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(HomeError::NotAHome { home: home.to_owned() });
            }
            Err(source) => return Err(HomeError::Read { path, source }),
        };
        for path in [home, &path] {
            let found = fs::metadata(path);
            let found = found.map_err(|source| HomeError::Read { path: path.to_owned(), source })?;
            if found.permissions().mode() & 0o002 != 0 {
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
        write_new(&self.home.join(SETTINGS_FILE), self.settings.to_commented_text().as_bytes(), 0o644)
    }

    /// The folder.
    #[must_use]
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// The settings.
    #[must_use]
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The published repository: `metadata/` and `targets/`.
    #[must_use]
    pub fn repository(&self) -> PathBuf {
        self.home.join("repository")
    }

    /// The root that is shipped to sites.
    #[must_use]
    pub fn root_file(&self) -> PathBuf {
        self.home.join("root.json")
    }

    /// The license database.
    #[must_use]
    pub fn license_database(&self) -> PathBuf {
        self.home.join("license.db")
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
    pub fn lock(&self, waiting: impl FnOnce()) -> Result<HomeLock, HomeError> {
        let path = self.home.join(".lock");
        let fail = |source| HomeError::Lock { path: path.clone(), source };
        let mut options = OpenOptions::new();
        let file = options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(fail)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                waiting();
                file.lock().map_err(fail)?;
            }
            Err(TryLockError::Error(source)) => return Err(fail(source)),
        }
        Ok(HomeLock(file))
    }
}

/// The home's lock, until dropped. The system frees it when the process dies.
#[derive(Debug)]
pub struct HomeLock(#[expect(dead_code, reason = "held for its lock")] File);

/// Makes a folder that only its owner can enter, with its parents, all of it on disk.
///
/// # Errors
/// When it cannot be made.
pub fn private_folder(path: &Path) -> Result<(), HomeError> {
    let missing: Vec<&Path> = path.ancestors().take_while(|folder| !folder.exists()).collect();
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .and_then(|()| missing.into_iter().try_for_each(sync_entry))
        .map_err(|source| HomeError::Write { path: path.to_owned(), source })
}

/// Makes it durable that `path` is in its folder.
pub(crate) fn sync_entry(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => File::open(folder)?.sync_all(),
        Some(_) => File::open(".")?.sync_all(),
        None => Ok(()),
    }
}

/// Writes a new file, flushed together with its name; never over another.
///
/// # Errors
/// When it exists already or cannot be written.
pub fn write_new(path: &Path, bytes: &[u8], mode: u32) -> Result<(), HomeError> {
    let write = || {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        sync_entry(path)
    };
    write().map_err(|source| HomeError::Write { path: path.to_owned(), source })
}
