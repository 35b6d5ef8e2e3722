//! The releases of a package that are published, each verified.
//!
//! Invariant: every listed manifest carries a signature by a key that the trust document lists for the package, in
//! whatever status; one that does not is an error, because counters would be wrong without it. Whether the key still
//! vouches for the manifest is its [`Standing`].

use sealpost_keys::verify::verify;
use sealpost_keys::{Minisig, PublicKey, Verified};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::document::{self, Document, DocumentError};
use sealpost_manifests::ids::PackageName;
use sealpost_manifests::release::{ReleaseId, ReleaseManifest};
use sealpost_manifests::trust::{KeyUse, TrustDocument};
use sealpost_repository::{RepositoryEditor, RoleName};

use super::edit::Publication;
use super::error::{PublicationError, RESTORE};

/// A release that is published, verified.
#[derive(Debug)]
pub struct Published {
    pub manifest: Verified<ReleaseManifest>,
    /// The digest of the manifest's exact bytes.
    pub digest: Sha256Digest,
    /// The key that signed it.
    pub key: PublicKey,
    pub standing: Standing,
}

/// Whether the vendor's keys still vouch for a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    Trusted,
    /// The key that signed it was revoked, or retired without listing it: sites refuse it.
    Disowned,
}

impl Published {
    #[must_use]
    pub fn is_trusted(&self) -> bool {
        self.standing == Standing::Trusted
    }
}

impl<R: AsRef<RepositoryEditor>> Publication<R> {
    /// Every release of a package, lowest counter first, also those that the vendor disowned.
    ///
    /// # Errors
    /// For the first that no listed key signed.
    pub fn releases(
        &self,
        package: &PackageName,
        trust: &TrustDocument,
    ) -> Result<Vec<Published>, PublicationError> {
        let role = RoleName::Package(package.clone());
        let ids: Vec<ReleaseId> = self
            .editor()
            .targets(&role)
            .filter_map(|(name, _, _)| ReleaseId::from_manifest_target(name))
            .collect();
        let mut releases = ids
            .into_iter()
            .map(|release| self.published(&role, &release, trust))
            .collect::<Result<Vec<_>, _>>()?;
        releases.sort_by_key(|published| published.manifest.counter);
        Ok(releases)
    }

    fn published(
        &self,
        role: &RoleName,
        release: &ReleaseId,
        trust: &TrustDocument,
    ) -> Result<Published, PublicationError> {
        let (name, signature_name) = (release.manifest_target()?, release.minisig_target()?);
        let missing = PublicationError::not_listed;
        let bytes = self.bytes(role, &name)?.ok_or_else(|| missing(&name))?;
        let signature = self.bytes(role, &signature_name)?.ok_or_else(|| missing(&signature_name))?;
        let malformed = || PublicationError::Target {
            name: signature_name.to_string(),
            problem: format!("it is not a minisign signature{RESTORE}"),
        };
        let minisig = std::str::from_utf8(&signature)
            .ok()
            .and_then(|text| Minisig::parse(text).ok())
            .ok_or_else(malformed)?;
        let refused = |source| PublicationError::Document { name: name.to_string(), source };
        let digest = Sha256Digest::of(&bytes);
        let package = &release.package;
        let signed = verify(bytes, &minisig, &listed_keys(trust, package)).map_err(|source| {
            refused(DocumentError::Signature { document: ReleaseManifest::TYPE, source })
        })?;
        let key = signed.key.clone();
        let manifest: Verified<ReleaseManifest> = document::parse(signed).map_err(refused)?;
        if manifest.release != *release {
            return Err(PublicationError::Target {
                name: name.to_string(),
                problem: format!("its manifest is of {}{RESTORE}", manifest.release),
            });
        }
        let is_trusted = trust
            .release_keys(package, digest)
            .iter()
            .any(|trusted| trusted.ed25519_bytes() == key.ed25519_bytes());
        let standing = if is_trusted { Standing::Trusted } else { Standing::Disowned };
        Ok(Published { manifest, digest, key, standing })
    }
}

/// The keys of a package in whatever status.
fn listed_keys(trust: &TrustDocument, package: &PackageName) -> Vec<PublicKey> {
    let listed = trust
        .keys
        .iter()
        .filter(|key| key.key_use == KeyUse::Release && key.package.as_ref() == Some(package));
    listed.filter_map(|key| PublicKey::from_base64(&key.key).ok()).collect()
}
