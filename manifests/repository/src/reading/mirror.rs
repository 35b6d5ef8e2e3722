//! Everything that a repository's snapshot pins, verified, as files: for a server that passes metadata on unchanged.
//!
//! Invariant: all or nothing. Either every pinned role was verified through the chain of delegations from the pinned
//! root, or the call fails and names the role.
//! Left out on purpose: keeping generations (the server's) and roots older than the pinned one.

use std::collections::BTreeSet;

use jiff::Timestamp;
use sigstore_tuf::TrustedMetadataSet;

use crate::reading::delegations::delegated_roles;
use crate::reading::errors::{MAX_MIRROR_BYTES, MAX_ROLES, MirrorError};
use crate::reading::reader::Reader;
use crate::reading::refusal::Refusal;
use crate::reading::roles::file_name;
use crate::target::length_of;

/// A metadata file as its owner published it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MirroredFile {
    /// Its file name, for example `7.acme-av.json`, `3.snapshot.json` or `timestamp.json`.
    pub name: String,
    /// Its bytes, exactly as published.
    pub bytes: Vec<u8>,
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

    /// The unbroken run of roots that ends in the trusted one.
    fn known_roots(&self) -> Result<Vec<MirroredFile>, MirrorError> {
        let pinned =
            TrustedMetadataSet::from_root(&self.pinned_root).map_err(|source| MirrorError::Refused {
                role: "root".to_owned(),
                refusal: Refusal::of(&source),
                location: None,
                source,
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
