//! Fetching and vetting the manifest of an assigned release.

use sealpost_manifests::assignment::PackageAssignment;
use sealpost_manifests::ids::Platform;
use sealpost_manifests::release::Encoding;
use sealpost_manifests::trust::TrustDocument;
use sealpost_manifests::wire::report::ReasonCode;
use sealpost_repository::TargetInfo;

use crate::domain::release::{Expectation, Refusal};
use crate::download::{VendorMetadata, interrupted};
use crate::flows::context::Context;
use crate::flows::install::VettedRelease;

use super::counters::{installed, record_after_reset};

/// The vetted release, and its payload as the metadata lists it.
///
/// # Errors
/// [`Refusal`].
pub(super) fn vet(
    context: &Context,
    wanted: &PackageAssignment,
    trust: &TrustDocument,
    metadata: &VendorMetadata,
) -> Result<(VettedRelease, TargetInfo), Refusal> {
    let network = &context.network;
    let package = &wanted.release.package;
    metadata.begin_release();
    let channels = network.wait(metadata.channels(package)).map_err(interrupted)??;
    let (bytes, minisig) = network.wait(metadata.manifest(&wanted.release)).map_err(interrupted)??;
    let record = record_after_reset(&context.host, package, trust)?;
    let is_installed = record.current.as_ref().is_some_and(|current| current.manifest == wanted.manifest);
    let installed = installed(&context.host)?;
    let expected = Expectation {
        wanted,
        platform: &Platform::current(),
        // What is installed already may be built again, also after a rollback below the floor.
        counter_floor: record.counter_floor.filter(|_| !is_installed),
        installed: &installed,
        channels: &channels,
    };
    let vetted = VettedRelease::verify(bytes, minisig, trust, &expected)?;
    let target = network.wait(metadata.payload(&wanted.release)).map_err(interrupted)??;
    let is_listed = vetted
        .manifest()
        .payload
        .encoding(Encoding::Gzip)
        .is_some_and(|blob| blob.sha256 == target.sha256() && blob.length == target.length());
    if is_listed {
        return Ok((vetted, target));
    }
    let detail =
        format!("manifest and metadata name different payloads of {}; ask the vendor", wanted.release);
    Err(Refusal::new(ReasonCode::ManifestInvalid, detail))
}
