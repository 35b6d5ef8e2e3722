//! The first part of a pull: the vendor's documents. Metadata, trust and channels are fetched, verified and judged.
//!
//! Invariant: nothing but blobs is written here, and nothing names those yet; so a pull that fails here leaves the
//! mirror, staging and the ledger as they were. Documents need no room to speak of: on a full disk they are read without
//! being stored, so that what the vendor withdrew is withdrawn here all the same.
//! A repository that lies (rolled back, mixed, under-signed, other bytes than listed) fails the pull. Payloads come
//! later, in `payloads`.

use jiff::Timestamp;
use sealpost_manifests::channels::ChannelsDocument;
use sealpost_manifests::document;
use sealpost_manifests::ids::{PackageName, TargetName};
use sealpost_manifests::trust::{TRUST_TARGET, TrustDocument};
use sealpost_repository::{MirroredFile, ReaderHandle, TargetError, TargetInfo};

use super::candidates::{Candidate, Withdrawal, candidates_of, newly_withdrawn, without_channel};
use super::context::Context;
use super::error::PullError;
use super::fetch::Fetcher;
use super::known::known_releases;
use super::targets::{Listed, TargetIndex};
use super::vendor_deltas::{self, ListedDelta};

/// What the vendor's documents say.
pub(super) struct Documents {
    /// The metadata files of the new mirror generation.
    pub(super) files: Vec<MirroredFile>,
    pub(super) index: TargetIndex,
    pub(super) trust: TrustDocument,
    /// The listing of the trust document.
    pub(super) trust_info: TargetInfo,
    /// The newest time at which the vendor wrote a document that was read.
    pub(super) signed_at: Timestamp,
    pub(super) withdrawn: Vec<Withdrawal>,
    /// Releases to which channels point.
    pub(super) candidates: Vec<Candidate>,
    /// Known releases that are listed, and to which no channel points.
    pub(super) others: Vec<Candidate>,
    /// Every delta that is listed.
    pub(super) deltas: Vec<ListedDelta>,
}

/// Fetches and judges what the refreshed metadata says, without any payload.
pub(super) async fn documents(context: &Context, fetcher: &Fetcher<'_>) -> Result<Documents, PullError> {
    let (reader, now) = (fetcher.reader, fetcher.now);
    let files = reader.all_roles(now).await.map_err(|source| PullError::Roles { source })?;
    let known = known_releases(&context.ledger).await?;
    let trust_info = listed(reader, &TargetName::new(TRUST_TARGET)?, now).await?;
    let trust = trust_document(fetcher, &trust_info).await?;
    let mut index = TargetIndex::default();
    index.add_trust(&Listed::of(&trust_info));

    let (mut withdrawn, mut candidates, mut others) = (Vec::new(), Vec::new(), Vec::new());
    let mut signed_at = trust.signed_at;
    let mut deltas = Vec::new();
    for package in reader.packages().await? {
        let targets =
            reader.package_targets(&package, now).await.map_err(|source| PullError::Roles { source })?;
        let listed: Vec<Listed> = targets.iter().map(Listed::of).collect();
        index.add_package(&package, &listed);
        deltas.extend(vendor_deltas::among(&package, &targets));
        let name = ChannelsDocument::target(&package)?;
        // A package that was announced and has no release yet.
        let Some(info) = targets.iter().find(|target| *target.name() == name) else { continue };
        let channels = channels(fetcher, &package, info).await?;
        signed_at = signed_at.max(channels.signed_at);
        withdrawn.extend(newly_withdrawn(&channels, known.of(&package)));
        let pointed = candidates_of(&channels, &targets)?;
        others.extend(without_channel(known.of(&package), &pointed, &targets)?);
        candidates.extend(pointed);
    }
    Ok(Documents { files, index, trust, trust_info, signed_at, withdrawn, candidates, others, deltas })
}

async fn listed(reader: &ReaderHandle, name: &TargetName, now: Timestamp) -> Result<TargetInfo, PullError> {
    let failed = |source| PullError::Target { name: name.to_string(), source: Box::new(source) };
    let found = reader.target(name, now).await.map_err(failed)?;
    found.ok_or_else(|| failed(TargetError::NotListed { name: name.to_string() }))
}

async fn trust_document(fetcher: &Fetcher<'_>, info: &TargetInfo) -> Result<TrustDocument, PullError> {
    let bytes = fetcher.document(info).await?;
    document::read(&bytes).map_err(|source| PullError::Document { name: TRUST_TARGET.to_owned(), source })
}

async fn channels(
    fetcher: &Fetcher<'_>,
    package: &PackageName,
    info: &TargetInfo,
) -> Result<ChannelsDocument, PullError> {
    let name = || info.name().to_string();
    let bytes = fetcher.document(info).await?;
    let channels: ChannelsDocument =
        document::read(&bytes).map_err(|source| PullError::Document { name: name(), source })?;
    if channels.package != *package {
        return Err(PullError::OtherPackage { name: name(), found: channels.package });
    }
    Ok(channels)
}
