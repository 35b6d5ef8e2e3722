//! The first half of a pull: everything is fetched, verified and judged, before anything that others see is changed.
//!
//! Invariant: nothing but blobs is written here, and nothing names those yet; so a pull that fails here leaves the
//! mirror, staging and the ledger as they were.
//! A repository that lies (rolled back, mixed, under-signed, other bytes than listed) fails the pull. A release that
//! is listed truthfully but is not sound is refused alone.

use std::sync::Arc;

use jiff::Timestamp;
use sealpost_manifests::channels::ChannelsDocument;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::document;
use sealpost_manifests::ids::{ChannelName, PackageName, TargetName};
use sealpost_manifests::release::ReleaseId;
use sealpost_manifests::trust::{TRUST_TARGET, TrustDocument};
use sealpost_repository::{MirroredFile, ReaderHandle, TargetError, TargetInfo};

use super::candidates::{Candidate, Withdrawal, adds_a_channel, candidates_of, newly_withdrawn};
use super::context::{Context, Trigger};
use super::error::PullError;
use super::fetch::{self, Fetcher, blocking};
use super::known::known_releases;
use super::targets::{Listed, TargetIndex};
use super::verify::{Expected, accept, attached, backwards};
use crate::ports::staging::FetchedRelease;
use sealpost_site::rules::release::KnownRelease;
use sealpost_site::rules::release::ReleaseState;

/// What a pull is going to change: the input of its second half.
pub(super) struct Prepared {
    /// The metadata files of the new mirror generation.
    pub(super) files: Vec<MirroredFile>,
    pub(super) index: TargetIndex,
    pub(super) trust: TrustDocument,
    /// The newest time at which the vendor wrote a document that was read.
    pub(super) signed_at: Timestamp,
    /// Sound releases to stage, lowest counter first.
    pub(super) fetched: Vec<FetchedRelease>,
    pub(super) refused: Vec<Refused>,
    /// Releases that claim the manifest of another one: refused, and not recorded.
    pub(super) misnamed: Vec<Refused>,
    pub(super) withdrawn: Vec<Withdrawal>,
    /// Known releases to which further channels point.
    pub(super) moved: Vec<(Sha256Digest, Vec<ChannelName>)>,
}

/// A release that is not sound.
pub(super) struct Refused {
    pub(super) release: ReleaseId,
    pub(super) manifest: Sha256Digest,
    pub(super) problems: Vec<String>,
}

