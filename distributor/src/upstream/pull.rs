//! One pull: metadata, documents, payloads; then the mirror, staging and the ledger.
//!
//! Order: everything is fetched and verified first. Only then the new mirror generation becomes current, so that a
//! release which can be approved is always in the metadata that agents read; then releases go to staging, then the
//! ledger notes the pull. Whatever fails before leaves mirror and ledger as they were, except for the note that it
//! failed. Killed anywhere, the next pull does the rest.
//!
//! A repository that lies (rolled back, mixed, under-signed, other bytes than listed) fails the pull. A release that
//! is listed truthfully but is not sound is refused alone, and its neighbors go on.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;
use sealpost_manifests::channels::ChannelsDocument;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::document::{self, DocumentError};
use sealpost_manifests::ids::{ChannelName, NameError, PackageName, TargetName};
use sealpost_manifests::release::{Encoding, ReleaseId};
use sealpost_manifests::trust::{TRUST_TARGET, TrustDocument};
use sealpost_repository::{
    DownloadError, Gone, MirrorError, MirroredFile, OpenError, ReaderHandle, RefreshError, Refreshed,
    Refusal, TargetError, TargetInfo,
};

use super::fetch::{self, Fetcher, blocking};
use super::mirror::PublishError;
use super::targets::{Listed, TargetIndex};
use super::verify::{Promise, accept, backwards};
use super::{Asked, Context};
use crate::ports::blobs::BlobError;
use crate::ports::ledger::{LedgerError, PulledVersions, ReleaseRow, ReleaseState, StagedRelease};
use crate::ports::staging::{FetchedRelease, StageOutcome, StagingError};
use crate::ports::upstream::{PullSummary, PulledOutcome, PulledRelease};

/// Why a pull failed. The mirror and the staged releases are as before.
#[derive(Debug, thiserror::Error)]
pub enum PullError {
    /// The metadata reader could not be opened.
    #[error("cannot open the metadata reader")]
    Open {
        /// Why.
        #[source]
        source: OpenError,
    },
    /// The vendor's metadata was refused.
    #[error("cannot take over the vendor's metadata")]
    Refresh {
        /// Why.
        #[source]
        source: RefreshError,
    },
    /// A role was refused.
    #[error("cannot take over the vendor's metadata")]
    Roles {
        /// Why.
        #[source]
        source: MirrorError,
    },
    /// A document could not be fetched.
    #[error("cannot fetch {name}")]
    Target {
        /// Its name.
        name: String,
        /// Why.
        #[source]
        source: Box<TargetError>,
    },
    /// A document that the vendor's metadata covers cannot be read.
    #[error("cannot use the vendor's {name}; ask the vendor")]
    Document {
        /// Its name.
        name: String,
        /// Why.
        #[source]
        source: DocumentError,
    },
    /// A document speaks for another package.
    #[error("the vendor's {name} is about {found}; ask the vendor")]
    OtherPackage {
        /// Its name.
        name: String,
        /// What it says.
        found: PackageName,
    },
    /// A name that cannot be one.
    #[error("cannot name a target of the vendor")]
    Name {
        /// Why.
        #[from]
        source: NameError,
    },
    /// A payload could not be fetched.
    #[error("cannot fetch a payload")]
    Download {
        /// Why.
        #[source]
        source: DownloadError,
    },
    /// The disk is too full.
    #[error(
        "no room for {name}: {needed} bytes are needed, {free} are free and {keep} must stay free; make room, then \
         pull again"
    )]
    NoRoom {
        /// The payload's name.
        name: String,
        /// Bytes needed.
        needed: u64,
        /// Bytes free.
        free: u64,
        /// Bytes that must stay free.
        keep: u64,
    },
    /// The disk refused.
    #[error("cannot use {}; check the disk", path.display())]
    Disk {
        /// Which folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A blob could not be stored or read.
    #[error("cannot store what was fetched")]
    Blobs {
        /// Why.
        #[from]
        source: BlobError,
    },
    /// The mirror could not be written.
    #[error("cannot publish the mirrored metadata")]
    Publish {
        /// Why.
        #[from]
        source: PublishError,
    },
    /// Staging failed.
    #[error("cannot stage a release")]
    Staging {
        /// Why.
        #[from]
        source: StagingError,
    },
    /// The ledger failed or refused.
    #[error("cannot note the pull in the ledger")]
    Ledger {
        /// Why.
        #[from]
        source: LedgerError,
    },
    /// The reader's thread ended.
    #[error("cannot read the vendor's metadata")]
    Gone {
        /// Why.
        #[from]
        source: Gone,
    },
    /// A worker thread ended.
    #[error("a thread of the pull ended before its work; the log says why")]
    Ended,
}

