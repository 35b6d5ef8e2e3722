//! Nothing is published while readers would refuse all of it, because a role above or beside it has ended.

use jiff::Timestamp;
use sealpost_repository::RoleName;

use super::error::TrustError;
use crate::expiries;
use crate::home::{Keyring, Vendor};
use crate::publication::Publication;

/// For a publication that signs the top-level targets.
pub(super) fn check_live(
    vendor: &Vendor,
    keyring: &Keyring,
    publication: &Publication,
    now: Timestamp,
) -> Result<(), TrustError> {
    let ended = expiries::ended(vendor, keyring, publication.editor(), &[RoleName::Targets], now);
    if ended.is_empty() { Ok(()) } else { Err(TrustError::Ended { ended }) }
}
