//! A repository's folder, as its owner opens it: locked if it is to be changed, and read only through the verification
//! core.
//!
//! Invariant: what the editor starts from was verified from the pinned root, every file that the snapshot pins. Only
//! expiry is not checked, because it is the owner who renews what has expired.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use sigstore_tuf::TrustedMetadataSet;

use sealpost_files::{FileLock, LockError, make_folder, read_bounded, sweep};

use crate::limits::MAX_METADATA_BYTES;
use crate::writing::metadata::{Pin, Pins, Root, Second, Targets, parse_verified};
use crate::writing::role::RoleName;
use crate::writing::signed_before::SignedBefore;
use sealpost_manifests::ids::PackageName;

/// Why a repository's folder could not be opened or loaded. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A file or folder could not be read, made or locked.
    #[error("cannot {action} {}; check that it exists, and its permissions", path.display())]
    Io {
        /// What was attempted, as a verb.
        action: &'static str,
        /// The file or folder that it was attempted on.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Another editor has it.
    #[error("the repository {} is being changed by another program; wait for it", path.display())]
    InUse {
        /// The folder of the repository.
        path: PathBuf,
    },
    /// A file that must be there is not.
    #[error("the repository has no {file}; restore it from the published copy")]
    Missing {
        /// Name of the metadata file.
        file: String,
    },
    /// A file is not what its signers published.
    #[error("the repository's {file} was refused; restore it from the published copy")]
    Refused {
        /// Name of the metadata file.
        file: String,
        /// The cause of the failure.
        #[source]
        source: sigstore_tuf::Error,
    },
    /// A verified file says what this program cannot write again.
    #[error("the repository's {file} was written by a tool that knows more than this one; use that tool")]
    Foreign {
        /// Name of the metadata file.
        file: String,
        /// What was not understood.
        #[source]
        source: serde_json::Error,
    },
    /// A delegated role is not a package's.
    #[error("the repository delegates to {role:?}, which is not a package name; use the tool that wrote it")]
    ForeignRole {
        /// The role that is not a package's.
        role: String,
    },
}

/// Mode of the repository's folders: everybody may read what is published, and a umask must not let others write there.
const FOLDER_MODE: u32 = 0o755;

/// What a verified repository says.
pub(crate) struct Loaded {
    pub(crate) root: Root,
    /// The newest root that names other keys for the roles than the one before it.
    pub(crate) keys_replaced_in: Option<u64>,
    pub(crate) signed_before: SignedBefore,
    pub(crate) targets: Option<Targets>,
    pub(crate) packages: BTreeMap<PackageName, Targets>,
    pub(crate) pins: BTreeMap<String, Pin>,
    pub(crate) snapshot: Option<(Pin, Second)>,
    pub(crate) timestamp: Option<(u64, Second)>,
}

/// A repository's folder; locked, unless it is only looked at.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    _lock: Option<FileLock>,
}

impl Folder {
    pub(crate) fn open_or_create(path: &Path) -> Result<Self, LoadError> {
        for folder in [path.to_owned(), path.join("metadata"), path.join("targets")] {
            make_folder(&folder, FOLDER_MODE).map_err(failed("create", &folder))?;
        }
        Self::open(path)
    }

    pub(crate) fn open(path: &Path) -> Result<Self, LoadError> {
        let lock_file = lock_file(path).map_err(failed("lock", path))?;
        let lock = FileLock::try_take(&lock_file).map_err(|error| match error {
            LockError::Held => LoadError::InUse { path: path.to_owned() },
            LockError::Io(source) => failed("lock", &lock_file)(source),
        })?;
        for folder in [path.join("metadata"), path.join("targets")] {
            sweep(&folder).map_err(failed("tidy", &folder))?;
        }
        Ok(Self { path: path.to_owned(), _lock: Some(lock) })
    }

