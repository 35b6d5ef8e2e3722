//! The server's home: where every file lies, and how a new home is made.
//!
//! Invariants: the home and every secret in it belong to the server's user alone (`0700`, `0600`); `distributor.toml`
//! comes last when a home is made, so that a half-made home never looks whole; nothing that exists is overwritten.
//! The site key is written without a passphrase, unless one is given: the server has to start by itself after a power
//! cut, and whoever can read the file as this user can read the server's memory too.
//! Left out on purpose: opening the ledger (`app.rs` wires it) and renewing certificates.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use sealpost_keys::key_file;
use sealpost_keys::token::random_bytes;
use sealpost_keys::{KeyError, KeyFileError, Passphrase, PassphraseSource, PublicKey, SigningKey};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::ServerId;
use sealpost_repository::MAX_ROOT_BYTES;

use crate::config;

mod certificates;

pub use certificates::{CertificateError, ca_spki_sha256};

/// Bytes of the key that signs access tokens.
const TOKEN_KEY_BYTES: usize = 32;
/// Where a home is put together; its presence means that `init` did not end.
const UNFINISHED: &str = ".unfinished-init";

/// A server's home. A value of this type says where things are; [`Home::open`] says that they are there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home {
    root: PathBuf,
}

/// Held while a server runs in its home.
#[derive(Debug)]
pub struct HomeLock(#[expect(dead_code, reason = "the lock is held by the open file")] File);

/// What a new home is made of.
#[derive(Debug)]
pub struct InitOptions<'a> {
    /// Where the vendor's server is.
    pub vendor_url: &'a str,
    /// The vendor's `root.json`, pinned from now on.
    pub root: &'a Path,
    /// Where to listen.
    pub listen: SocketAddr,
    /// Names and addresses under which agents reach the server.
    pub addresses: Vec<String>,
    /// Encrypts the site key, if given.
    pub passphrase: Option<&'a Passphrase>,
    /// Now.
    pub now: Timestamp,
}

/// Who a new server is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewServer {
    /// Its id.
    pub server_id: ServerId,
    /// Its site key.
    pub site_key: PublicKey,
    /// The pin of its site CA.
    pub ca_spki_sha256: Sha256Digest,
}

/// Why a home could not be made or opened.
#[derive(Debug, thiserror::Error)]
pub enum HomeError {
    /// Something is there already.
    #[error("cannot make a server in {}: it holds {found:?} already; choose an empty folder", path.display())]
    NotEmpty {
        /// Which folder.
        path: PathBuf,
        /// What is in it.
        found: String,
    },
    /// An `init` was cut off.
    #[error("{} holds a server that was never finished; remove the folder and run `distributor init` again", path.display())]
    Unfinished {
        /// Which folder.
        path: PathBuf,
    },
    /// No server there.
    #[error("{} holds no server; name another with --home, or run `distributor init` first", path.display())]
    NoServer {
        /// Which folder.
        path: PathBuf,
    },
    /// Others can read or change the home.
    #[error("others can look into {} (mode {mode:03o}); run `chmod 700` on it", path.display())]
    Exposed {
        /// Which folder.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A server runs there.
    #[error("another server runs in {}; stop it first", path.display())]
    InUse {
        /// Which folder.
        path: PathBuf,
    },
    /// An option cannot be used.
    #[error("cannot make a server: {option}: {problem}")]
    Option {
        /// Which option.
        option: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// The disk refused.
    #[error("cannot {attempted} {}; check the path, disk space and permissions", path.display())]
    Io {
        /// What was attempted.
        attempted: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// No key could be made.
    #[error("cannot make the server's keys")]
    Key {
        /// Why.
        #[from]
        source: KeyError,
    },
    /// A key file could not be written or read.
    #[error("cannot use a key of the server")]
    KeyFile {
        /// Why.
        #[from]
        source: KeyFileError,
    },
    /// No certificate could be made or read.
    #[error("cannot use the server's certificates")]
    Certificate {
        /// Why.
        #[from]
        source: CertificateError,
    },
    /// The ledger could not be created.
    #[error("cannot create the ledger")]
    Ledger {
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
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
    /// The key of access tokens: 32 random bytes, `0600`.
    token_key = "keys/token.key",
    /// The site CA's certificate, PEM.
    ca_certificate = "tls/ca.crt",
    /// The site CA's key, PEM, `0600`.
    ca_key = "tls/ca.key",
    /// The server's certificate chain with the CA at its end, PEM.
    server_certificate = "tls/server.crt",
    /// The server's key, PEM, `0600`.
    server_key = "tls/server.key",
    /// The ledger.
    ledger = "ledger.db",
    /// Digests of admin tokens, `0600`.
    admin_tokens = "admin-tokens.json",
    /// The Unix socket of the admin API, `0600`.
    admin_socket = "admin.sock",
    /// The text log of activity.
    activity_log = "log/activity.log",
    /// What was trusted before of the vendor's metadata.
    tuf_store = "tuf",
    /// The mirrored metadata.
    mirror = "mirror",
    /// The blobs.
    blobs = "blobs",
    /// Payloads that are being fetched.
    downloads = "downloads",
    /// Unpacked releases and the index of deltas.
    staging = "staging",
    /// Locked while a server runs.
    lock_file = "lock",
}

impl Home {
    /// The home at a path; nothing is looked at.
    #[must_use]
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { root: path.into() }
    }

    /// A home that is there, whole, and nobody else's to look into.
    ///
    /// # Errors
    /// [`HomeError`].
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, HomeError> {
        let home = Self::at(path);
        let path = || home.root.clone();
        if home.root.join(UNFINISHED).exists() {
            return Err(HomeError::Unfinished { path: path() });
        }
        if !home.config_file().is_file() {
            return Err(HomeError::NoServer { path: path() });
        }
        let metadata = fs::metadata(&home.root).map_err(|source| failed("look at", &home.root, source))?;
        let mode = metadata.mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(HomeError::Exposed { path: path(), mode });
        }
        Ok(home)
    }

    /// The folder itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.root
    }

    /// Locks the home for one running server; released when dropped or killed.
    ///
    /// # Errors
    /// [`HomeError::InUse`], [`HomeError::Io`].
    pub fn lock(&self) -> Result<HomeLock, HomeError> {
        let path = self.lock_file();
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&path)
            .map_err(|source| failed("open", &path, source))?;
        match file.try_lock() {
            Ok(()) => Ok(HomeLock(file)),
            Err(TryLockError::WouldBlock) => Err(HomeError::InUse { path: self.root.clone() }),
            Err(TryLockError::Error(source)) => Err(failed("lock", &path, source)),
        }
    }

