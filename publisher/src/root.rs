//! A new root: the next version with the same keys and a new end.
//!
//! Sites and computers pin the first root and walk from version to version, so they follow by themselves; the file that
//! is shipped to new sites stays the same. Invariant: as many keys sign as the root asks for, or nothing is written.
//! Left out on purpose: other keys, and another number of them.

use std::path::PathBuf;

use jiff::Timestamp;
use sealpost_repository::RoleName;
use serde::Serialize;

use crate::home::{Keyring, KeyringError, Vendor};
use crate::publication::{Publication, PublicationError};

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

/// Signs the next root with the keys in these folders, or in the one of the settings if none is given.
///
/// # Errors
/// [`RootError`].
pub fn renew_root(
    vendor: &Vendor,
    keyring: &Keyring,
    folders: &[PathBuf],
    now: Timestamp,
    waiting: impl FnOnce(),
) -> Result<RootRenewed, RootError> {
    let mut publication = Publication::open(vendor, waiting)?;
    let usual = [keyring.place(&RoleName::Root)];
    let folders = if folders.is_empty() { &usual } else { folders };
    let (ids, needed) = publication.editor().keys_of(&RoleName::Root).unwrap_or((&[], 1));
    let mut keys = keyring.root_keys(folders, ids)?;
    let found = keys.len();
    let Some(signed_by) = u32::try_from(found).ok().filter(|found| *found >= needed) else {
        return Err(RootError::TooFewKeys { found, needed, folders: folders.to_vec() });
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
