//! Retiring a key: it signs nothing new, and verifies what it signed and what stays good, by digest.
//!
//! Invariant: only an active key retires. A revoked one would become trusted again for what it signed.

use std::collections::BTreeSet;

use sealpost_keys::PublicKey;
use sealpost_manifests::channels::ChannelsDocument;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::PackageName;
use sealpost_manifests::trust::{KeyStatus, KeyUse, TrustDocument};

use crate::publication::Published;

/// Why a key was not retired. The document is as it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "cannot retire the {key_use} key {key}: the trust document does not list it as active; see `publisher trust show`"
)]
pub struct RetireError {
    pub key_use: KeyUse,
    /// The id of the key.
    pub key: String,
}

/// Retires a release key of a package. It goes on verifying the manifests that it signed, but those of withdrawn
/// versions and below the minimum counter: nothing of them is installed again.
///
/// # Errors
/// [`RetireError`].
pub fn retire_release_key(
    trust: &mut TrustDocument,
    key: &PublicKey,
    releases: &[Published],
    channels: &ChannelsDocument,
) -> Result<(), RetireError> {
    let stays = |published: &&Published| {
        let manifest = &published.manifest;
        published.is_trusted()
            && published.key.ed25519_bytes() == key.ed25519_bytes()
            && channels.withdrawn_reason(&manifest.release).is_none()
            && !channels.is_below_minimum(manifest.counter)
    };
    let digests = releases.iter().filter(stays).map(|published| published.digest).collect();
    retire(trust, KeyUse::Release, Some(&channels.package), key, digests)
}

/// Retires a license key. It goes on verifying these grants: those that it signed and that have not ended, by the
/// digests of their texts ([`Authority::live_grants`](crate::authority::Authority::live_grants)).
///
/// # Errors
/// [`RetireError`].
pub fn retire_license_key(
    trust: &mut TrustDocument,
    key: &PublicKey,
    grants: BTreeSet<Sha256Digest>,
) -> Result<(), RetireError> {
    retire(trust, KeyUse::License, None, key, grants)
}

fn retire(
    trust: &mut TrustDocument,
    key_use: KeyUse,
    package: Option<&PackageName>,
    key: &PublicKey,
    digests: BTreeSet<Sha256Digest>,
) -> Result<(), RetireError> {
    let text = key.to_base64();
    let active = trust.keys.iter_mut().find(|listed| {
        listed.key_use == key_use
            && listed.package.as_ref() == package
            && listed.key == text
            && listed.status == KeyStatus::Active
    });
    let entry = active.ok_or_else(|| RetireError { key_use, key: key.id().to_string() })?;
    entry.status = KeyStatus::Retired;
    entry.digests = digests;
    Ok(())
}
