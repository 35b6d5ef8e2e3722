//! Which keys speak for a role, and the keys that sign now.
//!
//! Invariant: a [`KeyThreshold`] can be met: its threshold is at least one and at most the number of distinct keys.

use std::collections::BTreeMap;

use sealpost_keys::{PublicKey, SigningKey};

use crate::writing::metadata::{Key, KeyVal, canonical};
use sealpost_manifests::digest::Sha256Digest;

/// Why keys and threshold do not fit together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "a threshold of {threshold} cannot be met by {keys} distinct keys; give at least one key and that many at most"
)]
pub struct ThresholdError {
    /// The threshold that was asked for.
    pub threshold: u32,
    /// Distinct keys that were given.
    pub keys: usize,
}

/// The keys of a role, and how many of them have to sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyThreshold {
    keys: BTreeMap<String, Key>,
    threshold: u32,
}

impl KeyThreshold {
    /// `threshold` of these keys have to sign; the same key twice counts once.
    ///
    /// # Errors
    /// [`ThresholdError`] if that cannot be met.
    pub fn new(keys: &[PublicKey], threshold: u32) -> Result<Self, ThresholdError> {
        let keys: BTreeMap<String, Key> = keys.iter().map(|key| (tuf_key_id(key), tuf_key(key))).collect();
        if threshold == 0 || usize::try_from(threshold).is_ok_and(|threshold| threshold > keys.len()) {
            return Err(ThresholdError { threshold, keys: keys.len() });
        }
        Ok(Self { keys, threshold })
    }

    pub(crate) const fn keys(&self) -> &BTreeMap<String, Key> {
        &self.keys
    }

    pub(crate) fn key_ids(&self) -> Vec<String> {
        self.keys.keys().cloned().collect()
    }

    pub(crate) const fn threshold(&self) -> u32 {
        self.threshold
    }
}

/// The keys that are at hand for signing. Each signs for the roles whose metadata names it, and no others.
#[derive(Debug, Default)]
pub struct Signers<'a>(BTreeMap<String, &'a SigningKey>);

impl<'a> Signers<'a> {
    /// Signs with all these keys.
    #[must_use]
    pub fn new(keys: &[&'a SigningKey]) -> Self {
        Self(keys.iter().map(|key| (tuf_key_id(&key.public()), *key)).collect())
    }

    pub(crate) fn get(&self, key_id: &str) -> Option<&'a SigningKey> {
        self.0.get(key_id).copied()
    }
}

/// The TUF id of a key: the SHA-256 of the canonical JSON of its TUF form, as the reference implementation does it.
#[must_use]
pub fn tuf_key_id(key: &PublicKey) -> String {
    // A key is three strings of hex and letters; that always has a canonical form.
    let canonical = canonical(&tuf_key(key)).unwrap_or_default();
    Sha256Digest::of(&canonical).to_string()
}

fn tuf_key(key: &PublicKey) -> Key {
    Key {
        keytype: "ed25519".to_owned(),
        keyval: KeyVal { public: data_encoding::HEXLOWER.encode(&key.ed25519_bytes()) },
        scheme: "ed25519".to_owned(),
    }
}
