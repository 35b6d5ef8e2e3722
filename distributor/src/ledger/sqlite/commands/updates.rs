//! Pulls, releases, deltas and reviews.

use rusqlite::params;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::release::ReleaseId;
use sealpost_manifests::wire::problem::{Problem, ProblemCode};

use super::missing;
use crate::domain::activity::{Actor, Change};
use crate::domain::release::{
    ApprovedRelease, IllegalTransition, ReleaseCommand, Transition, channels_after_pull, transition,
};
use crate::domain::review::{self, Reviewed};
use crate::ledger::sqlite::queries;
use crate::ledger::sqlite::step::{CommandError, Ruling, Step, StepResult};
use crate::ledger::sqlite::values::micros;
use crate::ports::ledger::{PulledVersions, ReleaseRow, StagedRelease};

/// Most problems that one entry keeps, and the longest of them, in characters: hostile input does not fill the log.
const MAX_PROBLEMS: usize = 100;
const MAX_PROBLEM_CHARS: usize = 500;

/// A pull found the vendor's metadata fresh. Its versions are chained when they changed or a failure is over.
pub(in crate::ledger::sqlite) fn pull_succeeded(
    step: &mut Step<'_>,
    versions: PulledVersions,
) -> StepResult<()> {
    let before = queries::pull_state(step.connection)?;
    if before.failure.is_some()
        || before.versions != Some((versions.root, versions.timestamp, versions.snapshot))
    {
        let change = Change::MetadataPulled {
            timestamp_version: versions.timestamp,
            snapshot_version: versions.snapshot,
            root_version: versions.root,
        };
        step.record(Actor::Server, change)?;
    }
    step.connection
        .prepare_cached("INSERT OR REPLACE INTO freshness (id, metadata_as_of, tried_at) VALUES (1, ?1, ?1)")?
        .execute(params![micros(step.now)])?;
    Ok(Ruling::Done(()))
}

/// A pull failed. Chained when the reason is another one than before.
pub(in crate::ledger::sqlite) fn pull_failed(step: &mut Step<'_>, reason: String) -> StepResult<()> {
    let reason = shorten(reason);
    if queries::pull_state(step.connection)?.failure.as_ref() != Some(&reason) {
        step.record(Actor::Server, Change::PullFailed { reason })?;
    }
    step.connection
        .prepare_cached(
            "INSERT INTO freshness (id, tried_at) VALUES (1, ?1) ON CONFLICT (id) DO UPDATE SET tried_at = ?1",
        )?
        .execute(params![micros(step.now)])?;
    Ok(Ruling::Done(()))
}

/// A release passed staging, or its channels changed.
pub(in crate::ledger::sqlite) fn stage(step: &mut Step<'_>, staged: StagedRelease) -> StepResult<ReleaseRow> {
    let manifest = staged.manifest;
    if let Some(other) = queries::manifest_of(step.connection, &staged.release)?
        && other != manifest
    {
        return Err(CommandError::Refused(Problem::new(
            ProblemCode::DigestMismatch,
            format!("{} is known here with manifest {other}, and now came with {manifest}", staged.release),
            "a release has one manifest for ever; ask the vendor to publish the change as a new version",
        )));
    }
    let known = queries::release(step.connection, &manifest)?;
    let step_to = legal(&staged.release, known.as_ref(), ReleaseCommand::Stage)?;
    match (step_to, known) {
        (Transition::Unchanged, Some(known)) => {
            let channels = channels_after_pull(known.state, &known.channels, &staged.channels);
            if channels != known.channels {
                step.record(Actor::Server, Change::ReleaseChannelsChanged { manifest, channels })?;
            }
        }
        _ => {
            let mut channels = staged.channels;
            channels.sort();
            channels.dedup();
            let change = Change::ReleaseStaged {
                release: staged.release,
                manifest,
                kind: staged.kind,
                counter: staged.counter,
                severity: staged.severity,
                channels,
                signer: staged.signer,
                payload_bytes: staged.payload_bytes,
            };
            step.record(Actor::Server, change)?;
        }
    }
    read_back(step, &manifest)
}

/// A release did not pass staging.
pub(in crate::ledger::sqlite) fn refuse(
    step: &mut Step<'_>,
    release: ReleaseId,
    manifest: Sha256Digest,
    problems: Vec<String>,
) -> StepResult<()> {
    let problems: Vec<String> = problems.into_iter().take(MAX_PROBLEMS).map(shorten).collect();
    let known = queries::release(step.connection, &manifest)?;
    let step_to = legal(&release, known.as_ref(), ReleaseCommand::Refuse)?;
    let said = known.and_then(|known| known.reason);
    if step_to != Transition::Unchanged || said.as_ref() != Some(&problems.join("\n")) {
        step.record(Actor::Server, Change::ReleaseRefused { release, manifest, problems })?;
    }
    Ok(Ruling::Done(()))
}

