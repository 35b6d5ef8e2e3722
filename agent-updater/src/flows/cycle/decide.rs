//! What to do about one assigned package now, given its record.

use sealpost_manifests::assignment::PackageAssignment;
use sealpost_manifests::ids::Platform;

use crate::domain::policy::{Decision, Situation, decide};
use crate::flows::context::Host;
use crate::flows::linked;
use crate::flows::self_update::begin::unless_on_trial;
use crate::platform::store::StoreError;
use crate::records::holdings::Holdings;
use crate::records::progress::Progress;

/// Decides by the package's record on disk.
///
/// # Errors
/// [`StoreError`] when the record of the package cannot be used.
pub(in crate::flows) fn decision(
    host: &Host,
    wanted: &PackageAssignment,
    holdings: &Holdings,
    progress: &Progress,
) -> Result<Decision, StoreError> {
    let package = &wanted.release.package;
    let record = linked::load(host, package)?;
    let now = progress.license_time(host.now());
    let put_off = progress.computer.put_off(wanted, now);
    let situation = Situation {
        installed: record.current.as_ref().map(|installed| &installed.manifest),
        given_up: &record.given_up,
        put_off: &put_off,
        failing: progress.computer.failing.get(package),
        prepared: record.prepared.as_ref().map(|prepared| &prepared.manifest),
        entitlement: holdings.entitlement(package, now),
        coverage: holdings.coverage(package),
        platform: &Platform::current(),
        now,
    };
    Ok(unless_on_trial(host, package, decide(wanted, &situation)))
}
