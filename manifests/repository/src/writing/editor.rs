//! Changing a repository: editing → signed → written, each with a type of its own.
//!
//! [`RepositoryEditor`] collects changes and touches no published file; [`RepositoryEditor::sign`] needs the keys and
//! gives a [`SignedRepository`]; [`SignedRepository::publish`] writes, in an order in which a crash does no harm.
//! Invariants: a package's role lists only names of that package; a release that was published is never changed; a
//! version number is used once, also by a run that crashed.
//! Left out on purpose: rotating keys (a later command; the metadata types allow it), and when to renew
//! ([`RepositoryEditor::due`] says what is due, the caller decides).

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};
use sealpost_files::open_regular;
use sealpost_keys::PublicKey;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::{PackageName, TargetName};
use sealpost_manifests::release::DeltaTarget;

use crate::target::length_of;
use crate::writing::keys::KeyThreshold;
use crate::writing::load::{Folder, LoadError, Loaded};
use crate::writing::metadata::{
    DelegatedRole, Delegations, Hashes, Key, Pin, RoleKeys, Root, Second, Target, Targets,
};
use crate::writing::role::{Lifetimes, RoleName};
use crate::writing::signed_before::SignedBefore;

/// The keys of a new repository.
#[derive(Debug, Clone)]
pub struct RootSpec {
    /// Keys of the root: offline.
    pub root: KeyThreshold,
    /// Keys of the top-level targets.
    pub targets: KeyThreshold,
    /// Keys of the snapshot: online.
    pub snapshot: KeyThreshold,
    /// Keys of the timestamp: online.
    pub timestamp: KeyThreshold,
}

/// Where the bytes of a new target come from.
#[derive(Debug, Clone)]
pub enum TargetSource {
    /// A file, which is digested now and copied when it is published.
    File(PathBuf),
    /// Bytes that are held in memory.
    Bytes(Vec<u8>),
}