    /// Reads the site key; the source is asked only if the key is encrypted.
    ///
    /// # Errors
    /// [`HomeError::KeyFile`].
    pub fn read_site_key(&self, passphrase: &PassphraseSource) -> Result<SigningKey, HomeError> {
        Ok(key_file::read_secret(&self.site_key(), passphrase)?)
    }

    /// Reads the key of access tokens.
    ///
    /// # Errors
    /// [`HomeError`] if others can read it or it has another length.
    pub fn read_token_key(&self) -> Result<[u8; TOKEN_KEY_BYTES], HomeError> {
        let path = self.token_key();
        let metadata = fs::metadata(&path).map_err(|source| failed("read", &path, source))?;
        let mode = metadata.mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(HomeError::Exposed { path, mode });
        }
        let bytes = fs::read(&path).map_err(|source| failed("read", &path, source))?;
        bytes.try_into().map_err(|_| failed("read", &path, io::Error::from(io::ErrorKind::InvalidData)))
    }

    /// Reads the pinned root.
    ///
    /// # Errors
    /// [`HomeError`] if it cannot be read or is far too large.
    pub fn read_root(&self) -> Result<Vec<u8>, HomeError> {
        read_root(&self.root_json())
    }

    /// The pin of this site's CA.
    ///
    /// # Errors
    /// [`HomeError`] if the certificate cannot be read.
    pub fn ca_pin(&self) -> Result<Sha256Digest, HomeError> {
        let path = self.ca_certificate();
        let pem = fs::read(&path).map_err(|source| failed("read", &path, source))?;
        Ok(ca_spki_sha256(&pem)?)
    }

    /// Makes a new server in a folder that is empty or does not exist. `create_ledger` gets the ledger's path, the
    /// server's id and its site key.
    ///
    /// # Errors
    /// [`HomeError`]; then nothing is there that looks like a server.
    pub fn init<E>(
        path: impl Into<PathBuf>,
        options: InitOptions<'_>,
        create_ledger: impl FnOnce(&Path, &ServerId, &PublicKey) -> Result<(), E>,
    ) -> Result<(Self, NewServer), HomeError>
    where
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let home = Self::at(path);
        let vendor_url = config::parse_vendor_url(options.vendor_url)
            .map_err(|problem| HomeError::Option { option: "--vendor-url", problem })?;
        let addresses = config::parse_addresses(options.addresses)
            .map_err(|problem| HomeError::Option { option: "--address", problem })?;
        if addresses.is_empty() {
            let problem = "at least one is needed; agents find the server by it".to_owned();
            return Err(HomeError::Option { option: "--address", problem });
        }
        let root = read_root(options.root)?;
        check_root(&root)?;
        home.must_be_empty()?;
        make_folder(&home.root)?;
        set_private(&home.root)?;
        let draft = Draft::begin(&home.root)?;
        let building = Self::at(&draft.path);
        let new = building.fill(&root, &addresses, options.passphrase, options.now)?;
        create_ledger(&building.ledger(), &new.server_id, &new.site_key)
            .map_err(|error| HomeError::Ledger { source: error.into() })?;
        let text = config::sample(&vendor_url, options.listen, &addresses);
        write_new(&building.config_file(), text.as_bytes(), 0o600)?;
        draft.finish(&home)?;
        Ok((home, new))
    }

    fn must_be_empty(&self) -> Result<(), HomeError> {
        if self.root.join(UNFINISHED).exists() {
            return Err(HomeError::Unfinished { path: self.root.clone() });
        }
        let mut entries = match fs::read_dir(&self.root) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(source) => return Err(failed("look into", &self.root, source)),
        };
        match entries.next() {
            None => Ok(()),
            Some(Ok(entry)) => Err(HomeError::NotEmpty {
                path: self.root.clone(),
                found: entry.file_name().to_string_lossy().into_owned(),
            }),
            Some(Err(source)) => Err(failed("look into", &self.root, source)),
        }
    }

    fn fill(
        &self,
        root: &[u8],
        addresses: &[String],
        passphrase: Option<&Passphrase>,
        now: Timestamp,
    ) -> Result<NewServer, HomeError> {
        for folder in ["keys", "tls", "log", "distributor.d"] {
            make_folder(&self.root.join(folder))?;
        }
        let site_key = SigningKey::generate()?;
        key_file::write_secret(&self.site_key(), &site_key, passphrase)?;
        key_file::write_public(&self.site_public_key(), &site_key.public())?;
        write_new(&self.token_key(), &random_bytes::<TOKEN_KEY_BYTES>()?, 0o600)?;
        write_new(&self.root_json(), root, 0o644)?;
        let server_id = ServerId::from_random(random_bytes::<16>()?);
        let made = certificates::make(&server_id, addresses, now)?;
        write_new(&self.ca_certificate(), made.ca_certificate.as_bytes(), 0o644)?;
        write_new(&self.ca_key(), made.ca_key.as_bytes(), 0o600)?;
        write_new(&self.server_certificate(), made.server_chain.as_bytes(), 0o644)?;
        write_new(&self.server_key(), made.server_key.as_bytes(), 0o600)?;
        let ca_spki_sha256 = ca_spki_sha256(made.ca_certificate.as_bytes())?;
        Ok(NewServer { server_id, site_key: site_key.public(), ca_spki_sha256 })
    }
}

