//! The record of each package: what is installed, what was there before, what was given up.

use std::collections::BTreeMap;

use sealpost_files::PUBLIC;
use sealpost_manifests::ids::PackageName;

use crate::domain::record::PackageRecord;
use crate::home::Home;
use crate::platform::store::{self, StoreError};

/// The record of a package; empty for one that was never installed.
///
/// # Errors
/// [`StoreError`], also when it is damaged.
pub fn load(home: &Home, package: &PackageName) -> Result<PackageRecord, StoreError> {
    Ok(store::load(&home.package_record(package))?.unwrap_or_default())
}

/// Writes the record of a package; durable at return.
///
/// # Errors
/// [`StoreError`].
pub fn save(home: &Home, package: &PackageName, record: &PackageRecord) -> Result<(), StoreError> {
    store::save_of_change(&home.package_record(package), record, PUBLIC)
}

/// Writes the record of a package in the place of one that is damaged, which is kept under another name.
///
/// # Errors
/// [`StoreError`].
pub fn replace_damaged(home: &Home, package: &PackageName, record: &PackageRecord) -> Result<(), StoreError> {
    store::replace_damaged(&home.package_record(package), record, PUBLIC)
}

/// The records of all packages; a damaged one is an error of that package only.
///
/// # Errors
/// [`StoreError`] when the folder cannot be listed.
pub fn load_all(home: &Home) -> Result<BTreeMap<PackageName, Result<PackageRecord, StoreError>>, StoreError> {
    let mut records = BTreeMap::new();
    for name in store::names(&home.package_records())? {
        let Ok(package) = PackageName::new(&name) else { continue };
        let loaded = load(home, &package);
        records.insert(package, loaded);
    }
    Ok(records)
}
