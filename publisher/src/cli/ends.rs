//! After a publication: what ends soon, so that a vendor who never looks at `publisher status` hears of it in time.

use jiff::Timestamp;

use super::output::{tell, waiting};
use crate::expiries::of_repository;
use crate::home::{Keyring, Vendor};
use crate::publication::Publication;

/// Tells what ends soon. What cannot be read now is left to the next command.
pub(super) fn warn_of_ends(vendor: &Vendor, keyring: &Keyring) {
    let Ok(publication) = Publication::open(vendor, waiting) else { return };
    let now = Timestamp::now();
    for warning in
        of_repository(vendor, keyring, publication.editor()).iter().filter_map(|end| end.warning(now))
    {
        tell(format_args!("warning: {warning}"));
    }
}
