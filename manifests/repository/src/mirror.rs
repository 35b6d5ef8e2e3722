//! Everything that a repository's snapshot pins, verified, as files: for a server that passes metadata on unchanged.
//!
//! Invariant: all or nothing. Either every pinned role was verified through the chain of delegations from the pinned
//! root, or the call fails and names the role.
//! Left out on purpose: keeping generations (the server's) and roots older than the pinned one.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use sigstore_tuf::TrustedMetadataSet;

use crate::files::length_of;
use crate::handle::Gone;
use crate::reader::{Reader, RefreshError, TargetError};
use crate::refusal::Refusal;
use crate::store::StoreError;
use crate::target::{TargetInfo, percent_encoded};
use crate::transport::TransportError;
use sealpost_manifests::ids::PackageName;

/// Largest metadata file of a targets role, in bytes; the same as the core's.
const MAX_ROLE_BYTES: u64 = 5_000_000;
/// Most roles that one repository may have: one per package, so far more than any vendor sells.
const MAX_ROLES: usize = 4096;
/// Most bytes that one mirror generation may have, since it is held in memory.
const MAX_MIRROR_BYTES: u64 = 64 * 1024 * 1024;

/// A metadata file as its owner published it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MirroredFile {
    /// Its file name, for example `7.acme-av.json`, `3.snapshot.json` or `timestamp.json`.
    pub name: String,
    /// Its bytes, unchanged.
    pub bytes: Vec<u8>,
}

/// Why a repository could not be mirrored. Nothing is returned then.
#[derive(Debug, thiserror::Error)]
pub enum MirrorError {
    /// The top-level metadata could not be refreshed.
    #[error("cannot mirror the vendor's metadata")]
    Refresh {
        /// Why.
        #[source]
        source: RefreshError,
    },
    /// A pinned role was refused.
    #[error("cannot mirror role {role} ({refusal}); {}", refusal.hint())]
    Refused {
        /// The role.
        role: String,
        /// Why, as a stable code.
        refusal: Refusal,
        /// The verification core's words.
        #[source]
        source: sigstore_tuf::Error,
    },
    /// A pinned role could not be fetched.
    #[error("cannot fetch role {role}; nothing was taken over, try again later")]
    Transport {
        /// The role.
        role: String,
        /// Why.
        #[source]
        source: TransportError,
    },
    /// The snapshot pins a role that the server does not have, or that no role delegates to.
    #[error("the snapshot pins role {role}, which {problem}; the repository is incomplete, ask its owner")]
    Incomplete {
        /// The role.
        role: String,
        /// What is missing.
        problem: &'static str,
    },
    /// More roles or bytes than a mirror takes.
    #[error(
        "the vendor's metadata has more than {MAX_ROLES} roles or {MAX_MIRROR_BYTES} bytes; ask the vendor"
    )]
    TooLarge,
    /// The metadata store failed, so nothing is trusted.
    #[error("cannot mirror the vendor's metadata, because the record of what was trusted before has failed")]
    Store {
        /// The first failure.
        #[source]
        source: Arc<StoreError>,
    },
    /// The targets of a package could not be looked up.
    #[error("cannot list the targets of {package}")]
    Target {
        /// The package.
        package: PackageName,
        /// Why.
        #[source]
        source: Box<TargetError>,
    },
    /// The reader's thread has ended.
    #[error(transparent)]
    Gone(#[from] Gone),
}

impl MirrorError {
    /// The reason as a stable code, where there is one.
    #[must_use]
    pub const fn refusal(&self) -> Option<Refusal> {
        match self {
            Self::Refresh { source } => source.refusal(),
            Self::Refused { refusal, .. } => Some(*refusal),
            Self::Transport { .. } => Some(Refusal::Unreachable),
            Self::Incomplete { .. } => Some(Refusal::Missing),
            Self::TooLarge => Some(Refusal::Malformed),
            Self::Store { .. } => Some(Refusal::StoreFailed),
            Self::Target { .. } | Self::Gone(_) => None,
        }
    }
}