impl PullError {
    /// Whether the record of trusted metadata has failed, so that the reader must be opened again.
    pub(super) fn needs_a_new_reader(&self) -> bool {
        matches!(self, Self::Gone { .. }) || self.refusal() == Some(Refusal::StoreFailed)
    }

    fn refusal(&self) -> Option<Refusal> {
        match self {
            Self::Refresh { source } => source.refusal(),
            Self::Roles { source } => source.refusal(),
            Self::Target { source, .. } => match &**source {
                TargetError::Refused { refusal, .. } => Some(*refusal),
                TargetError::Store { .. } => Some(Refusal::StoreFailed),
                _ => None,
            },
            Self::Download { source: DownloadError::Store { .. } } => Some(Refusal::StoreFailed),
            _ => None,
        }
    }

    /// What to do next.
    pub(super) fn hint(&self) -> &'static str {
        match (self.refusal(), self) {
            (Some(refusal), _) => refusal.hint(),
            (None, Self::Download { source: DownloadError::Interrupted { .. } }) => {
                "what came is kept; pull again to continue there"
            }
            (None, Self::Target { .. } | Self::Download { .. }) => "pull again later, then ask the vendor",
            (None, Self::Document { .. } | Self::OtherPackage { .. } | Self::Name { .. }) => "ask the vendor",
            _ => "correct what the message names, then pull again",
        }
    }
}

/// A release to which a channel points.
struct Candidate {
    release: ReleaseId,
    manifest: TargetInfo,
    minisig: Option<TargetInfo>,
    payload: Option<TargetInfo>,
    channels: Vec<ChannelName>,
}

/// Everything that a pull fetched and judged, before anything is changed.
struct Harvest {
    files: Vec<MirroredFile>,
    index: TargetIndex,
    trust: TrustDocument,
    fetched: Vec<FetchedRelease>,
    refused: Vec<(ReleaseId, Sha256Digest, Vec<String>)>,
    withdrawn: Vec<(ReleaseId, Sha256Digest, String)>,
    moved: Vec<StagedRelease>,
}

/// One pull from begin to end.
pub(super) async fn pull(
    context: &Context,
    reader: &ReaderHandle,
    asked: Asked,
) -> Result<PullSummary, PullError> {
    let now = context.clock.now();
    let refreshed = reader.refresh(now).await.map_err(|source| PullError::Refresh { source })?;
    let mut fetcher = Fetcher {
        reader,
        blobs: &context.blobs,
        downloads: &context.downloads,
        limits: &context.limits,
        now,
        fetched_bytes: 0,
        touched: std::collections::BTreeSet::new(),
    };
    let harvest = harvest(context, &mut fetcher, asked).await?;
    let fetched_bytes = fetcher.fetched_bytes;
    fetcher.sweep().await;
    take_over(context, harvest, refreshed, fetched_bytes, now).await
}

/// Fetches and judges; changes nothing but blobs, which nobody names yet.
async fn harvest(context: &Context, fetcher: &mut Fetcher<'_>, asked: Asked) -> Result<Harvest, PullError> {
    let (reader, now) = (fetcher.reader, fetcher.now);
    let files = reader.all_roles(now).await.map_err(|source| PullError::Roles { source })?;
    let known = context.ledger.releases().await?;
    let mut index = TargetIndex::default();
    let trust_info = listed(reader, &TargetName::new(TRUST_TARGET)?, now).await?;
    index.add_trust(&Listed::of(&trust_info));
    let trust_bytes = fetcher.document(&trust_info).await?;
    let trust: TrustDocument = document::read(&trust_bytes)
        .map_err(|source| PullError::Document { name: TRUST_TARGET.to_owned(), source })?;
    let trust_is_new =
        context.mirror.target_named(TRUST_TARGET).is_none_or(|old| old.sha256 != trust_info.sha256());
    let mut harvest =
        Harvest { files, index, trust, fetched: vec![], refused: vec![], withdrawn: vec![], moved: vec![] };
    let mut candidates = Vec::new();
    for package in reader.packages().await? {
        let targets =
            reader.package_targets(&package, now).await.map_err(|source| PullError::Roles { source })?;
        let listed: Vec<Listed> = targets.iter().map(Listed::of).collect();
        harvest.index.add_package(&package, &listed);
        let name = ChannelsDocument::target(&package)?;
        // A package that was announced and has no release yet.
        let Some(info) = targets.iter().find(|target| *target.name() == name) else { continue };
        let channels = channels(fetcher, &package, info).await?;
        harvest.withdrawn.extend(newly_withdrawn(&channels, &known));
        candidates.extend(candidates_of(&channels, &targets)?);
    }
    for candidate in candidates {
        let digest = candidate.manifest.sha256();
        let row = known.iter().find(|row| row.manifest == digest);
        let retry = trust_is_new || asked == Asked::ByPerson;
        match row.map(|row| row.state) {
            Some(ReleaseState::Withdrawn) => {}
            Some(ReleaseState::Refused) if !retry => {}
            None | Some(ReleaseState::Refused) => {
                examine(context, fetcher, &mut harvest, candidate, &known).await?;
            }
            Some(_) => {
                refetch(fetcher, &candidate).await?;
                harvest.moved.extend(row.and_then(|row| moved_channels(row, &candidate.channels)));
            }
        }
    }
    harvest.fetched.sort_by_key(|release| release.manifest.counter);
    Ok(harvest)
}

