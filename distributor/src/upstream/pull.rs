//! One pull: metadata, documents, payloads; then the mirror, staging and the ledger.
//!
//! Order: `prepare` fetches and verifies everything first. Only then the new mirror generation becomes current, so
//! that a release which can be approved is always in the metadata that agents read; then releases go to staging, then
//! the ledger notes the pull. Killed anywhere, the next pull does the rest.
//!
//! Every ledger write of a pull that succeeds is in this file.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use sealpost_admin_api::pulls::{PullSummary, PulledOutcome, PulledRelease};
use sealpost_ledger::{Ledger, LedgerError};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::ChannelName;
use sealpost_repository::{ReaderHandle, Refreshed};
use sealpost_site::commands::pulls::{PullSucceeded, PulledVersions};
use sealpost_site::commands::releases::{RefuseRelease, ResetCounter, StageRelease, WithdrawRelease};
use sealpost_site::queries::{LicenseTime, ReleaseByManifest};

use super::candidates::Withdrawal;
use super::context::{Context, Trigger};
use super::error::PullError;
use super::fetch::{Fetcher, blocking};
use super::prepare::{Prepared, Refused, prepare};
use super::refresh::{refresh, statement};
use crate::ports::staging::StageOutcome;

/// Pulls from the vendor, from the refreshed metadata to the note in the ledger.
pub(super) async fn pull(
    context: &Context,
    reader: &ReaderHandle,
    trigger: Trigger,
) -> Result<PullSummary, PullError> {
    let (refreshed, now) = refresh(context, reader).await?;
    let mut fetcher = Fetcher {
        reader,
        blobs: &context.blobs,
        downloads: &context.downloads,
        limits: &context.limits,
        now,
        fetched_bytes: 0,
        touched: BTreeSet::new(),
    };
    let prepared = prepare(context, &mut fetcher, trigger).await?;
    let fetched_bytes = fetcher.fetched_bytes;
    fetcher.sweep().await;
    apply(context, prepared, refreshed, fetched_bytes, now).await
}

/// Changes what others see: mirror, staging, ledger, in this order.
async fn apply(
    context: &Context,
    prepared: Prepared,
    refreshed: Refreshed,
    fetched_bytes: u64,
    now: Timestamp,
) -> Result<PullSummary, PullError> {
    let Prepared { files, index, trust, signed_at, fetched, refused, misnamed, withdrawn, moved } = prepared;
    let resets = trust.counter_resets.clone();
    let mirror = Arc::clone(&context.mirror);
    let changed = blocking(move || mirror.publish(&files, index, now)).await??;
    context.set_trust(trust);
    let ledger = &*context.ledger;
    let mut releases = Vec::new();
    // Before releases are judged: what a reset voids keeps nothing out.
    for reset in resets {
        ledger.execute(now, ResetCounter { reset }).await?;
    }
    // First, so that a release which cannot be staged, for example for lack of room, holds up no withdrawal.
    for Withdrawal { release, manifest, reason } in withdrawn {
        ledger.execute(now, WithdrawRelease { manifest, reason: reason.clone() }).await?;
        releases.push(PulledRelease { release, manifest, outcome: PulledOutcome::Withdrawn { reason } });
    }
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
    for (manifest, channels) in moved {
        add_channels(ledger, now, manifest, channels).await?;
    }
    let versions = PulledVersions {
        root: refreshed.root_version,
        timestamp: refreshed.timestamp_version,
        snapshot: refreshed.snapshot_version,
    };
    // A vendor that does not write when it signed says at least when it wrote its documents.
    let signed_at = refreshed.signed_at.unwrap_or(signed_at);
    let statement = statement(ledger, signed_at, refreshed.expires).await?;
    ledger.execute(now, PullSucceeded { versions, statement }).await?;
    context.clock.adopt(&ledger.query(LicenseTime {}).await?);
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

/// Notes that further channels point to a known release.
async fn add_channels(
    ledger: &Ledger,
    now: Timestamp,
    manifest: Sha256Digest,
    channels: Vec<ChannelName>,
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
    };
    ledger.execute(now, staged).await
}
