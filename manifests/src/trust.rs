//! The trust document (`trust.json`, a TUF target): which minisign keys sign releases and grants.
//!
//! A key that is not listed is trusted for nothing; a revoked one verifies nothing, not even what it signed before.

use std::collections::BTreeMap;

use sealpost_keys::PublicKey;
use serde::{Deserialize, Serialize};

use crate::document::Document;
use crate::ids::PackageName;

/// The name of the target that holds the document.
pub const TRUST_TARGET: &str = "trust.json";

/// What a listed key is still good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyStatus {
    /// Signs, and verifies what it signed.
    Active,
    /// Verifies what it signed; signs nothing new.
    Retired,
    /// Verifies nothing, not even what it signed before.
    Revoked,
}

/// A key and its status.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrustedKey {
    /// The key that is listed.
    pub key: PublicKey,
    /// What it is still good for.
    pub status: KeyStatus,
}

/// The keys of a vendor, by purpose.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrustDocument {
    /// The vendor's name, for people.
    pub vendor: String,
    /// Package → keys that sign its manifests.
    pub release_keys: BTreeMap<PackageName, Vec<TrustedKey>>,
    /// Keys that sign grants.
    pub license_keys: Vec<TrustedKey>,
}

impl Document for TrustDocument {
    const TYPE: &'static str = "trust";
    const VERSION: u32 = 1;

    fn trusted_comment(&self) -> String {
        "trust".to_owned()
    }
}

/// Every key that is not revoked. A key is its 32 bytes: listed again, or under another id, it stays revoked.
fn verifying(keys: &[TrustedKey]) -> Vec<PublicKey> {
    let revoked = |key: &PublicKey| {
        keys.iter().any(|listed| {
            listed.status == KeyStatus::Revoked && listed.key.ed25519_bytes() == key.ed25519_bytes()
        })
    };
    keys.iter().map(|trusted| trusted.key.clone()).filter(|key| !revoked(key)).collect()
}

impl TrustDocument {
    /// The keys that verify a package's manifests: active and retired; none for an unlisted package.
    #[must_use]
    pub fn release_keys(&self, package: &PackageName) -> Vec<PublicKey> {
        self.release_keys.get(package).map(|keys| verifying(keys)).unwrap_or_default()
    }

    /// The keys that verify grants: active and retired.
    #[must_use]
    pub fn license_keys(&self) -> Vec<PublicKey> {
        verifying(&self.license_keys)
    }
}

#[cfg(test)]
mod tests {
    use sealpost_keys::{KeyId, SigningKey};

    use super::*;

    #[test]
    fn a_revoked_key_verifies_nothing_even_if_it_is_listed_again_or_under_another_id() {
        let stolen = SigningKey::generate().unwrap().public();
        let renamed = PublicKey::new(KeyId::from_bytes([7; 8]), stolen.ed25519_bytes());
        let good = SigningKey::generate().unwrap().public();
        let listed = |key: &PublicKey, status| TrustedKey { key: key.clone(), status };
        let package = PackageName::new("acme-av").unwrap();
        let keys = vec![
            listed(&stolen, KeyStatus::Active),
            listed(&good, KeyStatus::Retired),
            listed(&stolen, KeyStatus::Revoked),
            listed(&renamed, KeyStatus::Active),
        ];
        let trust = TrustDocument {
            vendor: "Acme".to_owned(),
            release_keys: BTreeMap::from([(package.clone(), keys.clone())]),
            license_keys: keys,
        };
        assert_eq!(trust.release_keys(&package), std::slice::from_ref(&good));
        assert_eq!(trust.license_keys(), [good]);
    }
}
