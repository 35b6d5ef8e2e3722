//! The metadata store of a reader: what was verified before, and therefore the floor below which nothing may fall.
//!
//! The verification core treats a store that cannot be read as an empty one and goes on. That lets a rollback
//! through as soon as somebody flips a bit in the cached timestamp. So this store
//! - frames every blob with its name, length and SHA-256, so that any changed byte is *damage*, never *absence*;
//! - **latches** its first failure: from then on every load and store fails, the transport refuses
//!   (see `guarded.rs`), and [`Reader`](crate::Reader) looks at the latch before it trusts a result.
//!
//! Invariant: `Ok(None)` means that the system said "no such file", and nothing else.
//! Left out on purpose: repairing or forgetting. Whoever could damage the floor must not be able to reset it by doing
//! so; a person restores the folder from a backup or, having checked the disk, removes it and accepts the loss.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use sealpost_files::{
    FileLock, LockError, PRIVATE, PRIVATE_FOLDER, PUBLIC, frame, make_folder, read_bounded, replace, sweep,
    unframe,
};
use sigstore_tuf::MetadataStore;

use crate::target::length_of;

/// Largest blob, in bytes. Above the core's largest metadata file (5,000,000), and small enough to hold in memory.
const MAX_BLOB_BYTES: u64 = 8 * 1024 * 1024;
/// Largest header: magic, a name of at most [`MAX_ROLE_BYTES`] and two numbers.
const MAX_HEADER_BYTES: u64 = 512;
/// Longest percent-encoded role name, so that every name fits a file name of 255 bytes.
const MAX_ROLE_BYTES: usize = 240;
/// First word of every blob: the format and its version.
const FORMAT: &str = "sealpost-store-2";

/// Why the metadata store failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A file or folder could not be read, written or locked.
    #[error(
        "cannot {action} {} in the metadata store; check disk space and permissions, then start again",
        path.display()
    )]
    Io {
        /// What was attempted, as a verb.
        action: &'static str,
        /// The file that it was attempted on.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A file is there and is not what was written.
    #[error(
        "the metadata store is damaged at {}: {reason}; nothing is trusted until the folder is restored from a \
         backup, or removed after checking the disk (which gives up the protection against older metadata once)",
        path.display()
    )]
    Damaged {
        /// The file that is damaged.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A blob of a name or size that no metadata has.
    #[error("the metadata store does not take a blob named {name:?} of {bytes} bytes")]
    Unsuitable {
        /// The name that was given.
        name: String,
        /// The length that was given, in bytes.
        bytes: u64,
    },
    /// Another process or reader has the folder.
    #[error("the metadata store {} is in use; stop the other program or wait for it", path.display())]
    InUse {
        /// The folder of the store.
        path: PathBuf,
    },
}

/// The first failure of a store, seen by everybody who depends on it. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Latch(Arc<OnceLock<Arc<StoreError>>>);

impl Latch {
    /// The failure, if there was one.
    #[must_use]
    pub fn tripped(&self) -> Option<Arc<StoreError>> {
        self.0.get().cloned()
    }

    /// Goes on only if nothing has failed.
    ///
    /// # Errors
    /// The first failure of the store.
    pub fn check(&self) -> Result<(), Arc<StoreError>> {
        self.tripped().map_or(Ok(()), Err)
    }

    fn trip(&self, error: StoreError) -> Arc<StoreError> {
        Arc::clone(self.0.get_or_init(|| Arc::new(error)))
    }
}

/// A folder of framed blobs that fails closed. One reader at a time: the folder is locked while it is open.
#[derive(Debug)]
pub struct FailClosedStore {
    folder: PathBuf,
    latch: Latch,
    _lock: FileLock,
}

