//! One pull: metadata, documents and withdrawals; then payloads; then staging.
//!
//! Order: `prepare` fetches and verifies the vendor's documents. What is withdrawn is withdrawn at once, the new mirror
//! generation becomes current, and the ledger notes that the metadata is fresh: all of that needs no room to speak of and
//! waits for no payload. Then `payloads` fetches what releases need, and they go to staging; a release that can be
//! approved is always in the metadata that agents read. A payload that cannot be fetched fails the pull at its end, with
//! the metadata taken over. Killed anywhere, the next pull does the rest.
//!
//! Every ledger write of a pull that succeeds is in this file.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use sealpost_admin_api::pulls::{PullSummary, PulledOutcome, PulledRelease};
use sealpost_ledger::{Ledger, LedgerError};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::ChannelName;
use sealpost_manifests::trust::CounterReset;
use sealpost_repository::{MirroredFile, ReaderHandle, Refreshed};
use sealpost_site::commands::pulls::{PullSucceeded, PulledVersions};
use sealpost_site::commands::releases::{RefuseRelease, ResetCounter, StageRelease, WithdrawRelease};
use sealpost_site::queries::{LicenseTime, ReleaseByManifest};
use sealpost_site::rules::release::{ReleaseState, channels_after_pull};

use super::candidates::{Pointed, Withdrawal, offered_to};
use super::context::{Context, Live, Trigger};
use super::error::PullError;
use super::fetch::{Fetcher, blocking};
use super::kept_trust;
use super::known::{in_use, known_releases};
use super::needed::needed;
use super::payloads::{Examined, Refused, RefusedBefore, examine_all};
use super::prepare::{Documents, documents};
use super::refresh::{Fresh, refresh, statement};
use super::targets::TargetIndex;
use super::vendor_deltas;
use crate::ports::staging::StageOutcome;

/// Least time for the payloads of one pull, however close together pulls are.
const LEAST_PAYLOAD_TIME: Duration = Duration::from_secs(15 * 60);

/// Pulls from the vendor, from the refreshed metadata to the last staged release.
pub(super) async fn pull(
    context: &Context,
    reader: &ReaderHandle,
    trigger: Trigger,
) -> Result<PullSummary, PullError> {
    let live = begin(context);
    let Fresh { refreshed, as_of: now, corrected_to } = refresh(context, reader).await?;
    let mut fetcher = fetcher(context, reader, live, now);
    let Documents { files, index, trust, trust_info, signed_at, withdrawn, candidates, others, deltas } =
        documents(context, &fetcher).await?;

    let pointed: Vec<Pointed> = candidates.iter().map(Pointed::of).collect();
    let mut releases = withdraw(context, now, &trust.counter_resets, withdrawn).await?;
    let trust_digest = trust_info.sha256();
    let Published { changed, trust_is_new } =
        publish(context, live, now, Generation { files, index, trust_digest }).await?;
    context.set_trust(trust.clone());
    note_fresh(context, &refreshed, signed_at, (now, corrected_to)).await?;

    let known = known_releases(&context.ledger).await?;
    let needed = needed(known.all(), &in_use(&context.ledger).await?.releases);
    let refused_before = match trigger {
        Trigger::Person => RefusedBefore::LookAgain,
        Trigger::Schedule if trust_is_new => RefusedBefore::LookAgain,
        Trigger::Schedule => RefusedBefore::Leave,
    };
    let examined =
        examine_all(&mut fetcher, &trust, &known, candidates, others, &needed, refused_before).await?;
    let failure = stage(context, now, examined, &mut releases).await?;
    move_channels(&context.ledger, now, &pointed).await?;
    vendor_deltas::fetch(context, &mut fetcher, &deltas).await?;
    let fetched_bytes = fetcher.fetched_bytes;
    fetcher.sweep().await;
    if let Some(failure) = failure {
        return Err(failure);
    }
    let mirror = Arc::clone(&context.mirror);
    blocking(move || mirror.note_examined_trust(&trust_digest)).await??;
    Ok(PullSummary {
        metadata_as_of: now,
        metadata_expires: refreshed.expires,
        changed,
        root_version: refreshed.root_version,
        timestamp_version: refreshed.timestamp_version,
        snapshot_version: refreshed.snapshot_version,
        releases,
        fetched_bytes,
    })
}

/// Takes over the vendor's metadata and keys, as the first part of a pull does, without the note that there was a pull.
/// Like a pull that was killed after that part, it leaves the rest to the next one.
pub(super) async fn learn_keys(context: &Context, reader: &ReaderHandle) -> Result<(), PullError> {
    let live = begin(context);
    let Fresh { as_of: now, .. } = refresh(context, reader).await?;
    let Documents { files, index, trust, trust_info, withdrawn, .. } =
        documents(context, &fetcher(context, reader, live, now)).await?;
    withdraw(context, now, &trust.counter_resets, withdrawn).await?;
    let trust_digest = trust_info.sha256();
    publish(context, live, now, Generation { files, index, trust_digest }).await?;
    context.set_trust(trust);
    Ok(())
}

/// Keeps the transport to what is configured now.
fn begin(context: &Context) -> Live {
    let live = context.live();
    context.pace.set(live.limits.min_bytes_per_second);
    context.pace.begin(live.every.max(LEAST_PAYLOAD_TIME));
    live
}

fn fetcher<'a>(context: &'a Context, reader: &'a ReaderHandle, live: Live, now: Timestamp) -> Fetcher<'a> {
    Fetcher {
        reader,
        blobs: &context.blobs,
        downloads: &context.downloads,
        limits: live.limits,
        now,
        fetched_bytes: 0,
        unfinished: BTreeSet::new(),
    }
}

