//! How building a slot ends: with its name, or with a refusal that says whether the disk was full.

use std::error::Error;
use std::io;

use sealpost_files::with_causes;
use sealpost_manifests::release::ReleaseManifest;
use sealpost_manifests::wire::report::ReasonCode;

use crate::domain::record::{Change, ChangeKind};
use crate::domain::release::Refusal;
use crate::platform::disk;
use crate::slots::beneath::BeneathError;
use crate::slots::{SlotBuilder, Slots};

/// Digests the files of the slot, and gives it its name: a slot of that name is what was signed. That of a repair stays beside
/// the one that it is to replace.
pub(super) fn finish(
    builder: SlotBuilder<'_>,
    change: &Change,
    slots: &Slots,
    manifest: &ReleaseManifest,
) -> Result<(), Refusal> {
    builder.finish_beside().map_err(|error| refusal_of_slot(&error))?;
    if let Err(error) = slots.check_beside(&change.to.slot, manifest) {
        slots.remove_beside(&change.to.slot).map_err(|error| refusal_of_slot(&error))?;
        let detail = format!("what was built is not what was signed: {}", with_causes(&error));
        return Err(Refusal::new(ReasonCode::PayloadInvalid, detail));
    }
    match change.kind {
        ChangeKind::Repair => Ok(()),
        _ => builder.take_name().map_err(|error| refusal_of_slot(&error)),
    }
}

pub(super) fn invalid_or_full(
    builder: &SlotBuilder<'_>,
    what: &str,
    error: &(dyn Error + 'static),
) -> Refusal {
    let reason = if builder.disk_was_full() { ReasonCode::DiskFull } else { ReasonCode::PayloadInvalid };
    Refusal::new(reason, format!("{what}: {}", with_causes(error)))
}

pub(super) fn refusal_of_slot(error: &BeneathError) -> Refusal {
    let reason = if error.is_disk_full() { ReasonCode::DiskFull } else { ReasonCode::LocalFault };
    Refusal::new(reason, format!("the slot cannot be built: {}", with_causes(error)))
}

pub(super) fn refusal_of_file(what: &str, error: &io::Error) -> Refusal {
    Refusal::new(
        if disk::is_full(error) { ReasonCode::DiskFull } else { ReasonCode::LocalFault },
        format!("{what}: {error}"),
    )
}
