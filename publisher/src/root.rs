//! A new root: the next version with the same keys and a new end.
//!
//! Sites and computers pin the first root and walk from version to version, so they follow by themselves; the file that
//! is shipped to new sites stays the same. Invariants: as many keys sign as the root asks for, or nothing is written; keys
//! are found before anything of the home is written, so that a caller can give up rights in between that only their folders
//! need. The home's owner need not have the root keys, so what is in the home is not trusted: a key signs only what follows a
//! root that it signed itself, the roles keep the keys that they have, and the life that the settings give is bounded.
//! Left out on purpose: other keys, and another number of them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use jiff::Timestamp;
use sealpost_keys::SigningKey;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_repository::{RepositoryEditor, RoleName, tuf_key_id};
use serde::{Deserialize, Serialize};

use crate::home::{Keyring, KeyringError, SETTINGS_FILE, Vendor};
use crate::publication::{Publication, PublicationError, read_root};

/// Longest life of a renewed root, two years: whoever can change the home's settings need not have the root keys.
const MAX_ROOT_DAYS: u32 = 731;
/// So much of a key's id tells it from the others.
pub const SHOWN_ID: usize = 12;

/// A root that was renewed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RootRenewed {
    pub version: u64,
    pub expires: Timestamp,
    /// Keys that signed it.
    pub signed_by: u32,
    /// Digest of its file.
    pub sha256: Option<Sha256Digest>,
    /// The roles that it names, and the keys that sign each; the same as before.
    pub roles: BTreeMap<String, RoleOfRoot>,
    /// Digest of the home's `root.json`: the one that `init` printed, if nobody has changed it.
    pub pinned_sha256: Sha256Digest,
}

/// A role as a root names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RoleOfRoot {
    /// TUF ids of its keys.
    pub keys: Vec<String>,
    /// Keys that have to sign together.
    pub threshold: u32,
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
    #[error(
        "cannot renew the root: the key {key} has not signed any root from {} (sha256 {pinned_sha256}) to the newest, so it \
         signs none that follows them. Somebody may have changed the home: compare the digest with the one of the root.json \
         that your sites have, and if it is another one, restore the home from a backup from before, and look who could \
         write there",
        root_file.display()
    )]
    NotSigned { key: String, root_file: PathBuf, pinned_sha256: Sha256Digest },
    #[error(
        "cannot renew the root: its version {version} names other keys for the roles than the root before, and no command of \
         publisher does that. Look who signed metadata/{version}.root.json before you sign anything with the root keys"
    )]
    OtherKeys { version: u64 },
    #[error(
        "cannot renew the root: lifetime_days.root is {days} in {}, and a root is signed for {MAX_ROOT_DAYS} days at most; \
         correct it there",
        settings.display()
    )]
    Life { days: u32, settings: PathBuf },
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
    let days = vendor.settings().lifetime_days.root;
    if days > MAX_ROOT_DAYS {
        return Err(RootError::Life { days, settings: vendor.home().join(SETTINGS_FILE) });
    }
    let pinned = read_root(vendor)?;
    let (pinned_sha256, root_file) = (Sha256Digest::of(&pinned), vendor.root_file());
    let mut publication = Publication::open_from(vendor, &pinned, waiting)?;
    let editor = publication.editor();
    let (ids, needed) = editor.keys_of(&RoleName::Root).unwrap_or((&[], 1));
    let RootKeys { mut keys, folders } = root_keys;
    keys.retain(|key| ids.contains(&tuf_key_id(&key.public())));
    if let Some(stranger) = keys.iter().find(|key| !editor.may_be_followed_by(&RoleName::Root, &key.public()))
    {
        let key = tuf_key_id(&stranger.public()).chars().take(SHOWN_ID).collect();
        return Err(RootError::NotSigned { key, root_file, pinned_sha256 });
    }
    if let Some(version) = editor.keys_replaced_in() {
        return Err(RootError::OtherKeys { version });
    }
    let found = keys.len();
    let Some(signed_by) = u32::try_from(found).ok().filter(|found| *found >= needed) else {
        return Err(RootError::TooFewKeys { found, needed, folders });
    };
    let roles = roles_of(editor);
    keys.push(keyring.timestamp()?);
    publication.editor_mut().renew(&RoleName::Root);
    let written = publication.publish(&keys.iter().collect::<Vec<_>>(), now)?;
    let expires = written.expiries.into_iter().find(|(role, _)| *role == RoleName::Root);
    Ok(RootRenewed {
        version: written.root_version,
        expires: expires.map_or(now, |(_, expires)| expires),
        signed_by,
        sha256: written.root_sha256,
        roles,
        pinned_sha256,
    })
}

fn roles_of(editor: &RepositoryEditor) -> BTreeMap<String, RoleOfRoot> {
    let roles = [RoleName::Root, RoleName::Targets, RoleName::Snapshot, RoleName::Timestamp];
    let of = |role: RoleName| {
        let (keys, threshold) = editor.keys_of(&role)?;
        Some((role.to_string(), RoleOfRoot { keys: keys.to_vec(), threshold }))
    };
    roles.into_iter().filter_map(of).collect()
}

fn listed(folders: &[PathBuf]) -> String {
    folders.iter().map(|folder| folder.display().to_string()).collect::<Vec<_>>().join(", ")
}