/// Fetches and judges what the refreshed metadata lists.
pub(super) async fn prepare(
    context: &Context,
    fetcher: &mut Fetcher<'_>,
    trigger: Trigger,
) -> Result<Prepared, PullError> {
    let (reader, now) = (fetcher.reader, fetcher.now);
    let files = reader.all_roles(now).await.map_err(|source| PullError::Roles { source })?;
    let known = known_releases(&context.ledger).await?;
    let trust_info = listed(reader, &TargetName::new(TRUST_TARGET)?, now).await?;
    let trust = trust_document(fetcher, &trust_info).await?;
    let mut index = TargetIndex::default();
    index.add_trust(&Listed::of(&trust_info));
    let trust_is_new =
        context.mirror.target_named(TRUST_TARGET).is_none_or(|old| old.sha256 != trust_info.sha256());

    let (mut withdrawn, mut candidates) = (Vec::new(), Vec::new());
    let mut signed_at = trust.signed_at;
    for package in reader.packages().await? {
        let targets =
            reader.package_targets(&package, now).await.map_err(|source| PullError::Roles { source })?;
        let listed: Vec<Listed> = targets.iter().map(Listed::of).collect();
        index.add_package(&package, &listed);
        let name = ChannelsDocument::target(&package)?;
        // A package that was announced and has no release yet.
        let Some(info) = targets.iter().find(|target| *target.name() == name) else { continue };
        let channels = channels(fetcher, &package, info).await?;
        signed_at = signed_at.max(channels.signed_at);
        withdrawn.extend(newly_withdrawn(&channels, known.of(&package)));
        candidates.extend(candidates_of(&channels, &targets)?);
    }

    let (mut fetched, mut refused, mut moved) = (Vec::new(), Vec::new(), Vec::new());
    let mut misnamed = Vec::new();
    let look_again_at_refused = trust_is_new || trigger == Trigger::Person;
    for candidate in candidates {
        let manifest = candidate.manifest.sha256();
        if let Some(known) = known.known_otherwise(&manifest, &candidate.release) {
            // The ledger has one release per manifest, so nothing is recorded: the known one stays as it is.
            let problems =
                vec![format!("its manifest is that of {known}; a release has a manifest of its own")];
            tracing::warn!(release = %candidate.release, ?problems, "a release is refused");
            misnamed.push(Refused { release: candidate.release, manifest, problems });
            continue;
        }
        let of_package = known.of(&candidate.release.package);
        let before = of_package.iter().find(|known| known.manifest == manifest);
        match before.map(|known| (known.state, known)) {
            Some((ReleaseState::Withdrawn, _)) => {}
            Some((ReleaseState::Refused, _)) if !look_again_at_refused => {}
            None | Some((ReleaseState::Refused, _)) => {
                match examine(fetcher, &trust, &candidate, of_package).await? {
                    Ok(release) => fetched.push(release),
                    Err(problems) => {
                        tracing::warn!(release = %candidate.release, ?problems, "a release is refused");
                        refused.push(Refused { release: candidate.release, manifest, problems });
                    }
                }
            }
            Some((_, known)) => {
                refetch(fetcher, &candidate).await?;
                if adds_a_channel(known, &candidate.channels) {
                    moved.push((manifest, candidate.channels));
                }
            }
        }
    }
    fetched.sort_by_key(|release| release.manifest.counter);
    Ok(Prepared { files, index, trust, signed_at, fetched, refused, misnamed, withdrawn, moved })
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

/// Verifies a release that is new here or was refused before, and fetches its payload. The inner error: every problem
/// of the release.
async fn examine(
    fetcher: &mut Fetcher<'_>,
    trust: &TrustDocument,
    candidate: &Candidate,
    known: &[KnownRelease],
) -> Result<Result<FetchedRelease, Vec<String>>, PullError> {
    let digest = candidate.manifest.sha256();
    let Some(minisig) = &candidate.minisig else {
        return Ok(Err(vec!["the vendor's metadata lists no signature for its manifest".to_owned()]));
    };
    let manifest_bytes = candidate.manifest.length();
    if manifest_bytes > fetch::MAX_DOCUMENT_BYTES {
        return Ok(Err(vec![format!("its manifest has {manifest_bytes} bytes, more than any manifest")]));
    }
    fetcher.make_room(&candidate.manifest, manifest_bytes).await?;
    let manifest = fetcher.document(&candidate.manifest).await?;
    let minisig = fetcher.document(minisig).await?;
    let expected = Expected {
        release: &candidate.release,
        payload: candidate.payload.as_ref().map(fetch::blob_of),
        release_keys: &trust.release_keys(&candidate.release.package, digest),
        max_payload_bytes: fetcher.limits.max_payload_bytes,
    };
    let accepted = match accept(manifest, &minisig, &expected) {
        Ok(accepted) => accepted,
        Err(problems) => return Ok(Err(problems)),
    };
    if let Some(problem) = backwards(&accepted.manifest, &digest, &candidate.channels, known) {
        return Ok(Err(vec![problem]));
    }
    let attachments = match attached(&accepted.manifest, &candidate.attachments) {
        Ok(attachments) => attachments,
        Err(problems) => return Ok(Err(problems)),
    };
    if let Some(payload) = &candidate.payload {
        fetcher.payload(payload, accepted.manifest.payload.tar.length).await?;
    }
    for attachment in attachments {
        fetcher.payload(attachment, 0).await?;
    }
    Ok(Ok(FetchedRelease {
        manifest: accepted.manifest,
        digest,
        signer: accepted.signer,
        channels: candidate.channels.clone(),
    }))
}

/// Fetches again what a known release has lost, for example after a damaged disk.
async fn refetch(fetcher: &mut Fetcher<'_>, candidate: &Candidate) -> Result<(), PullError> {
    let digests: Vec<Sha256Digest> = candidate.parts().map(TargetInfo::sha256).collect();
    let blobs = Arc::clone(fetcher.blobs);
    if blocking(move || fetch::all_there(&*blobs, &digests)).await?? {
        return Ok(());
    }
    for document in [Some(&candidate.manifest), candidate.minisig.as_ref()].into_iter().flatten() {
        fetcher.document(document).await?;
    }
    for target in candidate.payload.iter().chain(&candidate.attachments) {
        fetcher.payload(target, 0).await?;
    }
    Ok(())
}
