//! Keys are used only while the published trust document lists them as active: sites would refuse what another key
//! signs, and a grant by it would bind a serial number and be of no use.

use sealpost_keys::SigningKey;
use sealpost_manifests::trust::{KeyStatus, TRUST_TARGET, TrustedKey};

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
    check_active(&trust.license_keys, &key, "license key", "keys.license")?;
    Ok(key)
}

/// Refuses a key that the trust document does not list as active; `setting` says where another can be named.
pub(crate) fn check_active(
    listed: &[TrustedKey],
    key: &SigningKey,
    purpose: &str,
    setting: &str,
) -> Result<(), PublicationError> {
    let public = key.public();
    let has = |status| listed.iter().any(|listed| listed.key == public && listed.status == status);
    let problem = if has(KeyStatus::Revoked) {
        "is revoked"
    } else if has(KeyStatus::Active) {
        return Ok(());
    } else if has(KeyStatus::Retired) {
        "is retired"
    } else {
        "is not listed"
    };
    Err(PublicationError::Target {
        name: TRUST_TARGET.to_owned(),
        problem: format!(
            "the {purpose}, {}, {problem} in it, so nobody would accept its signature; use the active key ({setting} \
             in vendor.toml)",
            public.id()
        ),
    })
}
