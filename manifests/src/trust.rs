//! The trust document (`trust.json`, a TUF target): which keys of the vendor are good for what.
//!
//! A key that is not listed is trusted for nothing; a revoked one verifies nothing, not even what it signed before; a
//! retired one verifies only the documents whose digests are listed with it, so that a stolen retired key signs nothing
//! new. The set of uses is open: entries of a use that this program does not know are skipped.

use std::collections::BTreeSet;

use jiff::Timestamp;
use sealpost_keys::PublicKey;
use serde::{Deserialize, Serialize};

use crate::digest::Sha256Digest;
use crate::document::Document;
use crate::ids::PackageName;
use crate::version::ReleaseCounter;
use crate::word::open_codes;

/// The name of the target that holds the document.
pub const TRUST_TARGET: &str = "trust.json";

open_codes! {
    /// What a key is for. `seal`, `bundle` and `brand` are reserved.
    KeyUse {
        /// Signs the manifests of one package.
        Release = "release",
        /// Signs grants.
        License = "license",
        /// Is sealed to, by servers that write to the vendor.
        Seal = "seal",
    }
}

open_codes! {
    /// What a listed key is still good for. A status that is not known counts as revoked.
    KeyStatus {
        /// Signs, and verifies what it signed.
        Active = "active",
        /// Verifies the listed digests; signs nothing new.
        Retired = "retired",
        /// Verifies nothing, not even what it signed before.
        Revoked = "revoked",
    }
}

/// A key with its use and status.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrustedKey {
    /// What it is for.
    #[serde(rename = "use")]
    pub key_use: KeyUse,
    /// The package whose manifests it signs; for `release` keys only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub package: Option<PackageName>,
    /// The key as text: a minisign public key for `release` and `license`, a sealing key for `seal`.
    pub key: String,
    /// What it is still good for.
    pub status: KeyStatus,
    /// Of a retired key: digests of the documents that it still verifies.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub digests: BTreeSet<Sha256Digest>,
}

/// A counter that everybody goes back to, once: a stolen key may have published one that nothing can follow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CounterReset {
    /// The package whose releases are numbered.
    pub package: PackageName,
    /// The highest counter that was honestly given: what is above it counts no more.
    pub counter: ReleaseCounter,
    /// Rises with each reset of the package; each is applied once.
    pub number: u64,
}

/// Whom a customer asks about licenses.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LicensingContact {
    /// A person or department.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// A mail address.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub mail: String,
    /// A telephone number.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub phone: String,
    /// A web page.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub url: String,
}

/// The keys of a vendor, by use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrustDocument {
    /// The vendor's name, for people.
    pub vendor: String,
    /// Every key that ever counted.
    pub keys: Vec<TrustedKey>,
    /// Counters that were reset.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub counter_resets: Vec<CounterReset>,
    /// Whom to ask about licenses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub licensing_contact: Option<LicensingContact>,
    /// The vendor's clock when the document was written.
    pub signed_at: Timestamp,
}

impl Document for TrustDocument {
    const TYPE: &'static str = "trust";
    const VERSION: u32 = 2;

    fn trusted_comment(&self) -> String {
        "trust".to_owned()
    }
}

impl TrustDocument {
    /// The keys that verify a manifest of a package, by the manifest's digest; none for an unlisted package.
    #[must_use]
    pub fn release_keys(&self, package: &PackageName, manifest: Sha256Digest) -> Vec<PublicKey> {
        self.verifying(KeyUse::Release, Some(package), manifest)
    }

    /// The keys that verify a grant, by the digest of its text.
    #[must_use]
    pub fn license_keys(&self, grant: Sha256Digest) -> Vec<PublicKey> {
        self.verifying(KeyUse::License, None, grant)
    }

    /// Whether a package has a key that is listed at all, whatever its status.
    #[must_use]
    pub fn lists(&self, package: &PackageName) -> bool {
        self.keys.iter().any(|key| key.key_use == KeyUse::Release && key.package.as_ref() == Some(package))
    }

    /// The newest reset of a package's counter.
    #[must_use]
    pub fn counter_reset(&self, package: &PackageName) -> Option<&CounterReset> {
        self.counter_resets.iter().filter(|reset| reset.package == *package).max_by_key(|reset| reset.number)
    }

    fn verifying(
        &self,
        key_use: KeyUse,
        package: Option<&PackageName>,
        digest: Sha256Digest,
    ) -> Vec<PublicKey> {
        let candidates = self.keys.iter().filter(|key| {
            key.key_use == key_use
                && (key_use != KeyUse::Release || key.package.as_ref() == package)
                && match key.status {
                    KeyStatus::Active => true,
                    KeyStatus::Retired => key.digests.contains(&digest),
                    KeyStatus::Revoked | KeyStatus::Other(_) => false,
                }
        });
        let parsed = candidates.filter_map(|key| PublicKey::from_base64(&key.key).ok());
        let revoked = self.revoked();
        parsed.filter(|key| !revoked.contains(&key.ed25519_bytes())).collect()
    }

