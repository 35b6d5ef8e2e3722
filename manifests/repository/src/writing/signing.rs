//! Signing what was changed: new versions, new expiries, and pins from the lists up to the timestamp.
//!
//! Invariants: a version number is used once, also by a run that crashed before it published; a key signs only what follows
//! a document that it signed itself.

use jiff::{SignedDuration, Timestamp};
use sealpost_manifests::digest::Sha256Digest;
use serde::Serialize;

use crate::target::TargetPath;
use crate::writing::editor::{RepositoryEditor, TargetSource};
use crate::writing::keys::Signers;
use crate::writing::load::Folder;
use crate::writing::metadata::{Envelope, Pin, Pins, Second, Signature, canonical};
use crate::writing::role::RoleName;

/// Why changes could not be signed.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// Fewer keys are at hand than the role needs.
    #[error(
        "cannot sign {role}: {found} of {needed} keys are at hand; unlock the missing ones (any of {key_ids})"
    )]
    TooFewKeys {
        /// The role that was to be signed.
        role: RoleName,
        /// Keys at hand that the role names.
        found: usize,
        /// How many keys have to sign for the role.
        needed: u32,
        /// The first digits of the ids that may sign.
        key_ids: String,
    },
    /// The folder has been given another document than the one that the key signed.
    #[error(
        "cannot sign {role}: the key {key_id} has not signed the {role} that the repository has now, so somebody may have \
         replaced it; restore the repository from the published copy, and compare root.json with the one that sites have"
    )]
    NotSignedBefore {
        /// The role that was to be signed.
        role: RoleName,
        /// The first digits of the key's id.
        key_id: String,
    },
    /// Its expiry is beyond what a time can say.
    #[error("cannot sign {role}: its lifetime is too long")]
    Lifetime {
        /// The role that was to be signed.
        role: RoleName,
    },
    /// The metadata has no canonical form.
    #[error("cannot sign {role}: it cannot be written as canonical JSON")]
    Canonical {
        /// The role that was to be signed.
        role: RoleName,
        /// The cause of the failure.
        #[source]
        source: sigstore_tuf::Error,
    },
}

impl RepositoryEditor {
    /// Signs what changed, and the snapshot and timestamp above it. Without any change only a new timestamp is made.
    ///
    /// # Errors
    /// [`SignError::TooFewKeys`] for the first role that lacks keys. Nothing was written.
    pub fn sign(mut self, signers: &Signers<'_>, now: Timestamp) -> Result<SignedRepository, SignError> {
        let mut files = Vec::new();
        if self.changed.contains(&RoleName::Root) {
            // Loading went through every root on disk, so the next number is free.
            self.root.version = self.root.version.saturating_add(1);
            self.root.expires = expiry(&RoleName::Root, now, self.lifetimes.root)?;
            let bytes = self.signed_by_root(&RoleName::Root, &self.root, signers)?;
            files.push((format!("{}.root.json", self.root.version), bytes));
        }
        let changed: Vec<RoleName> = self.changed.iter().cloned().collect();
        for role in &changed {
            let RoleName::Package(package) = role else { continue };
            let version = self.next_version(role);
            let expires = expiry(role, now, self.lifetimes.package)?;
            let Some(list) = self.packages.get_mut(package) else { continue };
            (list.version, list.expires) = (version, expires);
            let bytes = self.signed_by_delegation(role, &self.packages[package], signers)?;
            self.pins.insert(format!("{role}.json"), Pin::of(&bytes, version));
            files.push((format!("{version}.{role}.json"), bytes));
        }
        if self.changed.contains(&RoleName::Targets) {
            let role = RoleName::Targets;
            self.targets.version = self.next_version(&role);
            self.targets.expires = expiry(&role, now, self.lifetimes.targets)?;
            let bytes = self.signed_by_root(&role, &self.targets, signers)?;
            self.pins.insert("targets.json".to_owned(), Pin::of(&bytes, self.targets.version));
            files.push((format!("{}.targets.json", self.targets.version), bytes));
        }
        let below_snapshot = |role: &RoleName| !matches!(role, RoleName::Root | RoleName::Timestamp);
        let lists_changed = self.changed.iter().any(below_snapshot);
        let snapshot = match &self.snapshot {
            Some((pin, _)) if !lists_changed => pin.clone(),
            _ => {
                let role = RoleName::Snapshot;
                let version = self.next_version(&role);
                let expires = expiry(&role, now, self.lifetimes.snapshot)?;
                let snapshot = Pins::snapshot(self.pins.clone(), expires, version);
                let bytes = self.signed_by_root(&role, &snapshot, signers)?;
                let pin = Pin::of(&bytes, version);
                self.snapshot = Some((pin.clone(), expires));
                files.push((format!("{version}.snapshot.json"), bytes));
                pin
            }
        };
        let version = self.timestamp.map_or(1, |(version, _)| version.saturating_add(1));
        let expires = expiry(&RoleName::Timestamp, now, self.lifetimes.timestamp)?;
        let timestamp = Pins::timestamp(snapshot, expires, version, Second::at(now));
        let timestamp = self.signed_by_root(&RoleName::Timestamp, &timestamp, signers)?;
        self.timestamp = Some((version, expires));
        let (root_version, expiries) = (self.root.version, self.expiries());
        let targets = self
            .sources
            .into_values()
            .filter_map(|(name, target, source)| {
                let path = TargetPath::new(name.as_str(), Some(&target.hashes.sha256.to_string()))?;
                Some(SignedTarget { path, sha256: target.hashes.sha256, length: target.length, source })
            })
            .collect();
        Ok(SignedRepository {
            folder: self.folder,
            targets,
            files,
            timestamp,
            timestamp_version: version,
            root_version,
            expiries,
        })
    }