/// Changes what others see: mirror, staging, ledger, in this order.
async fn take_over(
    context: &Context,
    harvest: Harvest,
    refreshed: Refreshed,
    fetched_bytes: u64,
    now: Timestamp,
) -> Result<PullSummary, PullError> {
    let Harvest { files, index, trust, fetched, refused, withdrawn, moved } = harvest;
    let mirror = Arc::clone(&context.mirror);
    let changed = blocking(move || mirror.publish(&files, index, now)).await??;
    context.set_trust(trust);
    let mut releases = Vec::new();
    // First, so that a release which cannot be staged, for example for lack of room, holds up no withdrawal.
    for (release, manifest, reason) in withdrawn {
        context.ledger.withdraw(now, manifest, reason.clone()).await?;
        releases.push(PulledRelease { release, manifest, outcome: PulledOutcome::Withdrawn { reason } });
    }
    for (release, manifest, problems) in refused {
        context.ledger.refuse_release(now, release.clone(), manifest, problems.clone()).await?;
        releases.push(PulledRelease { release, manifest, outcome: PulledOutcome::Refused { problems } });
    }
    for release in fetched {
        let (id, manifest) = (release.manifest.release.clone(), release.digest);
        let outcome = match context.staging.take_in(release).await? {
            StageOutcome::Staged => PulledOutcome::Staged,
            StageOutcome::Refused { problems } => PulledOutcome::Refused { problems },
        };
        releases.push(PulledRelease { release: id, manifest, outcome });
    }
    for release in moved {
        context.ledger.stage(now, release).await?;
    }
    let versions = PulledVersions {
        root: refreshed.root_version,
        timestamp: refreshed.timestamp_version,
        snapshot: refreshed.snapshot_version,
    };
    context.ledger.pull_succeeded(now, versions).await?;
    Ok(PullSummary {
        metadata_as_of: now,
        metadata_expires: refreshed.expires,
        changed,
        root_version: versions.root,
        timestamp_version: versions.timestamp,
        snapshot_version: versions.snapshot,
        releases,
        fetched_bytes,
    })
}

