//! The vendor's secret keys: made, and read when something is to be signed.
//!
//! Each key is read only when it is needed. A passphrase is asked for once per command, not once per key; it is held
//! until the keyring is dropped, and wiped then. An existing key is never replaced.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use sealpost_files::{PRIVATE_FOLDER, make_folder, remove_durably};
use sealpost_keys::{
    KeyError, KeyFileError, Passphrase, PassphraseError, PassphraseSource, SigningKey, key_file,
};
use sealpost_manifests::ids::PackageName;
use sealpost_repository::{RoleName, tuf_key_id};

use super::error::HomeError;
use super::key_files::{key_files, named_id};
use super::settings::KeyPlaces;
use super::vendor::Vendor;

/// Why a key could not be used or made; `purpose` says which.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyringError {
    #[error("cannot use the {purpose} key")]
    File {
        purpose: String,
        #[source]
        source: KeyFileError,
    },
    /// The key is encrypted, no passphrase was given, and there is no terminal to ask at.
    #[error(
        "the {purpose} key is encrypted; give --passphrase-file FILE or --passphrase-env VAR, or use a terminal"
    )]
    PassphraseNeeded { purpose: String },
    #[error(
        "cannot use the {purpose} key: {} lies there already and is not encrypted, though the other keys are, so somebody may \
         have laid it there; move it away, and a new one is made",
        path.display()
    )]
    NotEncrypted { purpose: String, path: PathBuf },
    #[error("cannot get the passphrase of the vendor's keys")]
    Passphrase(#[source] PassphraseError),
    #[error("cannot make the {purpose} key")]
    Make {
        purpose: String,
        #[source]
        source: KeyError,
    },
    #[error("cannot look for the {purpose} keys")]
    Search {
        purpose: String,
        #[source]
        source: HomeError,
    },
    #[error("cannot make the folder for the {purpose} key")]
    Folder {
        purpose: String,
        #[source]
        source: HomeError,
    },
}

/// A vendor's keys, opened as they are needed.
#[derive(Debug)]
pub struct Keyring {
    home: PathBuf,
    places: KeyPlaces,
    source: PassphraseSource,
    /// Outer `None`: not asked for yet; inner `None`: there is none.
    passphrase: Mutex<Option<Option<Passphrase>>>,
}

/// The keys of a new vendor.
#[derive(Debug)]
pub struct VendorKeys {
    pub timestamp: SigningKey,
    pub snapshot: SigningKey,
    /// Of the top-level targets role.
    pub targets: SigningKey,
    pub license: SigningKey,
}

/// The keys of a package.
#[derive(Debug)]
pub struct PackageKeys {
    /// Signs the package's role.
    pub role: SigningKey,
    /// Signs the package's manifests.
    pub release: SigningKey,
}

impl Keyring {
    /// The keys of a vendor; encrypted ones are opened with the passphrase of this source.
    #[must_use]
    pub fn new(vendor: &Vendor, source: PassphraseSource) -> Self {
        Self {
            home: vendor.home().to_owned(),
            places: vendor.settings().keys.clone(),
            source,
            passphrase: Mutex::new(None),
        }
    }

    /// The keys as other settings of the same vendor name them, with the passphrase that is known already.
    #[must_use]
    pub fn reopened(&self, vendor: &Vendor) -> Self {
        Self { passphrase: Mutex::new(self.known_passphrase()), ..Self::new(vendor, self.source.clone()) }
    }

    /// Takes the passphrase from the caller, who asked for it twice.
    pub fn set_passphrase(&self, passphrase: Option<Passphrase>) {
        *self.passphrase.lock().unwrap_or_else(PoisonError::into_inner) = Some(passphrase);
    }

    pub fn timestamp(&self) -> Result<SigningKey, KeyringError> {
        self.read(&self.places.timestamp, "timestamp")
    }

    pub fn snapshot(&self) -> Result<SigningKey, KeyringError> {
        self.read(&self.places.snapshot, "snapshot")
    }

    /// The key of the top-level targets role.
    pub fn targets(&self) -> Result<SigningKey, KeyringError> {
        self.read(&self.places.targets, "targets")
    }

    /// The key that signs grants.
    pub fn license(&self) -> Result<SigningKey, KeyringError> {
        self.read(&self.places.license, "license")
    }

    /// The key that signs a package's role.
    pub fn role(&self, package: &PackageName) -> Result<SigningKey, KeyringError> {
        self.read(&self.role_path(package), &format!("role ({package})"))
    }

    /// The key that signs a package's manifests.
    pub fn release(&self, package: &PackageName) -> Result<SigningKey, KeyringError> {
        self.read(&self.release_path(package), &format!("release ({package})"))
    }

    /// Where the key of a role lies; for the root, the folder of its keys.
    #[must_use]
    pub fn place(&self, role: &RoleName) -> PathBuf {
        self.home.join(match role {
            RoleName::Root => self.places.root_dir().to_owned(),
            RoleName::Targets => self.places.targets.clone(),
            RoleName::Snapshot => self.places.snapshot.clone(),
            RoleName::Timestamp => self.places.timestamp.clone(),
            RoleName::Package(package) => self.role_path(package),
        })
    }

