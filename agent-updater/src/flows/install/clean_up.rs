//! Removing slots and manifests that are not needed any more.

use sealpost_files::with_causes;

use crate::domain::record::{Change, PackageRecord, SlotId};
use crate::flows::context::Host;
use crate::records::manifests;
use crate::slots::{Slots, is_of};

/// Removes slots and manifests that the record does not need. What cannot be removed now is removed after the next
/// change.
pub(super) fn clean_up(host: &Host, change: &Change, slots: &Slots, record: &PackageRecord) {
    clean_up_but(host, change, slots, record, None);
}

/// As [`clean_up`], but keeps what there is of a slot whose building was cut off: the next try goes on with it.
pub(super) fn clean_up_but(
    host: &Host,
    change: &Change,
    slots: &Slots,
    record: &PackageRecord,
    begun: Option<&SlotId>,
) {
    let package = &change.to.release.package;
    let is_kept = |name: &str| record.needs(name) || begun.is_some_and(|slot| is_of(name, slot));
    if let Err(error) = slots.remove_others(&is_kept) {
        tracing::warn!(%package, error = with_causes(&error), "an old slot could not be removed");
    }
    manifests::remove_others(&host.home, package, |slot| record.needs(slot));
}
