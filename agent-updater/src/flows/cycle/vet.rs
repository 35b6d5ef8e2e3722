//! Fetching and vetting the manifest of an assigned release.

use std::collections::BTreeMap;

use sealpost_files::with_causes;
use sealpost_manifests::assignment::PackageAssignment;
use sealpost_manifests::ids::{PackageName, Platform};
use sealpost_manifests::release::Encoding;
use sealpost_manifests::trust::TrustDocument;
use sealpost_manifests::version::ReleaseCounter;
use sealpost_manifests::wire::report::ReasonCode;
use sealpost_repository::TargetInfo;

use crate::domain::release::{Expectation, Refusal};
use crate::download::{VendorMetadata, interrupted};
use crate::flows::context::Context;
use crate::flows::install::VettedRelease;
use crate::platform::store::StoreError;
use crate::records::packages;

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
    let channels = network.wait(metadata.channels(package)).map_err(interrupted)??;
    let (bytes, minisig) = network.wait(metadata.manifest(&wanted.release)).map_err(interrupted)??;
    let (counter_floor, installed) = counters(context, package)?;
    let expected = Expectation {
        wanted,
        platform: &Platform::current(),
        counter_floor,
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

/// The counter floor of a package, and the counter of every installed package.
fn counters(
    context: &Context,
    package: &PackageName,
) -> Result<(Option<ReleaseCounter>, BTreeMap<PackageName, ReleaseCounter>), Refusal> {
    let local = |error: &StoreError| Refusal::new(ReasonCode::LocalFault, with_causes(error));
    let mut installed = BTreeMap::new();
    let mut counter_floor = None;
    for (name, record) in packages::load_all(&context.host.home).map_err(|error| local(&error))? {
        let record = match record {
            Ok(record) => record,
            Err(error) if name == *package => return Err(local(&error)),
            Err(_) => continue,
        };
        if name == *package {
            counter_floor = record.counter_floor;
        }
        installed.extend(record.current.map(|current| (name, current.counter)));
    }
    Ok((counter_floor, installed))
}