    /// The keys in these folders that are among those of the root, each once. A key whose public half lies beside it and
    /// is another is not opened, so that no passphrase is asked for in vain.
    pub fn root_keys(
        &self,
        folders: &[PathBuf],
        root_ids: &[String],
    ) -> Result<Vec<SigningKey>, KeyringError> {
        let mut found: BTreeMap<String, SigningKey> = BTreeMap::new();
        for folder in folders {
            let files = key_files(folder)
                .map_err(|source| KeyringError::Search { purpose: "root".to_owned(), source })?;
            for path in files {
                if named_id(&path).is_some_and(|id| !root_ids.contains(&id) || found.contains_key(&id)) {
                    continue;
                }
                let key = self.read_at(&path, "root")?;
                let id = tuf_key_id(&key.public());
                if root_ids.contains(&id) {
                    found.insert(id, key);
                }
            }
        }
        Ok(found.into_values().collect())
    }

    /// Makes the four keys of a new vendor.
    pub fn make_vendor_keys(&self) -> Result<VendorKeys, KeyringError> {
        Ok(VendorKeys {
            timestamp: self.make(&self.places.timestamp, "timestamp")?,
            snapshot: self.make(&self.places.snapshot, "snapshot")?,
            targets: self.make(&self.places.targets, "targets")?,
            license: self.make(&self.places.license, "license")?,
        })
    }

    pub fn make_root_key(&self, path: &Path) -> Result<SigningKey, KeyringError> {
        self.make(path, "root")
    }

    /// Makes the two keys of a new package, or reads what an interrupted first release has made.
    pub fn make_package_keys(&self, package: &PackageName) -> Result<PackageKeys, KeyringError> {
        self.keep_as_the_others()?;
        let role = self.read_or_make(&self.role_path(package), &format!("role ({package})"))?;
        let release = self.read_or_make(&self.release_path(package), &format!("release ({package})"))?;
        Ok(PackageKeys { role, release })
    }

    /// New keys are kept as the others are: nobody at a terminal is asked for a passphrase of keys that have none, and one that
    /// is asked for has opened a key before it locks another.
    fn keep_as_the_others(&self) -> Result<(), KeyringError> {
        if matches!(self.source, PassphraseSource::Prompt) && self.known_passphrase().is_none() {
            self.timestamp()?;
            if self.known_passphrase().is_none() {
                self.set_passphrase(None);
            }
        }
        Ok(())
    }

    fn role_path(&self, package: &PackageName) -> PathBuf {
        self.places.role_dir.join(format!("{package}.role.key"))
    }

    fn release_path(&self, package: &PackageName) -> PathBuf {
        self.places.release_dir.join(format!("{package}.release.key"))
    }

    fn read_or_make(&self, path: &Path, purpose: &str) -> Result<SigningKey, KeyringError> {
        match self.make(path, purpose) {
            Err(KeyringError::File { source: KeyFileError::Exists { path }, .. }) => {
                // Whoever does not know the passphrase can lay a key there, but none that is encrypted with it.
                let has_passphrase = self.known_passphrase().flatten().is_some();
                if has_passphrase && key_file::read_secret_with(&path, None).is_ok() {
                    return Err(KeyringError::NotEncrypted { purpose: purpose.to_owned(), path });
                }
                self.read_at(&path, purpose)
            }
            made => made,
        }
    }

    /// The key at a path as the settings name it.
    fn read(&self, path: &Path, purpose: &str) -> Result<SigningKey, KeyringError> {
        self.read_at(&self.home.join(path), purpose)
    }

    /// The key at a path as this process reaches it.
    fn read_at(&self, path: &Path, purpose: &str) -> Result<SigningKey, KeyringError> {
        let open = |passphrase: Option<&Passphrase>| key_file::read_secret_with(path, passphrase);
        let result = match open(None) {
            Err(KeyFileError::PassphraseNeeded { .. }) => match self.passphrase()? {
                Some(passphrase) => open(Some(&passphrase)),
                None => return Err(KeyringError::PassphraseNeeded { purpose: purpose.to_owned() }),
            },
            result => result,
        };
        result.map_err(|source| KeyringError::File { purpose: purpose.to_owned(), source })
    }

    fn make(&self, path: &Path, purpose: &str) -> Result<SigningKey, KeyringError> {
        let path = self.home.join(path);
        let file = |source| KeyringError::File { purpose: purpose.to_owned(), source };
        if path.symlink_metadata().is_ok() {
            return Err(file(KeyFileError::Exists { path }));
        }
        if let Some(folder) = path.parent() {
            make_folder(folder, PRIVATE_FOLDER)
                .map_err(HomeError::writing(folder))
                .map_err(|source| KeyringError::Folder { purpose: purpose.to_owned(), source })?;
        }
        let key = SigningKey::generate()
            .map_err(|source| KeyringError::Make { purpose: purpose.to_owned(), source })?;
        let passphrase = self.passphrase()?;
        key_file::write_secret(&path, &key, passphrase.as_ref()).map_err(file)?;
        // The public half beside it is for `minisign -V`; it can be made again, so a leftover is replaced.
        let public = path.with_extension("pub");
        remove_durably(&public)
            .map_err(|source| file(KeyFileError::Write { path: public.clone(), source }))?;
        key_file::write_public(&public, &key.public()).map_err(file)?;
        Ok(key)
    }

    /// What was typed or read for the keys until now; `None` if nobody was asked yet.
    fn known_passphrase(&self) -> Option<Option<Passphrase>> {
        self.passphrase.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn passphrase(&self) -> Result<Option<Passphrase>, KeyringError> {
        let mut known = self.passphrase.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known.as_ref() {
            return Ok(known.clone());
        }
        let obtained = self.source.obtain("the vendor's keys").map_err(KeyringError::Passphrase)?;
        *known = Some(obtained.clone());
        Ok(obtained)
    }
}