async fn listed(reader: &ReaderHandle, name: &TargetName, now: Timestamp) -> Result<TargetInfo, PullError> {
    let failed = |source| PullError::Target { name: name.to_string(), source: Box::new(source) };
    let found = reader.target(name, now).await.map_err(failed)?;
    found.ok_or_else(|| failed(TargetError::NotListed { name: name.to_string() }))
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

/// The releases to which channels point, one per platform.
fn candidates_of(channels: &ChannelsDocument, targets: &[TargetInfo]) -> Result<Vec<Candidate>, PullError> {
    let find = |name: &TargetName| targets.iter().find(|target| target.name() == name).cloned();
    let mut candidates = Vec::new();
    for manifest in targets {
        let Some(release) = ReleaseId::from_manifest_target(manifest.name().as_str()) else { continue };
        let pointed: Vec<ChannelName> = channels.channels_of(&release.version).cloned().collect();
        let withdrawn = channels.withdrawn_reason(&release.version).is_some();
        if release.package != channels.package || pointed.is_empty() || withdrawn {
            continue;
        }
        candidates.push(Candidate {
            minisig: find(&release.minisig_target()?),
            payload: find(&release.payload_target(Encoding::Gzip)?),
            manifest: manifest.clone(),
            channels: pointed,
            release,
        });
    }
    for (channel, version) in &channels.channels {
        if !candidates.iter().any(|candidate| candidate.release.version == *version) {
            tracing::warn!(package = %channels.package, %channel, %version, "a channel points to no usable release");
        }
    }
    Ok(candidates)
}

/// A release that is new here, or was refused before: verified, and its payload fetched.
async fn examine(
    context: &Context,
    fetcher: &mut Fetcher<'_>,
    harvest: &mut Harvest,
    candidate: Candidate,
    known: &[ReleaseRow],
) -> Result<(), PullError> {
    let digest = candidate.manifest.sha256();
    let mut refuse = |problems: Vec<String>| {
        tracing::warn!(release = %candidate.release, ?problems, "a release is refused");
        harvest.refused.push((candidate.release.clone(), digest, problems));
    };
    let Some(minisig) = &candidate.minisig else {
        refuse(vec!["the vendor's metadata lists no signature for its manifest".to_owned()]);
        return Ok(());
    };
    if candidate.manifest.length() > fetch::MAX_DOCUMENT_BYTES {
        refuse(vec![format!(
            "its manifest has {} bytes, more than any manifest",
            candidate.manifest.length()
        )]);
        return Ok(());
    }
    fetcher.make_room(&candidate.manifest, candidate.manifest.length()).await?;
    let manifest = fetcher.document(&candidate.manifest).await?;
    let minisig = fetcher.document(minisig).await?;
    let promise = Promise {
        release: &candidate.release,
        payload: candidate.payload.as_ref().map(fetch::blob_of),
        release_keys: &harvest.trust.release_keys(&candidate.release.package),
        max_payload_bytes: context.limits.max_payload_bytes,
    };
    let accepted = match accept(manifest, &minisig, &promise) {
        Ok(accepted) => accepted,
        Err(problems) => {
            refuse(problems);
            return Ok(());
        }
    };
    if let Some(problem) = backwards(&accepted.manifest, &digest, &candidate.channels, known) {
        refuse(vec![problem]);
        return Ok(());
    }
    if let Some(payload) = &candidate.payload {
        fetcher.payload(payload, accepted.manifest.payload.tar.length).await?;
    }
    harvest.fetched.push(FetchedRelease {
        manifest: accepted.manifest,
        digest,
        signer: accepted.signer,
        channels: candidate.channels,
    });
    Ok(())
}

/// Fetches again what a known release has lost, for example after a damaged disk.
async fn refetch(fetcher: &mut Fetcher<'_>, candidate: &Candidate) -> Result<(), PullError> {
    let parts = [Some(&candidate.manifest), candidate.minisig.as_ref(), candidate.payload.as_ref()];
    let digests: Vec<Sha256Digest> = parts.iter().flatten().map(|part| part.sha256()).collect();
    let blobs = Arc::clone(fetcher.blobs);
    if blocking(move || fetch::all_there(&*blobs, &digests)).await?? {
        return Ok(());
    }
    for part in [Some(&candidate.manifest), candidate.minisig.as_ref()].into_iter().flatten() {
        fetcher.document(part).await?;
    }
    if let Some(payload) = &candidate.payload {
        fetcher.payload(payload, 0).await?;
    }
    Ok(())
}

fn newly_withdrawn(
    channels: &ChannelsDocument,
    known: &[ReleaseRow],
) -> Vec<(ReleaseId, Sha256Digest, String)> {
    let of_package = known.iter().filter(|row| row.release.package == channels.package);
    of_package
        .filter(|row| !matches!(row.state, ReleaseState::Withdrawn | ReleaseState::Refused))
        .filter_map(|row| {
            let reason = channels.withdrawn_reason(&row.release.version)?;
            Some((row.release.clone(), row.manifest, reason.to_owned()))
        })
        .collect()
}

/// A known release, if a channel points to it that did not before.
fn moved_channels(row: &ReleaseRow, channels: &[ChannelName]) -> Option<StagedRelease> {
    if channels.iter().all(|channel| row.channels.contains(channel)) {
        return None;
    }
    Some(StagedRelease {
        release: row.release.clone(),
        manifest: row.manifest,
        kind: row.kind,
        counter: row.counter,
        severity: row.severity,
        channels: channels.to_vec(),
        signer: row.signer.clone()?,
        payload_bytes: row.payload_bytes,
    })
}
