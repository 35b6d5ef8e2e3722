//! The release counters of this computer: what is installed, the floor of a package, and the vendor's resets of it.

use std::collections::BTreeMap;

use sealpost_files::with_causes;
use sealpost_manifests::ids::PackageName;
use sealpost_manifests::trust::TrustDocument;
use sealpost_manifests::version::ReleaseCounter;
use sealpost_manifests::wire::report::ReasonCode;

use crate::domain::record::PackageRecord;
use crate::domain::release::Refusal;
use crate::flows::context::Host;
use crate::flows::linked;
use crate::platform::store::StoreError;
use crate::records::packages;

/// The record of a package, after the vendor's newest counter reset, which is applied once and kept.
///
/// # Errors
/// [`Refusal`] when the record cannot be used.
pub(super) fn record_after_reset(
    host: &Host,
    package: &PackageName,
    trust: &TrustDocument,
) -> Result<PackageRecord, Refusal> {
    let local = |error: &StoreError| Refusal::new(ReasonCode::LocalFault, with_causes(error));
    let record = linked::load(host, package).map_err(|error| local(&error))?;
    let Some(lowered) = trust.counter_reset(package).and_then(|reset| record.after_reset(reset)) else {
        return Ok(record);
    };
    packages::save(&host.home, package, &lowered).map_err(|error| local(&error))?;
    tracing::warn!(%package, number = lowered.counter_reset, "the vendor reset the release counter");
    Ok(lowered)
}

/// The counter of every installed package. One whose record is damaged counts as not installed.
///
/// # Errors
/// [`Refusal`] when the records cannot be listed.
pub(super) fn installed(host: &Host) -> Result<BTreeMap<PackageName, ReleaseCounter>, Refusal> {
    let records =
        linked::load_all(host).map_err(|error| Refusal::new(ReasonCode::LocalFault, with_causes(&error)))?;
    let current = records.into_iter().filter_map(|(name, record)| Some((name, record.ok()?.current?)));
    Ok(current.map(|(name, current)| (name, current.counter)).collect())
}