impl Reader {
    /// Refreshes, then returns every metadata file of the repository, verified: roots first, timestamp last, which
    /// is also the order in which they can be put before readers.
    ///
    /// # Errors
    /// [`MirrorError`] if anything that the snapshot pins cannot be had and verified.
    pub async fn all_roles(&mut self, now: Timestamp) -> Result<Vec<MirroredFile>, MirrorError> {
        self.refresh(now).await.map_err(|source| MirrorError::Refresh { source })?;
        let mut trusted = self.updater.trusted().clone();
        let mut files = self.known_roots()?;
        let mut bytes_so_far = 0;
        let mut done: BTreeSet<String> = BTreeSet::from(["targets".to_owned()]);
        let mut delegators = vec!["targets".to_owned()];
        while let Some(delegator) = delegators.pop() {
            for role in delegated_roles(&trusted, &delegator) {
                if !done.insert(role.clone()) {
                    continue;
                }
                let bytes = self.verified_role(&mut trusted, &role, &delegator, now).await?;
                bytes_so_far += length_of(&bytes);
                if done.len() > MAX_ROLES || bytes_so_far > MAX_MIRROR_BYTES {
                    return Err(MirrorError::TooLarge);
                }
                files.push(MirroredFile { name: file_name(&trusted, &role)?, bytes });
                delegators.push(role);
            }
        }
        let pinned = trusted.snapshot().into_iter().flat_map(|snapshot| snapshot.meta.keys());
        for role in pinned.filter_map(|name| name.strip_suffix(".json")) {
            if !done.contains(role) {
                return Err(MirrorError::Incomplete {
                    role: role.to_owned(),
                    problem: "no trusted role delegates to",
                });
            }
        }
        for role in ["targets", "snapshot", "timestamp"] {
            let bytes = self.kept(role)?;
            files.push(MirroredFile { name: file_name(&trusted, role)?, bytes });
        }
        Ok(files)
    }

    /// The targets that the role of a package lists and is allowed to list. Call after a refresh. Targets whose
    /// names or digests are not ours are left out.
    ///
    /// # Errors
    /// [`MirrorError`] if there is no such role, or it is refused.
    pub async fn package_targets(
        &mut self,
        package: &PackageName,
        now: Timestamp,
    ) -> Result<Vec<TargetInfo>, MirrorError> {
        self.latch.check().map_err(|source| MirrorError::Store { source })?;
        let role = package.as_str();
        if self.updater.trusted().targets_role(role).is_none() {
            let mut trusted = self.updater.trusted().clone();
            if !delegated_roles(&trusted, "targets").iter().any(|name| name == role) {
                let problem = "the vendor's targets do not delegate to";
                return Err(MirrorError::Incomplete { role: role.to_owned(), problem });
            }
            self.verified_role(&mut trusted, role, "targets", now).await?;
            return self.allowed_targets(&trusted, package, now).await;
        }
        let trusted = self.updater.trusted().clone();
        self.allowed_targets(&trusted, package, now).await
    }

    /// The packages that the vendor delegates to, in the vendor's order. Call after a refresh.
    #[must_use]
    pub fn packages(&self) -> Vec<PackageName> {
        let roles = delegated_roles(self.updater.trusted(), "targets");
        roles.into_iter().filter_map(|role| PackageName::new(role).ok()).collect()
    }

    /// What a role lists counts only where a search for the name ends in this role.
    async fn allowed_targets(
        &mut self,
        trusted: &TrustedMetadataSet,
        package: &PackageName,
        now: Timestamp,
    ) -> Result<Vec<TargetInfo>, MirrorError> {
        let names = trusted.targets_role(package.as_str()).into_iter().flat_map(|role| role.targets.keys());
        let mut targets = Vec::new();
        for name in names {
            let listed = match self.listed(name, now).await {
                Ok(listed) => listed,
                Err(TargetError::Unusable { .. }) => None,
                Err(source) => {
                    return Err(MirrorError::Target { package: package.clone(), source: Box::new(source) });
                }
            };
            let allowed = listed.filter(|listed| listed.role() == package.as_str());
            targets.extend(allowed.and_then(TargetInfo::of));
        }
        Ok(targets)
    }

