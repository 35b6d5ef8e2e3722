//! A new root: the next version with the same keys and a new end.
//!
//! Sites and computers pin the first root and walk from version to version, so they follow by themselves; the file that
//! is shipped to new sites stays the same. Invariants: as many keys sign as the root asks for, or nothing is written; keys
//! are found before anything of the home is written, so that a caller can give up rights in between that only their folders
//! need.
//! Left out on purpose: other keys, and another number of them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use jiff::Timestamp;
use sealpost_keys::SigningKey;
use sealpost_repository::{RoleName, tuf_key_id};
use serde::{Deserialize, Serialize};

use crate::home::{Keyring, KeyringError, Vendor};
use crate::publication::{Publication, PublicationError, read_root};

/// A root that was renewed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RootRenewed {
    pub version: u64,
    pub expires: Timestamp,
    /// Keys that signed it.
    pub signed_by: u32,
}

/// Why there is no new root. The repository is as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RootError {
    #[error(
        "cannot renew the root: {found} of the {needed} keys that have to sign lie in {}; name each folder that holds one \
         with --root-keys",
        listed(folders)
    )]
    TooFewKeys { found: usize, needed: u32, folders: Vec<PathBuf> },
    #[error("cannot renew the root")]
    Keys(#[from] KeyringError),
    #[error("cannot renew the root")]
    Publication(#[from] PublicationError),
}

/// Keys of the root, and where they were looked for.
#[derive(Debug)]
pub struct RootKeys {
    keys: Vec<SigningKey>,
    folders: Vec<PathBuf>,
}

/// What of a root says which its keys are. It is the vendor's own and not verified here: it only keeps keys of others from
/// being opened.
#[derive(Debug, Deserialize)]
struct PinnedRoot {
    signed: PinnedRoles,
}

#[derive(Debug, Deserialize)]
struct PinnedRoles {
    roles: BTreeMap<String, PinnedRole>,
}

#[derive(Debug, Deserialize)]
struct PinnedRole {
    keyids: Vec<String>,
}

/// Opens the root's keys in these folders, or in the one of the settings if none is given. Writes nothing.
///
/// # Errors
/// [`RootError`].
pub fn find_root_keys(
    vendor: &Vendor,
    keyring: &Keyring,
    folders: &[PathBuf],
) -> Result<RootKeys, RootError> {
    let folders = if folders.is_empty() { vec![keyring.place(&RoleName::Root)] } else { folders.to_vec() };
    let pinned: PinnedRoot = serde_json::from_slice(&read_root(vendor)?)
        .map_err(|source| PublicationError::Root { path: vendor.root_file(), source: source.into() })?;
    let ids = pinned.signed.roles.get("root").map_or(&[][..], |role| &role.keyids);
    Ok(RootKeys { keys: keyring.root_keys(&folders, ids)?, folders })
}

/// Signs the next root with these keys.
///
/// # Errors
/// [`RootError`].
pub fn renew_root(
    vendor: &Vendor,
    keyring: &Keyring,
    root_keys: RootKeys,
    now: Timestamp,
    waiting: impl FnOnce(),
) -> Result<RootRenewed, RootError> {
    let mut publication = Publication::open(vendor, waiting)?;
    let (ids, needed) = publication.editor().keys_of(&RoleName::Root).unwrap_or((&[], 1));
    let RootKeys { mut keys, folders } = root_keys;
    keys.retain(|key| ids.contains(&tuf_key_id(&key.public())));
    let found = keys.len();
    let Some(signed_by) = u32::try_from(found).ok().filter(|found| *found >= needed) else {
        return Err(RootError::TooFewKeys { found, needed, folders });
    };
    keys.push(keyring.timestamp()?);
    publication.editor_mut().renew(&RoleName::Root);
    let written = publication.publish(&keys.iter().collect::<Vec<_>>(), now)?;
    let expires = written.expiries.into_iter().find(|(role, _)| *role == RoleName::Root);
    Ok(RootRenewed {
        version: written.root_version,
        expires: expires.map_or(now, |(_, expires)| expires),
        signed_by,
    })
}

fn listed(folders: &[PathBuf]) -> String {
    folders.iter().map(|folder| folder.display().to_string()).collect::<Vec<_>>().join(", ")
}