/// A home that is being put together; removed when it is dropped unfinished.
struct Draft {
    path: PathBuf,
    finished: bool,
}

impl Draft {
    fn begin(root: &Path) -> Result<Self, HomeError> {
        let path = root.join(UNFINISHED);
        DirBuilder::new().mode(0o700).create(&path).map_err(|source| failed("make", &path, source))?;
        Ok(Self { path, finished: false })
    }

    /// Moves everything to its place, the configuration last.
    fn finish(mut self, home: &Home) -> Result<(), HomeError> {
        let config = home.config_file();
        let entries = fs::read_dir(&self.path).map_err(|source| failed("look into", &self.path, source))?;
        let mut moves = Vec::new();
        for entry in entries {
            let from = entry.map_err(|source| failed("look into", &self.path, source))?.path();
            sync(&from)?;
            if let Some(name) = from.file_name() {
                moves.push((home.root.join(name), from.clone()));
            }
        }
        moves.sort_by_key(|(to, _)| *to == config);
        for (to, from) in &moves {
            if *to == config {
                sync(&home.root)?;
            }
            fs::rename(from, to).map_err(|source| failed("put in place", to, source))?;
        }
        self.finished = true;
        fs::remove_dir(&self.path).map_err(|source| failed("remove", &self.path, source))?;
        sync(&home.root)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.finished {
            // Best effort: what stays behind is recognized as unfinished.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

fn read_root(path: &Path) -> Result<Vec<u8>, HomeError> {
    let length =
        fs::metadata(path).map_err(|source| failed("read the vendor's root from", path, source))?.len();
    if length > MAX_ROOT_BYTES {
        let problem = format!("{} has {length} bytes; that is no root.json", path.display());
        return Err(HomeError::Option { option: "--root", problem });
    }
    fs::read(path).map_err(|source| failed("read the vendor's root from", path, source))
}

/// Catches the wrong file early; the signatures are checked at the first pull.
fn check_root(root: &[u8]) -> Result<(), HomeError> {
    let json: Option<serde_json::Value> = serde_json::from_slice(root).ok();
    let role = json.as_ref().and_then(|json| json.get("signed")?.get("_type")?.as_str());
    if role == Some("root") {
        return Ok(());
    }
    let problem = "this is not a TUF root; get root.json from the vendor".to_owned();
    Err(HomeError::Option { option: "--root", problem })
}

fn make_folder(path: &Path) -> Result<(), HomeError> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|source| failed("make", path, source))
}

fn set_private(path: &Path) -> Result<(), HomeError> {
    let mode = <fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o700);
    fs::set_permissions(path, mode).map_err(|source| failed("protect", path, source))
}

fn write_new(path: &Path, bytes: &[u8], mode: u32) -> Result<(), HomeError> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)
        .map_err(|source| failed("make", path, source))?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(|source| failed("write", path, source))
}

fn sync(path: &Path) -> Result<(), HomeError> {
    File::open(path).and_then(|file| file.sync_all()).map_err(|source| failed("flush", path, source))
}

fn failed(attempted: &'static str, path: &Path, source: io::Error) -> HomeError {
    HomeError::Io { attempted, path: path.to_owned(), source }
}

#[cfg(test)]
mod tests;