/// What a generation of the mirror is made of.
struct Generation {
    files: Vec<MirroredFile>,
    index: TargetIndex,
    trust_digest: Sha256Digest,
}

struct Published {
    /// Whether the generation differs from the one before.
    changed: bool,
    /// Whether releases were not judged by this trust document yet.
    trust_is_new: bool,
}

/// Makes a generation of the mirror the current one.
async fn publish(
    context: &Context,
    live: Live,
    now: Timestamp,
    Generation { files, index, trust_digest }: Generation,
) -> Result<Published, PullError> {
    let (mirror, blobs) = (Arc::clone(&context.mirror), Arc::clone(&context.blobs));
    let keep = SignedDuration::from_hours(24 * i64::from(live.storage.keep_metadata_days));
    blocking(move || {
        let trust_is_new = mirror.examined_trust() != Some(trust_digest);
        let changed = mirror.publish(&files, index, keep, now)?;
        kept_trust::keep(&mirror, &*blobs);
        Ok::<_, PullError>(Published { changed, trust_is_new })
    })
    .await?
}

/// Applies what the vendor took back: it needs no payload and no room.
async fn withdraw(
    context: &Context,
    now: Timestamp,
    resets: &[CounterReset],
    withdrawn: Vec<Withdrawal>,
) -> Result<Vec<PulledRelease>, PullError> {
    let ledger = &*context.ledger;
    // Before releases are judged: what a reset voids keeps nothing out.
    for reset in resets {
        ledger.execute(now, ResetCounter { reset: reset.clone() }).await?;
    }
    let mut releases = Vec::new();
    for Withdrawal { release, manifest, reason } in withdrawn {
        ledger.execute(now, WithdrawRelease { manifest, reason: reason.clone() }).await?;
        releases.push(PulledRelease { release, manifest, outcome: PulledOutcome::Withdrawn { reason } });
    }
    Ok(releases)
}

/// Notes that the metadata is fresh, and what the vendor says of the time.
async fn note_fresh(
    context: &Context,
    refreshed: &Refreshed,
    signed_at: Timestamp,
    (now, corrected_to): (Timestamp, Option<Timestamp>),
) -> Result<(), PullError> {
    let ledger = &*context.ledger;
    let versions = PulledVersions {
        root: refreshed.root_version,
        timestamp: refreshed.timestamp_version,
        snapshot: refreshed.snapshot_version,
    };
    // A vendor that does not write when it signed says at least when it wrote its documents.
    let signed_at = refreshed.signed_at.unwrap_or(signed_at);
    let statement = statement(ledger, signed_at, refreshed.expires).await?;
    ledger.execute(now, PullSucceeded { versions, statement, corrected_to }).await?;
    context.clock.adopt(&ledger.query(LicenseTime {}).await?);
    Ok(())
}

/// Takes releases into staging and the ledger; answers the first payload that could not be fetched.
async fn stage(
    context: &Context,
    now: Timestamp,
    examined: Examined,
    releases: &mut Vec<PulledRelease>,
) -> Result<Option<PullError>, PullError> {
    let Examined { fetched, refused, misnamed, failure } = examined;
    let ledger = &*context.ledger;
    for Refused { release, manifest, problems } in refused {
        let refused = RefuseRelease { release: release.clone(), manifest, problems: problems.clone() };
        note_refused(ledger, now, refused).await?;
        releases.push(PulledRelease { release, manifest, outcome: PulledOutcome::Refused { problems } });
    }
    for Refused { release, manifest, problems } in misnamed {
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
    Ok(failure)
}

/// Notes where the vendor's pointers moved to, and from.
async fn move_channels(ledger: &Ledger, now: Timestamp, pointed: &[Pointed]) -> Result<(), LedgerError> {
    let known = known_releases(ledger).await?;
    for release in known.all() {
        if matches!(release.state, ReleaseState::Withdrawn | ReleaseState::Refused) {
            continue;
        }
        let offered = offered_to(release, known.of(&release.release.package), pointed);
        let mut pointed = pointed.iter();
        let mandatory = pointed.any(|one| one.manifest == release.manifest && one.mandatory);
        let moved = channels_after_pull(&release.approved_for, &offered) != release.channels;
        if moved || mandatory != release.mandatory {
            set_channels(ledger, now, release.manifest, offered, mandatory).await?;
        }
    }
    Ok(())
}

/// Notes a refused release. That the ledger's rules do not take the note holds up nothing else of the pull.
async fn note_refused(ledger: &Ledger, now: Timestamp, refused: RefuseRelease) -> Result<(), LedgerError> {
    let release = refused.release.clone();
    match ledger.execute(now, refused).await {
        Err(LedgerError::Refused(problem)) => {
            tracing::warn!(%release, %problem, "the ledger does not record a refused release");
            Ok(())
        }
        other => other,
    }
}

/// Notes the channels that a known release is offered to.
async fn set_channels(
    ledger: &Ledger,
    now: Timestamp,
    manifest: Sha256Digest,
    channels: Vec<ChannelName>,
    mandatory: bool,
) -> Result<(), LedgerError> {
    let Some(row) = ledger.query(ReleaseByManifest { manifest }).await? else { return Ok(()) };
    // A release without a signer was refused, and is examined instead.
    let Some(signer) = row.signer else { return Ok(()) };
    let staged = StageRelease {
        release: row.release,
        manifest,
        kind: row.kind,
        counter: row.counter,
        severity: row.severity,
        channels,
        signer,
        payload_bytes: row.payload_bytes,
        mandatory,
    };
    ledger.execute(now, staged).await
}
