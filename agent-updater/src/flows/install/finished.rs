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

/// Gives the slot its name, and digests its files.
pub(super) fn finish(
    builder: SlotBuilder<'_>,
    change: &Change,
    slots: &Slots,
    manifest: &ReleaseManifest,
) -> Result<(), Refusal> {
    if change.kind == ChangeKind::Repair {
        builder.finish_beside().map_err(|error| refusal_of_slot(&error))?;
        return slots.check_beside(&change.to.slot, manifest).map_err(|error| {
            let detail = format!("what was built is not what was signed: {}", with_causes(&error));
            Refusal::new(ReasonCode::PayloadInvalid, detail)
        });
    }
    builder.finish().map_err(|error| refusal_of_slot(&error))?;
    let checked = slots.check(&change.to.slot, manifest);
    if let Err(error) = checked {
        slots.remove(&change.to.slot).map_err(|error| refusal_of_slot(&error))?;
        let detail = format!("what was built is not what was signed: {}", with_causes(&error));
        return Err(Refusal::new(ReasonCode::PayloadInvalid, detail));
    }
    Ok(())
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
