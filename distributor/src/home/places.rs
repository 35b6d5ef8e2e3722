//! Where every file of a home lies; opening, locking and reading it.
//!
//! Invariant: a home that others than the server's user can enter, or that was never finished, is refused.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use sealpost_files::{FileLock, LockError, read_bounded, read_input};
use sealpost_keys::key_file;
use sealpost_keys::note::LogKey;
use sealpost_keys::{PassphraseSource, PublicKey, SealingKey, SigningKey};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::ServerId;
use sealpost_manifests::log::origin;
use sealpost_repository::MAX_ROOT_BYTES;

use super::certificates::ca_spki_sha256;
use super::error::{HomeError, failed};

/// Bytes of the server's secret.
pub(super) const SECRET_BYTES: usize = 32;
/// Largest certificate, in bytes.
const MAX_CERTIFICATE_BYTES: u64 = 256 * 1024;
/// Where a home is put together; its presence means that `init` did not end.
pub(super) const UNFINISHED: &str = ".unfinished-init";

/// A server's home. A value of this type only knows paths; [`Home::open`] checks that the server is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home {
    root: PathBuf,
}

/// Held while a server runs in its home; released when dropped or killed.
#[derive(Debug)]
pub struct HomeLock {
    _lock: FileLock,
}

/// Declares where things are, relative to the home.
macro_rules! places {
    ($($(#[$doc:meta])* $name:ident = $path:literal,)*) => {
        impl Home {
            $($(#[$doc])* #[must_use] pub fn $name(&self) -> PathBuf { self.root.join($path) })*
        }
    };
}

places! {
    /// The configuration, written last at `init`.
    config_file = "distributor.toml",
    /// Fragments that are read after the configuration.
    config_folder = "distributor.d",
    /// The pinned root of the vendor.
    root_json = "root.json",
    /// The secret site key, `0600`.
    site_key = "keys/site.key",
    /// The public site key.
    site_public_key = "keys/site.pub",
    /// The secret behind access tokens, receipts and enrollment codes: 32 random bytes, `0600`.
    secret = "keys/server.secret",
    /// The key that signs checkpoints of the log, `0600`.
    log_key = "keys/log.key",
    /// The key to which the vendor seals what it sends to this server, `0600`.
    sealing_key = "keys/sealing.key",
    /// The site CA's certificate, PEM.
    ca_certificate = "tls/ca.crt",
    /// The site CA's key, PEM, `0600`.
    ca_key = "tls/ca.key",
    /// The server's certificate chain with the CA at its end, PEM.
    server_certificate = "tls/server.crt",
    /// The server's key, PEM, `0600`.
    server_key = "tls/server.key",
    /// The key of the CA that is going to replace the site CA, PEM, `0600`; written before its certificate.
    next_ca_key = "tls/next-ca.key",
    /// The certificate of the CA that is going to replace the site CA, PEM.
    next_ca_certificate = "tls/next-ca.crt",
    /// The admin's own certificate that is presented, with its CAs and its key, PEM, `0600`; absent while the site CA's
    /// certificate is presented.
    own_identity = "tls/own.pem",
    ledger = "ledger.db",
    /// The head of the log as it was noted outside of the ledger: shows an older ledger at the next start.
    ledger_marker = "ledger.marker",
    /// Digests of admin tokens, `0600`.
    admin_tokens = "admin-tokens.json",
    /// The Unix socket of the admin API, `0600`.
    admin_socket = "admin.sock",
    /// The folder of the text log.
    log_folder = "log",
    /// What is remembered of stored files: since when one is not needed, and when all were checked.
    storage_note = "storage.json",
    /// The TCP addresses that the server listened on last.
    listening = "listening.json",
    /// The record of the vendor's metadata that was trusted before.
    tuf_store = "tuf",
    mirror = "mirror",
    blobs = "blobs",
    /// Payloads that are being fetched.
    downloads = "downloads",
    /// Unpacked releases and the index of deltas.
    staging = "staging",
    /// Locked while a server runs.
    lock_file = "lock",
}

impl Home {
    /// The home at a path, which is not looked at.
    #[must_use]
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { root: path.into() }
    }

    /// A home that exists, is finished, and that no other account can enter.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, HomeError> {
        let home = Self::at(path);
        let path = || home.root.clone();
        if home.root.join(UNFINISHED).exists() {
            return Err(HomeError::Unfinished { path: path() });
        }
        match fs::metadata(home.config_file()) {
            Ok(metadata) if metadata.is_file() => {}
            Err(source) if source.kind() == io::ErrorKind::PermissionDenied => {
                return Err(HomeError::Forbidden { path: path(), source });
            }
            _ => return Err(HomeError::NoServer { path: path() }),
        }
        let metadata = fs::metadata(&home.root).map_err(|source| failed("look at", &home.root, source))?;
        let mode = metadata.mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(HomeError::Exposed { path: path(), mode });
        }
        Ok(home)
    }

    #[must_use]
    pub fn path(&self) -> &Path {
        &self.root
    }

    /// Locks the home for one running server; released when dropped or killed.
    pub fn lock(&self) -> Result<HomeLock, HomeError> {
        let path = self.lock_file();
        match FileLock::try_take(&path) {
            Ok(lock) => Ok(HomeLock { _lock: lock }),
            Err(LockError::Held) => Err(HomeError::InUse { path: self.root.clone() }),
            Err(LockError::Io(source)) => Err(failed("lock", &path, source)),
        }
    }

    /// Reads the site key; the source is asked only if the key is encrypted.
    pub fn read_site_key(&self, passphrase: &PassphraseSource) -> Result<SigningKey, HomeError> {
        Ok(key_file::read_secret(&self.site_key(), passphrase)?)
    }

    /// Reads the site key, which must be unencrypted and the one that the ledger was made for.
    ///
    /// # Errors
    /// [`HomeError::KeyFile`], [`HomeError::OtherSiteKey`].
    pub fn read_site_key_of(&self, ledger: &PublicKey) -> Result<SigningKey, HomeError> {
        let key = self.read_site_key(&PassphraseSource::None)?;
        if key.public() == *ledger { Ok(key) } else { Err(HomeError::OtherSiteKey { path: self.site_key() }) }
    }

    /// Reads the server's secret.
    ///
    /// # Errors
    /// [`HomeError`] if others can read it or it has another length.
    pub fn read_secret(&self) -> Result<[u8; SECRET_BYTES], HomeError> {
        let path = self.secret();
        let metadata = fs::metadata(&path).map_err(|source| failed("read", &path, source))?;
        let mode = metadata.mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(HomeError::Exposed { path, mode });
        }
        let bytes = read(&path, SECRET_BYTES as u64)?;
        bytes.try_into().map_err(|_| failed("read", &path, io::Error::from(io::ErrorKind::InvalidData)))
    }

    /// Reads the key that signs checkpoints of this server's log.
    ///
    /// # Errors
    /// [`HomeError`].
    pub fn read_log_key(&self, server_id: &ServerId) -> Result<LogKey, HomeError> {
        self.read_log_key_named(&origin(server_id))
    }

    /// Reads the key that signs checkpoints, for the log with this origin.
    ///
    /// # Errors
    /// [`HomeError`].
    pub fn read_log_key_named(&self, origin: &str) -> Result<LogKey, HomeError> {
        let key = key_file::read_secret(&self.log_key(), &PassphraseSource::None)?;
        let invalid = |error| failed("read", &self.log_key(), io::Error::other(error));
        LogKey::new(origin, key).map_err(invalid)
    }

    /// Reads the key to which the vendor seals what it sends to this server.
    ///
    /// # Errors
    /// [`HomeError`].
    pub fn read_sealing_key(&self) -> Result<SealingKey, HomeError> {
        Ok(SealingKey::read_file(&self.sealing_key())?)
    }

    /// Reads the pinned root.
    ///
    /// # Errors
    /// [`HomeError`] if it cannot be read or is too large.
    pub fn read_root(&self) -> Result<Vec<u8>, HomeError> {
        read(&self.root_json(), MAX_ROOT_BYTES)
    }

    /// The pin of this site's CA.
    ///
    /// # Errors
    /// [`HomeError`] if the certificate cannot be read.
    pub fn ca_pin(&self) -> Result<Sha256Digest, HomeError> {
        Ok(ca_spki_sha256(&read(&self.ca_certificate(), MAX_CERTIFICATE_BYTES)?)?)
    }

    /// Reads a PEM file of the `tls` folder as text; `None` if it is not there.
    ///
    /// # Errors
    /// [`HomeError`] if it cannot be read.
    pub fn read_pem(&self, path: &Path) -> Result<Option<String>, HomeError> {
        let bytes =
            read_bounded(path, MAX_CERTIFICATE_BYTES).map_err(|source| failed("read", path, source))?;
        let invalid = |_| failed("read", path, io::Error::from(io::ErrorKind::InvalidData));
        bytes.map(|bytes| String::from_utf8(bytes).map_err(invalid)).transpose()
    }
}

/// Reads the vendor's `root.json`, which may come through a pipe.
pub(super) fn read_root(path: &Path) -> Result<Vec<u8>, HomeError> {
    let attempted = "read the vendor's root from";
    match read_input(path, MAX_ROOT_BYTES) {
        Ok(bytes) => Ok(bytes),
        Err(error) if error.kind() == io::ErrorKind::FileTooLarge => {
            let problem =
                format!("{} has more than {MAX_ROOT_BYTES} bytes; that is no root.json", path.display());
            Err(HomeError::Option { option: "--root", problem })
        }
        Err(source) => Err(failed(attempted, path, source)),
    }
}

/// Reads a file of the home, which must be there.
fn read(path: &Path, max_bytes: u64) -> Result<Vec<u8>, HomeError> {
    let bytes = read_bounded(path, max_bytes).and_then(|bytes| bytes.ok_or_else(absent));
    bytes.map_err(|source| failed("read", path, source))
}

fn absent() -> io::Error {
    io::Error::from(Errno::NOENT)
}
