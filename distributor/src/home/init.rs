//! Making a new home.
//!
//! Invariants: the home and every secret in it belong to the server's user alone (`0700`, `0600`); `distributor.toml`
//! comes last, so that a half-made home never looks whole; nothing that exists is overwritten.
//! The site key is written without a passphrase, unless one is given: the server has to start unattended after a power
//! cut, and an account that can read the file can read the server's memory too.

use std::fs::{self, Permissions};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use sealpost_files::{PRIVATE, PRIVATE_FOLDER, PUBLIC, make_folder, with_causes, write_new};
use sealpost_keys::key_file;
use sealpost_keys::token::random_bytes;
use sealpost_keys::{Passphrase, PublicKey, SealingKey, SigningKey};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::ServerId;

use super::certificates::{SiteCa, ca_spki_sha256};
use super::draft::Draft;
use super::error::{HomeError, failed};
use super::places::{Home, SECRET_BYTES, read_root};
use crate::config;

/// 2026-01-01T00:00:00Z: a clock before it has never been set.
const EARLIEST_SECOND: i64 = 1_767_225_600;

/// What `init` is told.
#[derive(Debug)]
pub struct InitOptions<'a> {
    pub vendor_url: &'a str,
    /// The CA of the vendor's server, for the configuration; the file stays where it is.
    pub vendor_ca: Option<&'a Path>,
    /// The vendor's `root.json`, pinned from now on.
    pub root: &'a Path,
    pub listen: SocketAddr,
    /// Names and addresses under which agents reach the server.
    pub addresses: Vec<String>,
    /// Encrypts the site key, if given.
    pub passphrase: Option<&'a Passphrase>,
    pub now: Timestamp,
}

/// The identity of a new server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewServer {
    pub server_id: ServerId,
    pub site_key: PublicKey,
    /// The pin of its site CA.
    pub ca_spki_sha256: Sha256Digest,
}

impl Home {
    /// Makes a new server in a folder that is empty or does not exist. `create_ledger` gets the ledger's path, the
    /// server's id and its site key.
    ///
    /// # Errors
    /// [`HomeError`]; nothing is left that looks like a server.
    pub fn init<E>(
        path: impl Into<PathBuf>,
        options: InitOptions<'_>,
        create_ledger: impl FnOnce(&Path, &ServerId, &PublicKey) -> Result<(), E>,
    ) -> Result<(Self, NewServer), HomeError>
    where
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let home = Self::at(path);
        if options.now.as_second() < EARLIEST_SECOND {
            return Err(HomeError::Clock { now: options.now });
        }
        let vendor_url = config::parse_vendor_url(options.vendor_url)
            .map_err(|problem| HomeError::Option { option: "--vendor-url", problem })?;
        let vendor_ca = options.vendor_ca.map(|path| whole_ca(&vendor_url, path)).transpose()?;
        let addresses = config::parse_addresses(options.addresses)
            .map_err(|problem| HomeError::Option { option: "--address", problem })?;
        if addresses.is_empty() {
            let problem = "at least one is needed; agents find the server by it".to_owned();
            return Err(HomeError::Option { option: "--address", problem });
        }
        let root = read_root(options.root)?;
        check_root(&root)?;
        home.must_be_empty()?;
        make(home.path())?;
        let draft = Draft::begin(&home)?;
        let building = Self::at(draft.path());
        let new = building.fill(&root, &addresses, options.passphrase, options.now)?;
        create_ledger(&building.ledger(), &new.server_id, &new.site_key)
            .map_err(|error| HomeError::Ledger { source: error.into() })?;
        let text = config::sample(&vendor_url, vendor_ca.as_deref(), options.listen, &addresses);
        write(&building.config_file(), text.as_bytes(), PRIVATE)?;
        draft.finish(&home)?;
        Ok((home, new))
    }

    fn fill(
        &self,
        root: &[u8],
        addresses: &[String],
        passphrase: Option<&Passphrase>,
        now: Timestamp,
    ) -> Result<NewServer, HomeError> {
        for folder in ["keys", "tls", "log", "distributor.d"] {
            make(&self.path().join(folder))?;
        }
        let site_key = SigningKey::generate()?;
        key_file::write_secret(&self.site_key(), &site_key, passphrase)?;
        key_file::write_public(&self.site_public_key(), &site_key.public())?;
        write(&self.secret(), &random_bytes::<SECRET_BYTES>()?, PRIVATE)?;
        key_file::write_secret(&self.log_key(), &SigningKey::generate()?, None)?;
        SealingKey::generate()?.write_file(&self.sealing_key())?;
        write(&self.root_json(), root, PUBLIC)?;
        let server_id = ServerId::of_site_key(&site_key.public());
        let ca = SiteCa::make(&server_id, now)?;
        let server = ca.issue(&server_id, addresses, None, now)?;
        write(&self.ca_certificate(), ca.certificate.as_bytes(), PUBLIC)?;
        write(&self.ca_key(), ca.key.as_bytes(), PRIVATE)?;
        write(&self.server_certificate(), server.chain.as_bytes(), PUBLIC)?;
        write(&self.server_key(), server.key.as_bytes(), PRIVATE)?;
        let ca_spki_sha256 = ca_spki_sha256(ca.certificate.as_bytes())?;
        Ok(NewServer { server_id, site_key: site_key.public(), ca_spki_sha256 })
    }
}

/// The whole path of a file that the server will be able to use.
fn whole_ca(vendor_url: &str, path: &Path) -> Result<String, HomeError> {
    let refused = |problem: String| HomeError::Option { option: "--vendor-ca", problem };
    let whole = std::path::absolute(path).map_err(|error| refused(with_causes(&error)))?;
    // It is made to see that it can be.
    let _client =
        config::vendor_client(vendor_url, Some(&whole)).map_err(|error| refused(with_causes(&error)))?;
    let named = whole.to_str().map(str::to_owned);
    named.ok_or_else(|| refused("its path is not UTF-8, and cannot stand in the configuration".to_owned()))
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

/// Makes a folder for the owner alone; one that exists is closed to others.
fn make(path: &Path) -> Result<(), HomeError> {
    make_folder(path, PRIVATE_FOLDER).map_err(|source| failed("make", path, source))?;
    fs::set_permissions(path, Permissions::from_mode(PRIVATE_FOLDER))
        .map_err(|source| failed("protect", path, source))
}

fn write(path: &Path, bytes: &[u8], mode: u32) -> Result<(), HomeError> {
    write_new(path, bytes, mode).map_err(|source| failed("write", path, source))
}
