//! The second part of a pull: releases are examined, and their payloads fetched.
//!
//! Invariant: nothing but blobs is written here. A release that is listed truthfully but is not sound is refused alone;
//! a payload that cannot be fetched now holds back no other release, and fails the pull at its end.

use std::collections::BTreeSet;
use std::sync::Arc;

use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::release::ReleaseId;
use sealpost_manifests::trust::TrustDocument;
use sealpost_repository::TargetInfo;

use super::candidates::Candidate;
use super::error::PullError;
use super::fetch::{self, Fetcher, blocking};
use super::known::KnownReleases;
use super::verify::{Expected, accept, attached, backwards};
use crate::ports::staging::FetchedRelease;
use sealpost_site::rules::release::KnownRelease;
use sealpost_site::rules::release::ReleaseState;

/// What a pull found about releases: the input of its last part.
#[derive(Default)]
pub(super) struct Examined {
    /// Sound releases to stage, lowest counter first.
    pub(super) fetched: Vec<FetchedRelease>,
    pub(super) refused: Vec<Refused>,
    /// Releases that claim the manifest of another one: refused, and not recorded.
    pub(super) misnamed: Vec<Refused>,
    /// Why a payload could not be fetched.
    pub(super) failure: Option<PullError>,
}

/// A release that is not sound.
pub(super) struct Refused {
    pub(super) release: ReleaseId,
    pub(super) manifest: Sha256Digest,
    pub(super) problems: Vec<String>,
}

/// What becomes of releases that were refused before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RefusedBefore {
    LookAgain,
    Leave,
}

/// Examines what channels point to, and fetches again what releases have lost that the site needs.
pub(super) async fn examine_all(
    fetcher: &mut Fetcher<'_>,
    trust: &TrustDocument,
    known: &KnownReleases,
    candidates: Vec<Candidate>,
    others: Vec<Candidate>,
    needed: &BTreeSet<Sha256Digest>,
    refused_before: RefusedBefore,
) -> Result<Examined, PullError> {
    let mut examined = Examined::default();
    for candidate in candidates {
        let manifest = candidate.manifest.sha256();
        if let Some(known) = known.known_otherwise(&manifest, &candidate.release) {
            // The ledger has one release per manifest, so nothing is recorded: the known one stays as it is.
            let problems =
                vec![format!("its manifest is that of {known}; a release has a manifest of its own")];
            tracing::warn!(release = %candidate.release, ?problems, "a release is refused");
            examined.misnamed.push(Refused { release: candidate.release, manifest, problems });
            continue;
        }
        let of_package = known.of(&candidate.release.package);
        let before = of_package.iter().find(|known| known.manifest == manifest);
        match before.map(|known| known.state) {
            Some(ReleaseState::Withdrawn) => {}
            Some(ReleaseState::Refused) if refused_before == RefusedBefore::Leave => {}
            None | Some(ReleaseState::Refused) => {
                match examine(fetcher, trust, &candidate, of_package).await {
                    Ok(Ok(release)) => examined.fetched.push(release),
                    Ok(Err(problems)) => {
                        tracing::warn!(release = %candidate.release, ?problems, "a release is refused");
                        examined.refused.push(Refused { release: candidate.release, manifest, problems });
                    }
                    Err(error) => examined.go_on_after(error, &candidate, fetcher)?,
                }
            }
            Some(_) => {
                if let Err(error) = refetch(fetcher, &candidate).await {
                    examined.go_on_after(error, &candidate, fetcher)?;
                }
            }
        }
    }
    for other in others.into_iter().filter(|other| needed.contains(&other.manifest.sha256())) {
        if let Err(error) = refetch(fetcher, &other).await {
            examined.go_on_after(error, &other, fetcher)?;
        }
    }
    examined.fetched.sort_by_key(|release| release.manifest.counter);
    Ok(examined)
}

impl Examined {
    /// Notes what is about one release alone, whose files the next pull continues; passes on what stops the pull.
    fn go_on_after(
        &mut self,
        error: PullError,
        candidate: &Candidate,
        fetcher: &mut Fetcher<'_>,
    ) -> Result<(), PullError> {
        if !error.is_about_one_file() {
            return Err(error);
        }
        candidate.payload.iter().chain(&candidate.attachments).for_each(|file| fetcher.keep_unfinished(file));
        let reason = sealpost_files::with_causes(&error);
        tracing::warn!(release = %candidate.release, reason, "a release cannot be fetched now; others go on");
        // Of several, the one about which something can be done.
        let is_first =
            self.failure.as_ref().is_none_or(|failure| error.needs_room() && !failure.needs_room());
        if is_first {
            self.failure = Some(error);
        }
        Ok(())
    }
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
        mandatory: candidate.mandatory,
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
