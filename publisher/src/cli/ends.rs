//! After a publication: what ends soon, so that a vendor who never looks at `publisher status` hears of it in time.
//!
//! Invariant: the result is printed before.

use jiff::Timestamp;

use super::output::tell;
use crate::expiries::of_repository;
use crate::home::{Keyring, Vendor};
use crate::publication::PublicationView;

/// Tells what ends soon. What cannot be read now is left to the next command.
pub(super) fn warn_of_ends(vendor: &Vendor, keyring: &Keyring) {
    let Ok(publication) = PublicationView::read(vendor) else { return };
    let now = Timestamp::now();
    for end in of_repository(vendor, keyring, publication.editor()) {
        if let Some(warning) = end.warning(now) {
            tell(format_args!("{}: {warning}", end.level(now)));
        }
    }
}
