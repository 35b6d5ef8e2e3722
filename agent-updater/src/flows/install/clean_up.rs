//! Removing slots and manifests that are not needed any more.

use sealpost_files::with_causes;

use crate::domain::record::{Change, PackageRecord};
use crate::flows::context::Host;
use crate::records::manifests;
use crate::slots::Slots;

/// Removes slots and manifests that the record does not need. What cannot be removed now is removed after the next
/// change.
pub(super) fn clean_up(host: &Host, change: &Change, slots: &Slots, record: &PackageRecord) {
    let package = &change.to.release.package;
    if let Err(error) = slots.remove_others(&|name| record.needs(name)) {
        tracing::warn!(%package, error = with_causes(&error), "an old slot could not be removed");
    }
    manifests::remove_others(&host.home, package, |slot| record.needs(slot));
}
