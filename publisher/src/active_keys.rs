//! Keys are used only while the published trust document lists them as active: sites would refuse what another key
//! signs, and a grant by it would bind a serial number and be of no use.

use sealpost_keys::{PublicKey, SigningKey};
use sealpost_manifests::ids::PackageName;
use sealpost_manifests::trust::{KeyStatus, KeyUse, TRUST_TARGET, TrustDocument};

use crate::home::{Keyring, KeyringError, Vendor};
use crate::publication::{Publication, PublicationError};

/// Why no grant can be signed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LicenseKeyError {
    #[error("cannot open the license key")]
    Keys(#[from] KeyringError),
    /// The published trust document does not list it as active, or could not be read.
    #[error("cannot grant anything with the license key")]
    Publication(#[from] PublicationError),
}

/// The license-signing key, if the published trust document lists it as active.
pub fn license_key(
    vendor: &Vendor,
    keyring: &Keyring,
    waiting: impl FnOnce(),
) -> Result<SigningKey, LicenseKeyError> {
    let key = keyring.license()?;
    let trust = Publication::open(vendor, waiting)?.trust()?;
    check_active(&trust, &key, KeyUse::License, None, "keys.license")?;
    Ok(key)
}

/// Refuses a key that the trust document does not list as active for this use; `setting` says where another can be
/// named.
pub(crate) fn check_active(
    trust: &TrustDocument,
    key: &SigningKey,
    key_use: KeyUse,
    package: Option<&PackageName>,
    setting: &str,
) -> Result<(), PublicationError> {
    let public = key.public();
    let listed = trust.keys.iter().filter_map(|listed| {
        let key = PublicKey::from_base64(&listed.key).ok()?;
        // A key is its 32 bytes: listed under another id, for another use or package, it stays revoked.
        (key.ed25519_bytes() == public.ed25519_bytes()).then_some((listed, key))
    });
    let statuses: Vec<KeyStatus> = listed
        .filter(|(listed, key)| {
            is_revoked(listed.status)
                || (*key == public && listed.key_use == key_use && listed.package.as_ref() == package)
        })
        .map(|(listed, _)| listed.status)
        .collect();
    let problem = if statuses.iter().any(|status| is_revoked(*status)) {
        "is revoked"
    } else if statuses.contains(&KeyStatus::Active) {
        return Ok(());
    } else if statuses.contains(&KeyStatus::Retired) {
        "is retired"
    } else {
        "is not listed"
    };
    let purpose =
        package.map_or_else(|| format!("{key_use} key"), |package| format!("{key_use} key of {package}"));
    Err(PublicationError::Target {
        name: TRUST_TARGET.to_owned(),
        problem: format!(
            "the {purpose}, {}, {problem} in it, so nobody would accept its signature; use the active key ({setting} \
             in vendor.toml)",
            public.id()
        ),
    })
}

/// Sites take a status that they do not know as revoked.
const fn is_revoked(status: KeyStatus) -> bool {
    matches!(status, KeyStatus::Revoked | KeyStatus::Other(_))
}