    pub(crate) fn view(path: &Path) -> Self {
        Self { path: path.to_owned(), _lock: None }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn metadata(&self) -> PathBuf {
        self.path.join("metadata")
    }

    pub(crate) fn targets(&self) -> PathBuf {
        self.path.join("targets")
    }

    pub(crate) fn has_root(&self) -> Result<bool, LoadError> {
        Ok(self.read("1.root.json")?.is_some())
    }

    /// The highest version of each role among the files, also of those that no metadata pins.
    pub(crate) fn highest_versions(&self) -> Result<BTreeMap<String, u64>, LoadError> {
        let folder = self.metadata();
        let mut highest = BTreeMap::new();
        for entry in fs::read_dir(&folder).map_err(failed("list", &folder))? {
            let name = entry.map_err(failed("list", &folder))?.file_name();
            let parts = name.to_str().and_then(|name| name.strip_suffix(".json")?.split_once('.'));
            let Some((version, role)) = parts else { continue };
            let Ok(version) = version.parse::<u64>() else { continue };
            let known = highest.entry(role.to_owned()).or_insert(version);
            *known = version.max(*known);
        }
        Ok(highest)
    }

    pub(crate) fn load(&self, pinned_root: &[u8]) -> Result<Loaded, LoadError> {
        // Nothing has expired at the beginning of time.
        let now = Timestamp::MIN;
        let mut trusted =
            TrustedMetadataSet::from_root(pinned_root).map_err(refused("pinned root".to_owned()))?;
        let mut root: Root = parse("pinned root", pinned_root)?;
        let (mut keys_replaced_in, mut signed_before) = (None, SignedBefore::default());
        signed_before.add(RoleName::Root, pinned_root.to_owned());
        loop {
            let name = format!("{}.root.json", trusted.root().version.saturating_add(1));
            let Some(bytes) = self.read(&name)? else { break };
            trusted.update_root(&bytes).map_err(refused(name.clone()))?;
            let next: Root = parse(&name, &bytes)?;
            if (&next.keys, &next.roles) != (&root.keys, &root.roles) {
                keys_replaced_in = Some(next.version);
            }
            root = next;
            signed_before.add(RoleName::Root, bytes);
        }
        let mut loaded = Loaded {
            root,
            keys_replaced_in,
            signed_before,
            targets: None,
            packages: BTreeMap::new(),
            pins: BTreeMap::new(),
            snapshot: None,
            timestamp: None,
        };
        let Some(bytes) = self.read("timestamp.json")? else { return Ok(loaded) };
        trusted.update_timestamp(&bytes, now).map_err(refused("timestamp.json".to_owned()))?;
        let timestamp: Pins = parse("timestamp.json", &bytes)?;
        let pin = pinned(&timestamp.meta, "snapshot.json")?;
        loaded.timestamp = Some((timestamp.version, timestamp.expires));

        let (name, bytes) = self.pinned_file("snapshot", pin)?;
        trusted.update_snapshot(&bytes, now).map_err(refused(name.clone()))?;
        let snapshot: Pins = parse(&name, &bytes)?;
        loaded.snapshot = Some((pin.clone(), snapshot.expires));

        let (name, bytes) = self.pinned_file("targets", pinned(&snapshot.meta, "targets.json")?)?;
        trusted.update_targets(&bytes, now).map_err(refused(name.clone()))?;
        let targets: Targets = parse(&name, &bytes)?;
        loaded.signed_before.add(RoleName::Targets, bytes);
        for role in targets.delegations.iter().flat_map(|delegations| &delegations.roles) {
            let foreign = |_| LoadError::ForeignRole { role: role.name.clone() };
            let package = PackageName::new(&role.name).map_err(foreign)?;
            let pin = pinned(&snapshot.meta, &format!("{package}.json"))?;
            let (name, bytes) = self.pinned_file(package.as_str(), pin)?;
            trusted
                .update_delegated_targets(&bytes, package.as_str(), "targets", now)
                .map_err(refused(name.clone()))?;
            loaded.packages.insert(package.clone(), parse(&name, &bytes)?);
            loaded.signed_before.add(RoleName::Package(package), bytes);
        }
        loaded.targets = Some(targets);
        loaded.pins = snapshot.meta;
        Ok(loaded)
    }

    fn pinned_file(&self, role: &str, pin: &Pin) -> Result<(String, Vec<u8>), LoadError> {
        let name = format!("{}.{role}.json", pin.version);
        match self.read(&name)? {
            Some(bytes) => Ok((name, bytes)),
            None => Err(LoadError::Missing { file: name }),
        }
    }

    fn read(&self, name: &str) -> Result<Option<Vec<u8>>, LoadError> {
        let path = self.metadata().join(name);
        read_bounded(&path, MAX_METADATA_BYTES).map_err(failed("read", &path))
    }
}

/// A private file beside the repository: everybody may read what is published, and who can open a file or folder can hold its
/// lock. Not in it, because a repository is copied as it is.
fn lock_file(repository: &Path) -> io::Result<PathBuf> {
    let whole = std::path::absolute(repository)?;
    let name = whole.file_name().ok_or_else(|| io::Error::from(io::ErrorKind::InvalidFilename))?;
    Ok(whole.with_file_name(format!(".{}.lock", name.display())))
}

fn pinned<'a>(pins: &'a BTreeMap<String, Pin>, file: &str) -> Result<&'a Pin, LoadError> {
    pins.get(file).ok_or_else(|| LoadError::Missing { file: format!("pin of {file}") })
}

fn parse<T: DeserializeOwned>(file: &str, bytes: &[u8]) -> Result<T, LoadError> {
    parse_verified(bytes).map_err(|source| LoadError::Foreign { file: file.to_owned(), source })
}

fn refused(file: String) -> impl FnOnce(sigstore_tuf::Error) -> LoadError {
    move |source| LoadError::Refused { file, source }
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> LoadError {
    let path = path.to_owned();
    move |source| LoadError::Io { action, path, source }
}