/// Why a change was refused. The editor is as before.
#[derive(Debug, thiserror::Error)]
pub enum EditError {
    /// There is a repository already.
    #[error("cannot create a repository in {}: there is one already; load it, or choose another folder", folder.display())]
    AlreadyExists {
        /// The folder that was given.
        folder: PathBuf,
    },
    /// The folder could not be opened.
    #[error(transparent)]
    Folder(#[from] LoadError),
    /// A role that does not exist, or has no list of targets.
    #[error("there is no list of targets named {role}; delegate to the package first")]
    NoSuchList {
        /// The role that was named.
        role: RoleName,
    },
    /// A package named like a top-level role.
    #[error("a package cannot be named {package}, because a top-level role is; choose another name")]
    ReservedName {
        /// The package that was named.
        package: PackageName,
    },
    /// A name that belongs into another list.
    #[error(
        "{name} does not belong into the list of {role}; a package lists <package>.channels and <package>_…"
    )]
    WrongList {
        /// Name of the target.
        name: TargetName,
        /// The role that was named.
        role: RoleName,
    },
    /// A release with other content.
    #[error("{name} is published with other content; a release never changes, publish a new version")]
    AlreadyPublished {
        /// Name of the target.
        name: TargetName,
    },
    /// The file of a target could not be read.
    #[error("cannot read {} to publish it as {name}", path.display())]
    Source {
        /// Name of the target.
        name: TargetName,
        /// The file that was to be published.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// A repository that is being changed. Whoever owns it has the folder's lock, so that there is one editor at a time; a
/// reference may also be of a [`RepositoryView`](crate::RepositoryView), which has none.
#[derive(Debug)]
pub struct RepositoryEditor {
    pub(super) folder: Folder,
    pub(super) lifetimes: Lifetimes,
    pub(super) root: Root,
    pub(super) keys_replaced_in: Option<u64>,
    pub(super) signed_before: SignedBefore,
    pub(super) targets: Targets,
    pub(super) packages: BTreeMap<PackageName, Targets>,
    pub(super) pins: BTreeMap<String, Pin>,
    pub(super) snapshot: Option<(Pin, Second)>,
    pub(super) timestamp: Option<(u64, Second)>,
    pub(super) highest_on_disk: BTreeMap<String, u64>,
    pub(super) changed: BTreeSet<RoleName>,
    pub(super) sources: BTreeMap<String, (TargetName, Target, TargetSource)>,
}

impl AsRef<Self> for RepositoryEditor {
    fn as_ref(&self) -> &Self {
        self
    }
}

impl RepositoryEditor {
    /// A new repository in a folder, which may exist, but not have a root.
    ///
    /// # Errors
    /// [`EditError::AlreadyExists`], or the folder cannot be made or locked.
    pub fn create(folder: &Path, spec: &RootSpec, lifetimes: Lifetimes) -> Result<Self, EditError> {
        let folder = Folder::open_or_create(folder)?;
        if folder.has_root()? {
            return Err(EditError::AlreadyExists { folder: folder.path().to_owned() });
        }
        let roles = [
            (RoleName::Root, &spec.root),
            (RoleName::Targets, &spec.targets),
            (RoleName::Snapshot, &spec.snapshot),
            (RoleName::Timestamp, &spec.timestamp),
        ];
        let keys = roles.iter().flat_map(|(_, role)| role.keys().clone()).collect();
        let bindings = roles
            .iter()
            .map(|(name, role)| {
                (name.to_string(), RoleKeys { keyids: role.key_ids(), threshold: role.threshold() })
            })
            .collect();
        let unsigned = Second::at(Timestamp::UNIX_EPOCH);
        Ok(Self {
            folder,
            lifetimes,
            root: Root::new(keys, bindings, unsigned),
            keys_replaced_in: None,
            signed_before: SignedBefore::default(),
            targets: Targets::new(unsigned),
            packages: BTreeMap::new(),
            pins: BTreeMap::new(),
            snapshot: None,
            timestamp: None,
            highest_on_disk: BTreeMap::new(),
            changed: BTreeSet::from([RoleName::Root, RoleName::Targets]),
            sources: BTreeMap::new(),
        })
    }

    /// The repository in a folder, every file verified from the pinned root, expired or not: its owner may have been
    /// away. A repository of which only the root was published yet is an empty one.
    ///
    /// # Errors
    /// [`LoadError`] if anything is missing, damaged, not signed as it must be, or written by a tool that knows more.
    pub fn load(folder: &Path, pinned_root: &[u8], lifetimes: Lifetimes) -> Result<Self, LoadError> {
        let folder = Folder::open(folder)?;
        let highest_on_disk = folder.highest_versions()?;
        Self::of_folder(folder, pinned_root, lifetimes, highest_on_disk)
    }

    pub(super) fn of_folder(
        folder: Folder,
        pinned_root: &[u8],
        lifetimes: Lifetimes,
        highest_on_disk: BTreeMap<String, u64>,
    ) -> Result<Self, LoadError> {
        let Loaded { root, keys_replaced_in, signed_before, targets, packages, pins, snapshot, timestamp } =
            folder.load(pinned_root)?;
        let changed = if targets.is_some() { BTreeSet::new() } else { BTreeSet::from([RoleName::Targets]) };
        let targets = targets.unwrap_or_else(|| Targets::new(Second::at(Timestamp::UNIX_EPOCH)));
        Ok(Self {
            folder,
            lifetimes,
            root,
            keys_replaced_in,
            signed_before,
            targets,
            packages,
            pins,
            snapshot,
            timestamp,
            highest_on_disk,
            changed,
            sources: BTreeMap::new(),
        })
    }

    /// Lets a package's own keys speak for the names of this package, and no others. Again with the same keys:
    /// nothing changes.
    ///
    /// # Errors
    /// [`EditError::ReservedName`].
    pub fn delegate(&mut self, package: &PackageName, keys: &KeyThreshold) -> Result<(), EditError> {
        if matches!(package.as_str(), "root" | "targets" | "snapshot" | "timestamp") {
            return Err(EditError::ReservedName { package: package.clone() });
        }
        let role = DelegatedRole {
            keyids: keys.key_ids(),
            name: package.to_string(),
            paths: vec![format!("{package}.channels"), format!("{package}_*")],
            terminating: true,
            threshold: keys.threshold(),
        };
        let delegations = self.targets.delegations.get_or_insert_with(Delegations::default);
        match delegations.roles.iter_mut().find(|existing| existing.name == role.name) {
            Some(existing) if *existing == role => return Ok(()),
            Some(existing) => {
                *existing = role;
                self.signed_before.forget(&RoleName::Package(package.clone()));
            }
            None => delegations.roles.push(role),
        }
        let used: BTreeSet<&String> = delegations.roles.iter().flat_map(|role| &role.keyids).collect();
        let mut all: BTreeMap<String, Key> = std::mem::take(&mut delegations.keys);
        all.extend(keys.keys().clone());
        all.retain(|key_id, _| used.contains(key_id));
        delegations.keys = all;
        self.packages
            .entry(package.clone())
            .or_insert_with(|| Targets::new(Second::at(Timestamp::UNIX_EPOCH)));
        self.changed.extend([RoleName::Targets, RoleName::Package(package.clone())]);
        Ok(())
    }

    /// Lists a target. The same content again changes nothing.
    ///
    /// # Errors
    /// [`EditError`] if the name does not belong to the role, the release is published with other content, or the
    /// source cannot be read.
    pub fn put_target(
        &mut self,
        role: &RoleName,
        name: &TargetName,
        source: TargetSource,
    ) -> Result<(), EditError> {
        self.put(role, name, source, BTreeMap::new())
    }

    /// Lists the delta that leads to a release, as `delta` says. A package's role alone lists them.
    ///
    /// # Errors
    /// As [`RepositoryEditor::put_target`].
    pub fn put_delta(
        &mut self,
        package: &PackageName,
        name: &TargetName,
        delta: DeltaTarget,
        source: TargetSource,
    ) -> Result<(), EditError> {
        self.put(&RoleName::Package(package.clone()), name, source, delta.to_custom())
    }

    /// Takes a delta off the list of a package; its file stays, for readers of older metadata. Other targets stay listed.
    pub fn remove_delta(&mut self, package: &PackageName, name: &str) {
        let Some(list) = self.packages.get_mut(package) else { return };
        if list.targets.get(name).is_some_and(Target::is_delta) {
            list.targets.remove(name);
            self.sources.remove(name);
            self.changed.insert(RoleName::Package(package.clone()));
        }
    }

    /// The deltas that a package lists: name, and between which manifests.
    pub fn deltas(&self, package: &PackageName) -> impl Iterator<Item = (&str, DeltaTarget)> {
        let targets = self.packages.get(package).into_iter().flat_map(|list| &list.targets);
        targets.filter_map(|(name, target)| Some((name.as_str(), DeltaTarget::from_custom(&target.custom)?)))
    }

    fn put(
        &mut self,
        role: &RoleName,
        name: &TargetName,
        source: TargetSource,
        custom: BTreeMap<String, String>,
    ) -> Result<(), EditError> {
        self.check_list(role, name)?;
        let (sha256, length) = match &source {
            TargetSource::Bytes(bytes) => (Sha256Digest::of(bytes), length_of(bytes)),
            TargetSource::File(path) => open_regular(path)
                .and_then(Sha256Digest::of_reader)
                .map_err(|source| EditError::Source { name: name.clone(), path: path.clone(), source })?,
        };
        let target = Target { custom, hashes: Hashes { sha256 }, length };
        let list = self.list_mut(role)?;
        match list.targets.get(name.as_str()) {
            Some(existing) if *existing == target => return Ok(()),
            // `_` stands in the names of releases only.
            Some(_) if matches!(role, RoleName::Package(_)) && name.as_str().contains('_') => {
                return Err(EditError::AlreadyPublished { name: name.clone() });
            }
            _ => {}
        }
        list.targets.insert(name.to_string(), target.clone());
        self.sources.insert(name.to_string(), (name.clone(), target, source));
        self.changed.insert(role.clone());
        Ok(())
    }

    /// What a list has: name, length in bytes, SHA-256.
    pub fn targets(&self, role: &RoleName) -> impl Iterator<Item = (&str, u64, Sha256Digest)> {
        let list = match role {
            RoleName::Targets => Some(&self.targets),
            RoleName::Package(package) => self.packages.get(package),
            _ => None,
        };
        let targets = list.into_iter().flat_map(|list| &list.targets);
        targets.map(|(name, target)| (name.as_str(), target.length, target.hashes.sha256))
    }

    /// The packages that the top-level targets delegate to.
    pub fn packages(&self) -> impl Iterator<Item = &PackageName> {
        self.packages.keys()
    }

    /// The TUF ids of the keys that may sign a role, and how many of them have to; `None` if there is no such role.
    #[must_use]
    pub fn keys_of(&self, role: &RoleName) -> Option<(&[String], u32)> {
        if let RoleName::Package(package) = role {
            let mut roles = self.targets.delegations.iter().flat_map(|delegations| &delegations.roles);
            let role = roles.find(|delegated| delegated.name == package.as_str())?;
            return Some((&role.keyids, role.threshold));
        }
        self.root.roles.get(role.as_str()).map(|keys| (keys.keyids.as_slice(), keys.threshold))
    }

    /// Whether a key may sign what follows the role's document: its own signature stands on the one that is there (of the
    /// root, on any from the pinned one to the newest), or there is none yet. Snapshot and timestamp may follow any.
    #[must_use]
    pub fn may_be_followed_by(&self, role: &RoleName, key: &PublicKey) -> bool {
        self.signed_before.may_be_followed_by(role, key)
    }

    /// The newest root, from the one after the pinned root on, that names other keys for the roles than the root before it.
    #[must_use]
    pub const fn keys_replaced_in(&self) -> Option<u64> {
        self.keys_replaced_in
    }

    /// Version of the newest root that was published.
    #[must_use]
    pub const fn root_version(&self) -> u64 {
        self.root.version
    }

    /// When each role expires that was published.
    #[must_use]
    pub fn expiries(&self) -> Vec<(RoleName, Timestamp)> {
        let mut expiries =
            vec![(RoleName::Root, self.root.expires), (RoleName::Targets, self.targets.expires)];
        expiries.extend(
            self.packages.iter().map(|(package, list)| (RoleName::Package(package.clone()), list.expires)),
        );
        expiries.extend(self.snapshot.iter().map(|(_, expires)| (RoleName::Snapshot, *expires)));
        expiries.extend(self.timestamp.iter().map(|(_, expires)| (RoleName::Timestamp, *expires)));
        expiries.into_iter().map(|(role, expires)| (role, expires.time())).collect()
    }

    /// The roles that expire less than `within` from `now`.
    #[must_use]
    pub fn due(&self, now: Timestamp, within: SignedDuration) -> Vec<RoleName> {
        let limit = now.saturating_add(within).unwrap_or(Timestamp::MAX);
        self.expiries().into_iter().filter(|(_, expires)| *expires < limit).map(|(role, _)| role).collect()
    }

    /// Signs a role again, with a new expiry, though nothing in it changes. For the root this makes the next root, so
    /// it needs the root's keys.
    pub fn renew(&mut self, role: &RoleName) {
        self.changed.insert(role.clone());
    }

    fn check_list(&self, role: &RoleName, name: &TargetName) -> Result<(), EditError> {
        let belongs_to = |package: &PackageName| {
            name.as_str() == format!("{package}.channels")
                || name.as_str().starts_with(&format!("{package}_"))
        };
        let fits = match role {
            RoleName::Package(package) => belongs_to(package),
            // The top-level list is searched first; a package's name in it would overrule the package's role.
            RoleName::Targets => !self.packages.keys().any(belongs_to),
            RoleName::Root | RoleName::Snapshot | RoleName::Timestamp => {
                return Err(EditError::NoSuchList { role: role.clone() });
            }
        };
        if fits { Ok(()) } else { Err(EditError::WrongList { name: name.clone(), role: role.clone() }) }
    }

    fn list_mut(&mut self, role: &RoleName) -> Result<&mut Targets, EditError> {
        match role {
            RoleName::Targets => Some(&mut self.targets),
            RoleName::Package(package) => self.packages.get_mut(package),
            RoleName::Root | RoleName::Snapshot | RoleName::Timestamp => None,
        }
        .ok_or_else(|| EditError::NoSuchList { role: role.clone() })
    }
}