    /// Above every version that was published or that a crashed run left behind.
    fn next_version(&self, role: &RoleName) -> u64 {
        let on_disk = self.highest_on_disk.get(role.as_str()).copied().unwrap_or(0);
        let published = match role {
            RoleName::Snapshot => self.snapshot.as_ref().map(|(pin, _)| pin.version),
            _ => self.pins.get(&format!("{role}.json")).map(|pin| pin.version),
        };
        on_disk.max(published.unwrap_or(0)).saturating_add(1)
    }

    fn signed_by_root(
        &self,
        role: &RoleName,
        signed: &impl Serialize,
        signers: &Signers<'_>,
    ) -> Result<Vec<u8>, SignError> {
        let (key_ids, threshold) = match self.root.roles.get(role.as_str()) {
            Some(keys) => (keys.keyids.as_slice(), keys.threshold),
            None => (&[] as &[String], 1),
        };
        self.sign_role(role, signed, key_ids, threshold, signers)
    }

    fn signed_by_delegation(
        &self,
        role: &RoleName,
        signed: &impl Serialize,
        signers: &Signers<'_>,
    ) -> Result<Vec<u8>, SignError> {
        let mut delegated = self.targets.delegations.iter().flat_map(|delegations| &delegations.roles);
        let (key_ids, threshold) = match delegated.find(|delegated| delegated.name == role.as_str()) {
            Some(delegated) => (delegated.keyids.as_slice(), delegated.threshold),
            None => (&[] as &[String], 1),
        };
        self.sign_role(role, signed, key_ids, threshold, signers)
    }

    /// Signs with those of the keys at hand that speak for the role; each signs only what follows a document that it signed.
    fn sign_role(
        &self,
        role: &RoleName,
        signed: &impl Serialize,
        key_ids: &[String],
        threshold: u32,
        signers: &Signers<'_>,
    ) -> Result<Vec<u8>, SignError> {
        let mut at_hand = key_ids.iter().filter_map(|id| Some((id, signers.get(id)?)));
        match at_hand.find(|(_, key)| !self.may_be_followed_by(role, &key.public())) {
            Some((id, _)) => {
                Err(SignError::NotSignedBefore { role: role.clone(), key_id: id.chars().take(12).collect() })
            }
            None => sign(role, signed, key_ids, threshold, signers),
        }
    }
}

/// Signed metadata and the targets that it lists, not yet written.
#[derive(Debug)]
pub struct SignedRepository {
    pub(super) folder: Folder,
    pub(super) targets: Vec<SignedTarget>,
    /// Versioned files in the order in which they are written.
    pub(super) files: Vec<(String, Vec<u8>)>,
    pub(super) timestamp: Vec<u8>,
    pub(super) timestamp_version: u64,
    pub(super) root_version: u64,
    pub(super) expiries: Vec<(RoleName, Timestamp)>,
}

/// A target that has to be in its place before metadata lists it.
#[derive(Debug)]
pub(super) struct SignedTarget {
    pub(super) path: TargetPath,
    pub(super) sha256: Sha256Digest,
    pub(super) length: u64,
    pub(super) source: TargetSource,
}

fn expiry(role: &RoleName, now: Timestamp, lifetime: SignedDuration) -> Result<Second, SignError> {
    now.checked_add(lifetime).map(Second::at).map_err(|_| SignError::Lifetime { role: role.clone() })
}

fn sign(
    role: &RoleName,
    signed: &impl Serialize,
    key_ids: &[String],
    threshold: u32,
    signers: &Signers<'_>,
) -> Result<Vec<u8>, SignError> {
    let failed = |source| SignError::Canonical { role: role.clone(), source };
    let bytes = canonical(signed).map_err(failed)?;
    let signatures: Vec<Signature> = key_ids
        .iter()
        .filter_map(|key_id| {
            let key = signers.get(key_id)?;
            Some(Signature {
                keyid: key_id.clone(),
                sig: data_encoding::HEXLOWER.encode(&key.sign_raw(&bytes)),
            })
        })
        .collect();
    if usize::try_from(threshold).map_or(true, |needed| signatures.len() < needed) {
        let key_ids = key_ids.iter().filter_map(|id| id.get(..12)).collect::<Vec<_>>().join(", ");
        return Err(SignError::TooFewKeys {
            role: role.clone(),
            found: signatures.len(),
            needed: threshold,
            key_ids,
        });
    }
    serde_json::to_vec(&Envelope { signatures, signed }).map_err(|error| failed(error.into()))
}
