//! The record of a package, made again from the manifests that were kept and from the link.

use sealpost_files::with_causes;
use sealpost_manifests::ids::PackageName;
use sealpost_manifests::trust::TrustDocument;

use crate::domain::record::{PackageRecord, SlotId};
use crate::flows::context::Host;
use crate::platform::store::StoreError;
use crate::records::{manifests, packages};
use crate::slots::{Current, Slots};

/// The record of a package. One that is damaged is put aside, and made again as far as signed manifests lead; what was
/// given up is forgotten by that, and no release below a kept one is installed.
///
/// # Errors
/// [`StoreError`].
pub(super) fn load_or_make(
    host: &Host,
    package: &PackageName,
    trust: Option<&TrustDocument>,
    lines: &mut Vec<String>,
) -> Result<PackageRecord, StoreError> {
    let error = match packages::load(&host.home, package) {
        Err(error @ (StoreError::Damaged { .. } | StoreError::Foreign { .. })) => error,
        other => return other,
    };
    tracing::warn!(%package, error = with_causes(&error), "the record is made again");
    let record = made_again(host, package, trust);
    packages::replace_damaged(&host.home, package, &record)?;
    let known = record.current.as_ref().map_or("nothing".to_owned(), |current| current.release.to_string());
    lines.push(format!("the record of {package} was damaged and is made again; installed: {known}"));
    Ok(record)
}

fn made_again(host: &Host, package: &PackageName, trust: Option<&TrustDocument>) -> PackageRecord {
    let mut kept = trust.map(|trust| manifests::kept(&host.home, package, trust)).unwrap_or_default();
    let counter_floor = kept.first().map(|highest| highest.counter);
    let slots = Slots::find(&host.settings.install_root, package).ok().flatten();
    let linked = slots.as_ref().and_then(|slots| match slots.find_current() {
        Ok(Current::Slot(slot)) => Some(slot),
        _ => None,
    });
    let at = kept.iter().position(|installed| linked.as_ref() == Some(&installed.slot)).unwrap_or(0);
    let current = (at < kept.len()).then(|| kept.remove(at));
    let is_there = |slot: &SlotId| slots.as_ref().is_some_and(|slots| slots.has(slot).unwrap_or(false));
    let previous = kept.into_iter().find(|installed| is_there(&installed.slot));
    PackageRecord { current, previous, counter_floor, ..PackageRecord::default() }
}
