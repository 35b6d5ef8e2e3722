//! What was released, for people: each release with its counter, its channels, and whether it still counts.

use jiff::Timestamp;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::{ChannelName, PackageName};
use sealpost_manifests::release::{Encoding, PackageKind, ReleaseId, ReleaseManifest, Severity};
use sealpost_manifests::version::{ReleaseCounter, Version};
use serde::Serialize;

use super::error::ReleaseError;
use crate::home::Vendor;
use crate::publication::PublicationView;

/// A release as it is published now.
#[derive(Debug, Clone, Serialize)]
pub struct ReleaseEntry {
    #[serde(flatten)]
    pub release: ReleaseId,
    pub kind: PackageKind,
    pub counter: ReleaseCounter,
    pub severity: Severity,
    pub built_at: Timestamp,
    /// The digest of its manifest: what an admin approves.
    pub manifest_sha256: Sha256Digest,
    /// Bytes of its payload, as it is fetched.
    pub payload_bytes: u64,
    /// The channels that point at its version.
    pub channels: Vec<ChannelName>,
    /// Why it was withdrawn, if it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub withdrawn: Option<String>,
    /// Whether a key that still counts signed it; sites refuse it otherwise.
    pub trusted: bool,
    /// Whether its counter is below the package's minimum, so that nobody installs it.
    pub below_minimum: bool,
    /// Everything that was signed about it.
    #[serde(skip)]
    pub manifest: ReleaseManifest,
}

/// Every release of these packages, or of all if none is named; the newest of each package first.
///
/// # Errors
/// [`ReleaseError`], also for a package that there is not.
pub fn list_releases(vendor: &Vendor, packages: &[PackageName]) -> Result<Vec<ReleaseEntry>, ReleaseError> {
    let publication = PublicationView::read(vendor)?;
    if let Some(package) = packages.iter().find(|package| !publication.knows(package)) {
        return Err(ReleaseError::NoSuchPackage { package: package.clone() });
    }
    let all: Vec<PackageName> = publication.editor().packages().cloned().collect();
    let trust = publication.trust()?;
    let mut entries = Vec::new();
    for package in if packages.is_empty() { &all } else { packages } {
        let channels = publication.channels(package)?;
        for published in publication.releases(package, &trust)?.into_iter().rev() {
            let (trusted, manifest_sha256) = (published.is_trusted(), published.digest);
            let manifest = published.manifest.into_inner();
            let release = manifest.release.clone();
            entries.push(ReleaseEntry {
                kind: manifest.kind,
                counter: manifest.counter,
                severity: manifest.severity,
                built_at: manifest.built_at,
                manifest_sha256,
                payload_bytes: manifest.payload.encoding(Encoding::Gzip).map_or(0, |blob| blob.length),
                channels: channels.channels_of(&release.version).cloned().collect(),
                withdrawn: channels.withdrawn_reason(&release).map(str::to_owned),
                trusted,
                below_minimum: channels.is_below_minimum(manifest.counter),
                release,
                manifest,
            });
        }
    }
    Ok(entries)
}

/// The releases of one version, one for each platform.
///
/// # Errors
/// [`ReleaseError`], also if it was not released.
pub fn show_release(
    vendor: &Vendor,
    package: &PackageName,
    version: &Version,
) -> Result<Vec<ReleaseEntry>, ReleaseError> {
    let mut entries = list_releases(vendor, std::slice::from_ref(package))?;
    entries.retain(|entry| entry.release.version == *version);
    if entries.is_empty() {
        return Err(ReleaseError::NoSuchVersion { package: package.clone(), version: version.clone() });
    }
    Ok(entries)
}
