//! What to do about one assigned package now, given its record.

use sealpost_manifests::assignment::PackageAssignment;
use sealpost_manifests::ids::Platform;
use sealpost_manifests::lease::Lease;

use crate::domain::policy::{Decision, decide};
use crate::flows::context::Host;
use crate::platform::store::StoreError;
use crate::records::packages;
use crate::records::progress::Progress;

/// Decides by the package's record on disk.
///
/// # Errors
/// [`StoreError`] when the record of the package cannot be used.
pub(super) fn decision(
    host: &Host,
    wanted: &PackageAssignment,
    lease: &Lease,
    progress: &Progress,
) -> Result<Decision, StoreError> {
    let record = packages::load(&host.home, &wanted.release.package)?;
    let installed = record.current.as_ref().map(|installed| &installed.manifest);
    let now = progress.license_time(host.now());
    Ok(decide(wanted, installed, &record.given_up, lease, &Platform::current(), now))
}