    /// A key is its 32 bytes: listed again, for another use or under another id, it stays revoked.
    fn revoked(&self) -> BTreeSet<[u8; 32]> {
        let revoked = self
            .keys
            .iter()
            .filter(|listed| matches!(listed.status, KeyStatus::Revoked | KeyStatus::Other(_)));
        revoked
            .filter_map(|listed| PublicKey::from_base64(&listed.key).ok())
            .map(|listed| listed.ed25519_bytes())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use sealpost_keys::{KeyId, SigningKey};

    use super::*;
    use crate::word::Word;

    fn listed(key: &PublicKey, key_use: KeyUse, status: KeyStatus, package: Option<&str>) -> TrustedKey {
        TrustedKey {
            key_use,
            package: package.map(|name| PackageName::new(name).unwrap()),
            key: key.to_base64(),
            status,
            digests: BTreeSet::new(),
        }
    }

    fn trust(keys: Vec<TrustedKey>) -> TrustDocument {
        TrustDocument {
            vendor: "Acme".to_owned(),
            keys,
            counter_resets: Vec::new(),
            licensing_contact: None,
            signed_at: Timestamp::UNIX_EPOCH,
        }
    }

    fn key() -> PublicKey {
        SigningKey::generate().unwrap().public()
    }

    #[test]
    fn a_revoked_key_verifies_nothing_even_if_it_is_listed_again_or_under_another_id() {
        let (stolen, good) = (key(), key());
        let renamed = PublicKey::new(KeyId::from_bytes([7; 8]), stolen.ed25519_bytes());
        let package = PackageName::new("acme-av").unwrap();
        for key_use in [KeyUse::Release, KeyUse::License] {
            let of = (key_use == KeyUse::Release).then_some("acme-av");
            let document = trust(vec![
                listed(&stolen, key_use, KeyStatus::Active, of),
                listed(&good, key_use, KeyStatus::Active, of),
                listed(&stolen, key_use, KeyStatus::Revoked, of),
                listed(&renamed, key_use, KeyStatus::Active, of),
            ]);
            let digest = Sha256Digest::of(b"any");
            let found = match key_use {
                KeyUse::Release => document.release_keys(&package, digest),
                _ => document.license_keys(digest),
            };
            assert_eq!(found, std::slice::from_ref(&good));
        }
    }

    /// A document of the largest size has about that many; comparing each key with each would take minutes.
    #[test]
    fn a_long_list_of_keys_is_judged_in_one_pass() {
        let key = |number: u32| {
            let mut bytes = [0; 32];
            bytes[..4].copy_from_slice(&number.to_le_bytes());
            PublicKey::new(KeyId::from_bytes([7; 8]), bytes)
        };
        let active = (0..60_000).map(|number| listed(&key(number), KeyUse::License, KeyStatus::Active, None));
        let revoked =
            (1..60_000).map(|number| listed(&key(number), KeyUse::License, KeyStatus::Revoked, None));
        let document = trust(active.chain(revoked).collect());
        assert_eq!(document.license_keys(Sha256Digest::of(b"any")), [key(0)]);
    }

    #[test]
    fn a_retired_key_verifies_what_is_listed_with_it_and_nothing_new() {
        let retired = key();
        let old = Sha256Digest::of(b"old manifest");
        let entry = TrustedKey {
            digests: BTreeSet::from([old]),
            ..listed(&retired, KeyUse::Release, KeyStatus::Retired, Some("acme-av"))
        };
        let document = trust(vec![entry]);
        let package = PackageName::new("acme-av").unwrap();
        assert_eq!(document.release_keys(&package, old), [retired]);
        assert!(document.release_keys(&package, Sha256Digest::of(b"new manifest")).is_empty());
    }

    #[test]
    fn a_key_is_good_for_its_use_and_package_only_and_an_unknown_use_or_status_gives_no_trust() {
        let (release, license, odd) = (key(), key(), key());
        let unknown = KeyStatus::Other(Word::new("frozen").unwrap());
        let document = trust(vec![
            listed(&release, KeyUse::Release, KeyStatus::Active, Some("acme-av")),
            listed(&license, KeyUse::License, KeyStatus::Active, None),
            listed(&odd, KeyUse::Other(Word::new("brand").unwrap()), KeyStatus::Active, Some("acme-av")),
            listed(&odd, KeyUse::License, unknown, None),
        ]);
        let digest = Sha256Digest::of(b"any");
        assert_eq!(document.release_keys(&PackageName::new("acme-av").unwrap(), digest), [release]);
        assert!(document.release_keys(&PackageName::new("acme-cad").unwrap(), digest).is_empty());
        assert_eq!(document.license_keys(digest), [license]);
    }
}