impl FailClosedStore {
    /// Opens the store, making the folder if there is none.
    ///
    /// # Errors
    /// [`StoreError::InUse`] if another reader has it, [`StoreError::Io`] if the system refuses.
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        let failed = |action, path: &Path| {
            let path = path.to_owned();
            move |source| StoreError::Io { action, path, source }
        };
        for folder in [folder.to_owned(), folder.join("roots"), folder.join("roles")] {
            make_folder(&folder, PRIVATE_FOLDER).map_err(failed("create", &folder))?;
        }
        let lock = FileLock::try_take_folder(folder).map_err(|error| match error {
            LockError::Held => StoreError::InUse { path: folder.to_owned() },
            LockError::Io(source) => failed("lock", folder)(source),
        })?;
        for folder in [folder.to_owned(), folder.join("roots"), folder.join("roles")] {
            sweep(&folder).map_err(failed("tidy", &folder))?;
        }
        Ok(Self { folder: folder.to_owned(), latch: Latch::default(), _lock: lock })
    }

    /// The latch that this store trips on its first failure.
    #[must_use]
    pub fn latch(&self) -> Latch {
        self.latch.clone()
    }

    /// The blob under a metadata file name, or `None` if there is none.
    ///
    /// # Errors
    /// The first failure of this store, now or earlier.
    pub fn read(&self, name: &str) -> Result<Option<Vec<u8>>, Arc<StoreError>> {
        self.latch.check()?;
        self.try_read(name).map_err(|error| self.latch.trip(error))
    }

    /// Keeps verified bytes under a metadata file name.
    ///
    /// # Errors
    /// The first failure of this store, now or earlier.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<(), Arc<StoreError>> {
        self.latch.check()?;
        self.try_write(name, bytes).map_err(|error| self.latch.trip(error))
    }

    /// Copies what is trusted, byte for byte and under unversioned names (`root.json`, `timestamp.json`, …,
    /// `<role>.json`), into a folder where other programs can look at it. Nothing is ever read back from there.
    ///
    /// # Errors
    /// The first failure of this store, or of writing there.
    pub fn export(&self, destination: &Path) -> Result<(), Arc<StoreError>> {
        let mut names: Vec<String> =
            ["root.json", "timestamp.json", "snapshot.json", "targets.json"].map(str::to_owned).to_vec();
        let roles = self.folder.join("roles");
        let failed =
            |action, path: &Path, source| Arc::new(StoreError::Io { action, path: path.to_owned(), source });
        for entry in fs::read_dir(&roles).map_err(|source| failed("list", &roles, source))? {
            let entry = entry.map_err(|source| failed("list", &roles, source))?;
            let file_name = entry.file_name();
            if let Some(role) = file_name.to_str().and_then(|name| name.strip_suffix(".blob")) {
                names.push(format!("{role}.json"));
            }
        }
        for name in names {
            if let Some(bytes) = self.read(&name)? {
                let path = destination.join(&name);
                replace(&path, &bytes, PUBLIC).map_err(|source| failed("export", &path, source))?;
            }
        }
        Ok(())
    }

    fn try_read(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let Some(path) = self.locate(name, 0)? else { return Ok(None) };
        match read_bounded(&path, MAX_HEADER_BYTES + MAX_BLOB_BYTES) {
            Ok(None) => Ok(None),
            Ok(Some(framed)) => match unframe(&label(name), &framed) {
                Ok(bytes) => Ok(Some(bytes.to_vec())),
                Err(reason) => Err(StoreError::Damaged { path, reason: reason.to_string() }),
            },
            Err(error) if error.kind() == io::ErrorKind::FileTooLarge => {
                let reason = "it is larger than anything that was stored".to_owned();
                Err(StoreError::Damaged { path, reason })
            }
            Err(source) => Err(StoreError::Io { action: "read", path, source }),
        }
    }

    fn try_write(&self, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
        let unsuitable = || StoreError::Unsuitable { name: name.to_owned(), bytes: length_of(bytes) };
        if length_of(bytes) > MAX_BLOB_BYTES {
            return Err(unsuitable());
        }
        let Some(path) = self.locate(name, length_of(bytes))? else { return Ok(()) };
        replace(&path, &frame(&label(name), bytes), PRIVATE).map_err(|source| StoreError::Io {
            action: "write",
            path,
            source,
        })
    }

    /// The file of a blob; `None` for the one kind that is not kept (`N.snapshot.json`, a second copy of
    /// `snapshot.json` that nobody reads and that would grow for ever).
    fn locate(&self, name: &str, bytes: u64) -> Result<Option<PathBuf>, StoreError> {
        let unsuitable = || StoreError::Unsuitable { name: name.to_owned(), bytes };
        if let Some(root) = name.strip_prefix("root_history/") {
            let version = root.strip_suffix(".root.json").ok_or_else(unsuitable)?;
            return if is_version(version) {
                Ok(Some(self.folder.join("roots").join(format!("{version}.blob"))))
            } else {
                Err(unsuitable())
            };
        }
        let stem = name.strip_suffix(".json").ok_or_else(unsuitable)?;
        if stem.strip_suffix(".snapshot").is_some_and(is_version) {
            return Ok(None);
        }
        let plain =
            |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~' | b'%');
        if stem.is_empty() || stem.len() > MAX_ROLE_BYTES || !stem.bytes().all(plain) {
            return Err(unsuitable());
        }
        let file = format!("{stem}.blob");
        Ok(Some(match stem {
            "root" | "timestamp" | "snapshot" | "targets" => self.folder.join(file),
            _ => self.folder.join("roles").join(file),
        }))
    }
}

impl MetadataStore for FailClosedStore {
    fn load(&self, name: &str) -> sigstore_tuf::Result<Option<Vec<u8>>> {
        self.read(name).map_err(refused)
    }

    fn store(&self, name: &str, bytes: &[u8]) -> sigstore_tuf::Result<()> {
        self.write(name, bytes).map_err(refused)
    }
}

/// The core only logs this error; the latch is what counts.
pub(crate) fn refused(error: Arc<StoreError>) -> sigstore_tuf::Error {
    sigstore_tuf::Error::transport_with_source("the metadata store has failed", error)
}

fn is_version(text: &str) -> bool {
    !text.is_empty() && text.len() <= 20 && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Names the blob too, so that one blob is never taken for another.
fn label(name: &str) -> String {
    format!("{FORMAT} {name}")
}
