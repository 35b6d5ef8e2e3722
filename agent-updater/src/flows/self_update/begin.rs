//! The end of an install of the agent's package: instead of stopping and switching a product, a trial is recorded; or, if the
//! release is the program that runs already, that.
//!
//! Invariants: what goes on trial was built, digested and started with `--version`; nothing is on trial beside another
//! trial, or before the end of the last one was noted. Only the packaged program, byte for byte, is taken without a trial: there
//! is no other that a trial could go back to.

use std::path::Path;

use sealpost_files::with_causes;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::PackageName;
use sealpost_manifests::release::{AGENT_PROGRAM, FileKind, ReleaseManifest};
use sealpost_manifests::wire::report::ReasonCode;

use crate::domain::policy::Decision;
use crate::domain::record::{Change, ChangeKind, Installed};
use crate::domain::release::Refusal;
use crate::domain::self_update::launch::{Me, is_newer};
use crate::domain::self_update::record::{SelfRecord, SlotProgram};
use crate::domain::self_update::step::TrialStep;
use crate::flows::context::Host;
use crate::platform::program;
use crate::ports::Killed;
use crate::records::{manifests, self_state};
use crate::slots::Slots;

use super::record::{RecordError, load_or_put_aside, me, save};
use super::starts::starts;

/// How an install of the agent goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begun {
    /// The daemon ends after its cycle, and becomes the watchdog of the new program.
    Trial,
    /// The program that runs is the release's. Its end is to be noted.
    RunsAlready,
}

/// Why a trial does not begin.
#[derive(Debug)]
pub enum NotBegun {
    Refused(Refusal),
    Killed(Killed),
}

impl From<Refusal> for NotBegun {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// The decision about a package, as long as no trial of the agent stands before it.
#[must_use]
pub fn unless_on_trial(host: &Host, package: &PackageName, decision: Decision) -> Decision {
    let changes = matches!(
        decision,
        Decision::Install
            | Decision::RollBack
            | Decision::Prepare(_)
            | Decision::Waits(_)
            | Decision::Fetched { .. }
    );
    let is_on_trial = || self_state::load(&host.home).is_ok_and(|record| record.trial.is_some());
    if changes && package.is_agent() && is_on_trial() { Decision::OnTrial } else { decision }
}

/// Checks that a packaged program is not newer than the release: of the two the newer one runs.
///
/// # Errors
/// [`Refusal`].
pub fn ensure_newest(host: &Host, change: &Change) -> Result<(), Refusal> {
    let release = &change.to.release;
    if !release.package.is_agent() {
        return Ok(());
    }
    let record = self_state::load(&host.home).unwrap_or_default();
    if !is_newer(&me(&record), &release.version) {
        return Ok(());
    }
    let detail = format!(
        "the agent that the operating system's package installed here, {}, is newer than {}; the newer one runs",
        env!("CARGO_PKG_VERSION"),
        release.version
    );
    Err(Refusal::new(ReasonCode::ReleaseTooOld, detail))
}

/// Checks that the new program starts: it belongs to this platform, and its libraries are there.
///
/// # Errors
/// [`Refusal`].
pub fn ensure_starts(host: &Host, change: &Change) -> Result<(), Refusal> {
    let new = program_of(host, &change.to)?;
    let started = program::open(&new.path, &new.sha256)
        .map_err(|error| with_causes(&error))
        .and_then(|opened| starts(&host.runner, &opened));
    started.map_err(|why| {
        let detail = format!("the new agent {} does not start: {why}", change.to.release.version);
        Refusal::new(ReasonCode::AgentFailed, detail)
    })
}

/// Records that a built release is on trial, or that it runs already.
///
/// # Errors
/// [`NotBegun`]; nothing is on trial then that was not before.
pub fn begin(host: &Host, change: &Change) -> Result<Begun, NotBegun> {
    let local = |detail: String| Refusal::new(ReasonCode::LocalFault, detail);
    let to = program_of(host, &change.to)?;
    let busy = || local("another program of the agent is on trial; this one comes after it".to_owned());
    let Ok(_lock) = host.home.lock_watch() else { return Err(busy().into()) };
    let record = load_or_put_aside(host).map_err(|error| local(with_causes(&error)))?;
    if record.trial.is_some() || record.ended.is_some() {
        return Err(busy().into());
    }
    let (begun, step, record) = if runs_already(&record, change, &to) {
        (Begun::RunsAlready, TrialStep::Confirmed, record.runs_already(change.kind, to, host.now()))
    } else {
        let stable = record.stable.as_ref().map(|stable| stable.installed.release.version.clone());
        let is_packaged = stable.is_some_and(|stable| is_newer(&me(&record), &stable));
        let record = record.on_trial(change.kind, to, host.now());
        let record = if is_packaged { record.watched_by_packaged() } else { record };
        (Begun::Trial, TrialStep::OnTrial, record)
    };
    match save(host, step, &record) {
        Ok(()) => Ok(begun),
        Err(RecordError::Killed(killed)) => Err(NotBegun::Killed(killed)),
        Err(error) => Err(local(format!("the trial cannot be recorded: {}", with_causes(&error))).into()),
    }
}

/// Whether the packaged program is in force, is this one, and has the bytes of the release.
fn runs_already(record: &SelfRecord, change: &Change, to: &SlotProgram) -> bool {
    record.stable.is_none()
        && change.kind == ChangeKind::Install
        && matches!(me(record), Me::Packaged(_))
        && program::digest(Path::new(program::OWN_PROGRAM)).is_ok_and(|own| own == to.sha256)
}

/// The program of a release that was built here, by its kept manifest.
///
/// # Errors
/// [`Refusal`].
pub(super) fn program_of(host: &Host, installed: &Installed) -> Result<SlotProgram, Refusal> {
    let local = |detail: String| Refusal::new(ReasonCode::LocalFault, detail);
    let manifest = manifests::read(&host.home, installed).map_err(|error| local(with_causes(&error)))?;
    let sha256 = program_digest(&manifest).ok_or_else(|| {
        Refusal::new(ReasonCode::ManifestInvalid, format!("{} has no {AGENT_PROGRAM}", installed.release))
    })?;
    let slots = Slots::open(&host.settings.install_root, &installed.release.package)
        .map_err(|error| local(with_causes(&error)))?;
    let path = slots.path_of(&installed.slot).join(AGENT_PROGRAM);
    Ok(SlotProgram { installed: installed.clone(), path, sha256 })
}

fn program_digest(manifest: &ReleaseManifest) -> Option<Sha256Digest> {
    manifest.files.iter().find_map(|entry| match &entry.kind {
        FileKind::File { sha256, executable: true, .. } if entry.path.as_str() == AGENT_PROGRAM => {
            Some(*sha256)
        }
        _ => None,
    })
}
