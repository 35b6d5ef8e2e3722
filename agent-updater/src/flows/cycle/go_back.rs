//! A rollback that the site asks for: its bounds, with what the vendor says today.

use sealpost_files::with_causes;
use sealpost_manifests::assignment::PackageAssignment;
use sealpost_manifests::trust::TrustDocument;
use sealpost_manifests::wire::report::ReasonCode;

use crate::domain::record::Installed;
use crate::domain::release::Refusal;
use crate::domain::rollback::judge_rollback;
use crate::download::{VendorMetadata, interrupted};
use crate::flows::context::Context;
use crate::records::manifests;

use super::counters::record_after_reset;

/// The kept release that is gone back to, if its bounds let it.
///
/// # Errors
/// [`Refusal`].
pub(super) fn judge(
    context: &Context,
    wanted: &PackageAssignment,
    trust: &TrustDocument,
    metadata: &VendorMetadata,
) -> Result<Installed, Refusal> {
    let package = &wanted.release.package;
    let channels = context.network.wait(metadata.channels(package)).map_err(interrupted)??;
    let record = record_after_reset(&context.host, package, trust)?;
    let to = judge_rollback(wanted, &record, &channels)?;
    manifests::read_and_verify(&context.host.home, &to, trust).map_err(|error| {
        let detail = format!("the manifest that was kept does not hold: {}", with_causes(&error));
        Refusal::new(ReasonCode::ManifestInvalid, detail)
    })?;
    Ok(to)
}
