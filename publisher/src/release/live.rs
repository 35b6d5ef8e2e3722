//! Nothing is published while readers would refuse all of it, because a role above or beside it has ended.

use jiff::Timestamp;
use sealpost_manifests::ids::PackageName;
use sealpost_repository::RoleName;

use super::error::ReleaseError;
use crate::expiries;
use crate::home::{Keyring, Vendor};
use crate::publication::Publication;

/// For a publication that signs the role of a package, and for a new package the top-level targets.
pub(super) fn check_live(
    vendor: &Vendor,
    keyring: &Keyring,
    publication: &Publication,
    package: &PackageName,
    now: Timestamp,
) -> Result<(), ReleaseError> {
    let mut signing = vec![RoleName::Package(package.clone())];
    signing.extend((!publication.knows(package)).then_some(RoleName::Targets));
    let ended = expiries::ended(vendor, keyring, publication.editor(), &signing, now);
    if ended.is_empty() { Ok(()) } else { Err(ReleaseError::Ended { package: package.clone(), ended }) }
}
