//! The records of packages as the links `current` have them: where a record and a link differ, the link is the truth.
//!
//! Invariant: a link is followed only to a slot that is there and whose kept manifest verifies with the keys that are trusted
//! today. What it names beyond that is nobody's release: the record stays, and the difference is the drift `link`.
//! Left out on purpose: the agent's own package (its trials have a record of their own), and a package whose change is not
//! finished (the change ends it).

use std::collections::BTreeMap;

use sealpost_files::with_causes;
use sealpost_manifests::document;
use sealpost_manifests::ids::PackageName;
use sealpost_manifests::trust::TrustDocument;

use crate::domain::record::{Change, Installed, PackageRecord};
use crate::journal::Journal;
use crate::platform::store::StoreError;
use crate::records::vendor::VendorRecord;
use crate::records::{manifests, packages};
use crate::slots::{Current, Slots};

use super::context::Host;

/// The vendor's keys as this computer verified them last; `None` if there are none that can be read.
pub(super) fn trust(host: &Host) -> Option<TrustDocument> {
    let vendor = VendorRecord::load(&host.home).ok().flatten()?;
    document::read(vendor.trust.as_bytes()).ok()
}

/// The record of a package; empty for one that was never installed.
///
/// # Errors
/// [`StoreError`], also when it is damaged.
pub(super) fn load(host: &Host, package: &PackageName) -> Result<PackageRecord, StoreError> {
    Ok(followed(host, package, packages::load(&host.home, package)?, open_change(host).as_ref()))
}

/// The records of all packages; a damaged one is an error of that package only.
///
/// # Errors
/// [`StoreError`] when the folder cannot be listed.
pub(super) fn load_all(
    host: &Host,
) -> Result<BTreeMap<PackageName, Result<PackageRecord, StoreError>>, StoreError> {
    let open = open_change(host);
    let records = packages::load_all(&host.home)?.into_iter().map(|(package, record)| {
        let record = record.map(|record| followed(host, &package, record, open.as_ref()));
        (package, record)
    });
    Ok(records.collect())
}

/// Writes what the links say into the records. One that cannot be written now is followed all the same by whoever reads it
/// here, and written by the next cycle.
pub(super) fn keep(host: &Host) {
    let open = open_change(host);
    for (package, record) in packages::load_all(&host.home).unwrap_or_default() {
        let Ok(record) = record else { continue };
        let followed = followed(host, &package, record.clone(), open.as_ref());
        if followed == record {
            continue;
        }
        let names = |record: &PackageRecord| {
            record.current.as_ref().map_or("nothing".to_owned(), |current| current.release.to_string())
        };
        tracing::warn!(
            %package,
            recorded = names(&record),
            runs = names(&followed),
            "the record follows the link `current`, which names another release"
        );
        if let Err(error) = packages::save(&host.home, &package, &followed) {
            tracing::error!(%package, error = with_causes(&error), "the record cannot be written yet");
        }
    }
}

/// Who may not read the journal sees the packages without it.
fn open_change(host: &Host) -> Option<Change> {
    Journal::of(&host.home, &*host.faults).open_change().ok().flatten()
}

fn followed(
    host: &Host,
    package: &PackageName,
    record: PackageRecord,
    open: Option<&Change>,
) -> PackageRecord {
    if package.is_agent() || open.is_some_and(|change| change.to.release.package == *package) {
        return record;
    }
    let Ok(Some(slots)) = Slots::find(&host.settings.install_root, package) else { return record };
    let Ok(Current::Slot(linked)) = slots.find_current() else { return record };
    if record.current.as_ref().is_some_and(|current| current.slot == linked) {
        return record;
    }
    let is_there = |one: &Installed| slots.has(&one.slot).unwrap_or(false);
    let known = trust(host).map(|trust| manifests::kept(&host.home, package, &trust)).unwrap_or_default();
    match known.into_iter().find(|one| one.slot == linked).filter(is_there) {
        Some(linked) => record.following(&linked, is_there),
        None => record,
    }
}