    /// The bytes of a delegated role, verified into `trusted`: the kept ones if they are still the pinned ones.
    async fn verified_role(
        &self,
        trusted: &mut TrustedMetadataSet,
        role: &str,
        delegator: &str,
        now: Timestamp,
    ) -> Result<Vec<u8>, MirrorError> {
        let store_failed = |source| MirrorError::Store { source };
        let encoded = percent_encoded(role);
        let name = file_name(trusted, role)?;
        let kept = self.store.read(&format!("{encoded}.json")).map_err(store_failed)?;
        let kept = kept.filter(|bytes| trusted.update_delegated_targets(bytes, role, delegator, now).is_ok());
        let bytes = match kept {
            Some(bytes) => bytes,
            None => {
                let bytes = self
                    .transport
                    .metadata(&name, MAX_ROLE_BYTES)
                    .await
                    .map_err(|source| MirrorError::Transport { role: role.to_owned(), source })?
                    .ok_or_else(|| MirrorError::Incomplete {
                        role: role.to_owned(),
                        problem: "the server does not have",
                    })?;
                trusted.update_delegated_targets(&bytes, role, delegator, now).map_err(|source| {
                    MirrorError::Refused { role: role.to_owned(), refusal: Refusal::of(&source), source }
                })?;
                self.store.write(&format!("{encoded}.json"), &bytes).map_err(store_failed)?;
                bytes
            }
        };
        self.at_hand.put(name, bytes.clone());
        Ok(bytes)
    }

    /// The unbroken run of roots that ends in the trusted one.
    fn known_roots(&self) -> Result<Vec<MirroredFile>, MirrorError> {
        let pinned = TrustedMetadataSet::from_root(&self.pinned_root).map_err(|source| {
            MirrorError::Refused { role: "root".to_owned(), refusal: Refusal::of(&source), source }
        })?;
        let newest = self.updater.trusted().root().version;
        let mut roots = Vec::new();
        for version in (1..=newest).rev() {
            let name = format!("{version}.root.json");
            let bytes = if version == newest {
                Some(self.updater.trusted().root_bytes().to_vec())
            } else if version == pinned.root().version {
                Some(self.pinned_root.clone())
            } else {
                let kept = self.store.read(&format!("root_history/{name}"));
                kept.map_err(|source| MirrorError::Store { source })?
            };
            let Some(bytes) = bytes else { break };
            roots.push(MirroredFile { name, bytes });
        }
        roots.reverse();
        Ok(roots)
    }

    /// The trusted bytes of a top-level role, which the core has stored in this refresh or an earlier one.
    fn kept(&self, role: &str) -> Result<Vec<u8>, MirrorError> {
        let bytes =
            self.store.read(&format!("{role}.json")).map_err(|source| MirrorError::Store { source })?;
        let problem = "is not in the record of trusted metadata";
        bytes.ok_or_else(|| MirrorError::Incomplete { role: role.to_owned(), problem })
    }
}

fn delegated_roles(trusted: &TrustedMetadataSet, delegator: &str) -> Vec<String> {
    let delegations = trusted.targets_role(delegator).and_then(|targets| targets.delegations.as_ref());
    delegations.into_iter().flat_map(|delegations| &delegations.roles).map(|role| role.name.clone()).collect()
}

/// The file name under which a repository publishes the pinned version of a role.
fn file_name(trusted: &TrustedMetadataSet, role: &str) -> Result<String, MirrorError> {
    let encoded = percent_encoded(role);
    if role == "timestamp" || !trusted.root().consistent_snapshot {
        return Ok(format!("{encoded}.json"));
    }
    let version = if role == "snapshot" {
        trusted.snapshot().map(|snapshot| snapshot.version)
    } else {
        let pins = trusted.snapshot().map(|snapshot| &snapshot.meta);
        pins.and_then(|pins| pins.get(&format!("{role}.json"))).map(|pin| pin.version)
    };
    let problem = "is delegated to but not pinned";
    let version = version.ok_or_else(|| MirrorError::Incomplete { role: role.to_owned(), problem })?;
    Ok(format!("{version}.{encoded}.json"))
}