/// The vendor withdrew a release.
pub(in crate::ledger::sqlite) fn withdraw(
    step: &mut Step<'_>,
    manifest: Sha256Digest,
    reason: String,
) -> StepResult<()> {
    let Some(known) = queries::release(step.connection, &manifest)? else {
        return Err(CommandError::Refused(Problem::new(
            ProblemCode::NotFound,
            format!("cannot withdraw: no release with manifest {manifest} is known here"),
            "nothing needs to be done; it cannot be approved either",
        )));
    };
    if let Transition::To(_) = legal(&known.release, Some(&known), ReleaseCommand::Withdraw)? {
        let change = Change::ReleaseWithdrawn { release: known.release, manifest, reason: shorten(reason) };
        step.record(Actor::Server, change)?;
    }
    Ok(Ruling::Done(()))
}

/// A delta was made.
pub(in crate::ledger::sqlite) fn delta_made(
    step: &mut Step<'_>,
    base: Sha256Digest,
    target: Sha256Digest,
    bytes: u64,
) -> StepResult<()> {
    if queries::delta_bytes(step.connection, &base, &target)? != Some(bytes) {
        step.record(Actor::Server, Change::DeltaMade { base, target, bytes })?;
    }
    Ok(Ruling::Done(()))
}

/// Approves the manifest that was shown.
pub(in crate::ledger::sqlite) fn approve(
    step: &mut Step<'_>,
    actor: Actor,
    manifest: Sha256Digest,
) -> StepResult<ReleaseRow> {
    let known = queries::release(step.connection, &manifest)?;
    let facts = known.as_ref().map(facts);
    let approved: Vec<ApprovedRelease> = match &known {
        Some(known) => queries::approved_of(step.connection, &known.release.package)?
            .into_iter()
            .map(|(_, facts)| facts)
            .collect(),
        None => Vec::new(),
    };
    let found = known.as_ref().zip(facts.as_ref()).map(|(row, facts)| (&row.release, row.state, facts));
    let decision = review::approve(&Reviewed { manifest, found, approved: &approved })
        .map_err(|refusal| refusal.problem())?;
    if let (Transition::To(_), Some(known)) = (decision, known) {
        let rollout = queries::next_rollout(step.connection)?;
        step.record(actor, Change::ReleaseApproved { release: known.release, manifest, rollout })?;
    }
    read_back(step, &manifest)
}

/// Rejects a release that is not approved yet.
pub(in crate::ledger::sqlite) fn reject(
    step: &mut Step<'_>,
    actor: Actor,
    manifest: Sha256Digest,
    reason: String,
) -> StepResult<ReleaseRow> {
    let known = queries::release(step.connection, &manifest)?;
    let facts = known.as_ref().map(facts);
    let found = known.as_ref().zip(facts.as_ref()).map(|(row, facts)| (&row.release, row.state, facts));
    let decision =
        review::reject(&Reviewed { manifest, found, approved: &[] }).map_err(|refusal| refusal.problem())?;
    if let (Transition::To(_), Some(known)) = (decision, known) {
        let reason = shorten(reason);
        step.record(actor, Change::ReleaseRejected { release: known.release, manifest, reason })?;
    }
    read_back(step, &manifest)
}

fn facts(row: &ReleaseRow) -> ApprovedRelease {
    ApprovedRelease {
        version: row.release.version.clone(),
        platform: row.release.platform.clone(),
        counter: row.counter,
        channels: row.channels.clone(),
    }
}

fn legal(
    release: &ReleaseId,
    known: Option<&ReleaseRow>,
    command: ReleaseCommand,
) -> Result<Transition, CommandError> {
    transition(known.map(|known| known.state), command).map_err(|illegal: IllegalTransition| {
        CommandError::Refused(Problem::new(
            ProblemCode::WrongState,
            format!("{release}: {illegal}"),
            "see `distributor updates show` for its state",
        ))
    })
}

fn read_back(step: &Step<'_>, manifest: &Sha256Digest) -> StepResult<ReleaseRow> {
    let row = queries::release(step.connection, manifest)?;
    Ok(Ruling::Done(row.ok_or_else(|| missing("release"))?))
}

fn shorten(text: String) -> String {
    if text.chars().count() > MAX_PROBLEM_CHARS {
        text.chars().take(MAX_PROBLEM_CHARS).collect()
    } else {
        text
    }
}
