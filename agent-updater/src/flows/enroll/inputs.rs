//! What an enrollment reads and makes on this computer: setup file, pinned root, and the two keys of this computer.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use sealpost_files::{read_bounded, remove_durably};
use sealpost_keys::key_file::{read_secret, write_secret};
use sealpost_keys::{PassphraseSource, SealingKey, SealingPublicKey, SigningKey};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::document;
use sealpost_manifests::ids::ServerId;
use sealpost_manifests::setup::{MAX_SETUP_BYTES, MAX_SETUP_SERVERS, SetupFile};
use sealpost_repository::MAX_ROOT_BYTES;

use crate::home::Home;
use crate::records::keys::file_to_enroll_with;
use crate::records::root;
use crate::records::server::ServerRecords;
use crate::records::servers;

use super::error::EnrollError;

/// Reads a setup file; adds to `warnings` if others can read it. Its kind is not judged here.
pub(super) fn read_setup(path: &Path, warnings: &mut Vec<String>) -> Result<SetupFile, EnrollError> {
    let bytes = read_file(path, MAX_SETUP_BYTES)?.ok_or_else(|| EnrollError::Missing {
        what: "setup file",
        path: path.to_owned(),
        hint: "ask the administrator: `distributor clients setup NAME`",
    })?;
    let mode = fs::metadata(path).map(|found| found.permissions().mode()).unwrap_or(0);
    let setup: SetupFile =
        document::read(&bytes).map_err(|source| EnrollError::NotSetup { path: path.to_owned(), source })?;
    let holds_secret = setup.servers.iter().any(|server| server.enrollment_code.is_some());
    if mode & 0o077 != 0 && holds_secret {
        warnings.push(format!(
            "{} can be read by others (mode {:04o}) and holds a secret until it is used; chmod 600 it",
            path.display(),
            mode & 0o7777
        ));
    }
    let count = setup.servers.len();
    if count > MAX_SETUP_SERVERS {
        return Err(EnrollError::TooManyServers { path: path.to_owned(), count });
    }
    Ok(setup)
}

/// The pinned root; the given one is pinned now if there is none. It must be the one that the setup file names.
pub(super) fn pin_root(home: &Home, setup: &SetupFile, given: Option<&Path>) -> Result<Vec<u8>, EnrollError> {
    let pinned_path = home.root();
    let pinned =
        root::read(home).map_err(|source| EnrollError::Unreadable { path: pinned_path.clone(), source })?;
    let given = match given {
        Some(path) => {
            let bytes = read_file(path, MAX_ROOT_BYTES)?.ok_or_else(|| EnrollError::Missing {
                what: "root.json",
                path: path.to_owned(),
                hint: "it comes with the vendor's package",
            })?;
            Some((path.to_owned(), bytes))
        }
        None => None,
    };
    let (path, bytes) = match (pinned, given) {
        (Some(pinned), Some((_, given))) if pinned != given => {
            return Err(EnrollError::RootPinned { path: pinned_path });
        }
        (Some(pinned), _) => (pinned_path.clone(), pinned),
        (None, Some((path, given))) => (path, given),
        (None, None) => {
            return Err(EnrollError::Missing {
                what: "root.json",
                path: pinned_path,
                hint: "name it with --root; it comes with the vendor's package",
            });
        }
    };
    let found = Sha256Digest::of(&bytes);
    if found != setup.root_sha256 {
        return Err(EnrollError::OtherRoot { path, found, expected: setup.root_sha256 });
    }
    root::pin(home, &bytes).map_err(|source| EnrollError::Write { path: pinned_path, source })?;
    Ok(bytes)
}

/// The key to enroll with.
pub(super) struct ClientKey {
    pub(super) key: SigningKey,
    /// The file of a further server that was made for it just now.
    made: Option<PathBuf>,
}

impl ClientKey {
    /// No server has seen the key: it is forgotten, if it was made for this try. One that a server may have seen is kept,
    /// because the code of the setup file may be bound to it.
    pub(super) fn was_not_shown(self) -> Result<(), EnrollError> {
        let Some(path) = self.made else { return Ok(()) };
        fs::remove_file(&path).map_err(|source| EnrollError::Write { path, source })
    }
}

/// The client key for a server: made at the first enrollment with it, and kept from then on.
pub(super) fn client_key(home: &Home, server: &ServerId) -> Result<ClientKey, EnrollError> {
    let path = file_to_enroll_with(home, server);
    let is_new = !is_there(&path)?;
    if is_new {
        write_secret(&path, &SigningKey::generate()?, None)?;
    }
    let key = read_secret(&path, &PassphraseSource::None)?;
    // The first key is that of this computer, whoever it is shown to.
    Ok(ClientKey { key, made: Some(path).filter(|path| is_new && *path == home.server_key(server)) })
}

/// The key that servers seal to: made beside the client key, and kept from then on.
pub(super) fn sealing_key(home: &Home) -> Result<SealingPublicKey, EnrollError> {
    let path = home.sealing_key();
    if !is_there(&path)? {
        SealingKey::generate()?.write_file(&path)?;
    }
    Ok(SealingKey::read_file(&path)?.public())
}

/// Removes the keys that this computer would show the servers of a setup file, but those that an enrollment names, or may name if
/// it is damaged.
pub(super) fn forget_keys(home: &Home, setup: &SetupFile) -> Result<(), EnrollError> {
    let listed = setup.servers.iter().map(|listed| listed.server.server_id.clone());
    let asked: Vec<ServerId> = listed.collect();
    let Ok(known) = servers::load(home) else { return Ok(()) };
    let mut named = Vec::new();
    for server in asked.iter().chain(&known) {
        let Ok(enrolled) = ServerRecords::of(home, server).enrollment() else { return Ok(()) };
        named.extend(enrolled.map(|enrolled| enrolled.client_key));
    }
    let files: BTreeSet<PathBuf> = asked.iter().map(|server| file_to_enroll_with(home, server)).collect();
    for path in files {
        if is_there(&path)? && !named.contains(&read_secret(&path, &PassphraseSource::None)?.public()) {
            remove_durably(&path).map_err(|source| EnrollError::Write { path: path.clone(), source })?;
        }
    }
    let sealing = home.sealing_key();
    if named.is_empty() && is_there(&sealing)? {
        remove_durably(&sealing).map_err(|source| EnrollError::Write { path: sealing, source })?;
    }
    Ok(())
}

/// A key that cannot be looked at is not made anew: it is the computer's identity.
fn is_there(path: &Path) -> Result<bool, EnrollError> {
    path.try_exists().map_err(|source| EnrollError::Unreadable { path: path.to_owned(), source })
}

fn read_file(path: &Path, max_bytes: u64) -> Result<Option<Vec<u8>>, EnrollError> {
    read_bounded(path, max_bytes).map_err(|source| EnrollError::Unreadable { path: path.to_owned(), source })
}
