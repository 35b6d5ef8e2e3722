//! Noting the end of a trial in the record of the agent's package, and reporting it.
//!
//! A reconciler: it makes the record of the package, the `current` link and the record of launchers agree, whichever of
//! them a killed process or a damaged disk left behind. What a trial is still open for is left alone.

use sealpost_files::with_causes;
use sealpost_manifests::assignment::Assignment;
use sealpost_manifests::ids::PackageName;
use sealpost_manifests::wire::report::{InstallStep, Outcome, ReasonCode};

use crate::domain::record::{Change, ChangeKind, Installed, PackageRecord, SlotId};
use crate::domain::release::Refusal;
use crate::domain::self_update::record::{Ended, How, SelfRecord};
use crate::domain::self_update::step::TrialStep;
use crate::flows::context::Host;
use crate::flows::install_root;
use crate::platform::program;
use crate::platform::store::StoreError;
use crate::ports::Killed;
use crate::records::self_state::SelfStateError;
use crate::records::{manifests, packages};
use crate::slots::Slots;
use crate::slots::beneath::BeneathError;
use crate::spool::{Spool, Subject};

use super::begin::program_of;
use super::record::{RecordError, load_or_put_aside, save};
use super::withdrawn::{end_by_person, end_by_site};

/// Why the end could not be noted. It stays in the record, and the next cycle tries again.
#[derive(Debug, thiserror::Error)]
pub enum SettleError {
    #[error("the record of the agent's own program cannot be used")]
    State(#[from] SelfStateError),
    #[error("the record of the agent's package cannot be used")]
    Store(#[from] StoreError),
    #[error("the slots of the agent's package cannot be used")]
    Slots(#[from] BeneathError),
    /// A test simulated a kill here.
    #[error(transparent)]
    Killed(#[from] Killed),
}

impl From<RecordError> for SettleError {
    fn from(error: RecordError) -> Self {
        match error {
            RecordError::State(error) => Self::State(error),
            RecordError::Killed(killed) => Self::Killed(killed),
        }
    }
}

/// Notes and reports the end of the last trial, if that was not done. The caller holds the lock of the cycle.
///
/// # Errors
/// [`SettleError`].
pub fn settle(host: &Host, spool: &mut Spool) -> Result<(), SettleError> {
    // While somebody else holds the lock, a trial goes on.
    let Ok(_lock) = host.home.lock_watch() else { return Ok(()) };
    // What lies on a disk that is not mounted is not lost.
    if install_root::problem(host).is_some() {
        return Ok(());
    }
    let record = load_or_put_aside(host)?;
    if record.trial.is_some() {
        return Ok(());
    }
    let record = with_usable_stable(host, record)?;
    let package = PackageName::agent();
    let before = packages::load(&host.home, &package)?;
    if let Some(ended) = &record.ended {
        let change = ended.change();
        let after = noted(before, ended, &change);
        keep(host, &after)?;
        report(host, spool, ended, &change);
        return Ok(save(host, TrialStep::Settled, &SelfRecord { ended: None, ..record })?);
    }
    match (&record.stable, &before.current) {
        (None, None) => Ok(()),
        (Some(stable), current) if current.as_ref() == Some(&stable.installed) => Ok(()),
        (Some(stable), _) => {
            let current = Some(stable.installed.clone());
            keep(host, &PackageRecord { current, ..before })
        }
        (None, Some(current)) => match program_of(host, current) {
            Ok(program) => {
                tracing::warn!(release = %current.release, "is the agent again, as the record of its package says");
                Ok(save(host, TrialStep::Settled, &SelfRecord { stable: Some(program), ..record })?)
            }
            // Without its manifest nobody can say what it is: it is installed again.
            Err(Refusal { detail, .. }) => {
                tracing::error!(release = %current.release, "the agent's own release is not usable: {detail}");
                keep(host, &PackageRecord { current: None, ..before })
            }
        },
    }
}

/// Ends a trial whose release the site assigns no more, and that nobody watches now, and notes the end. The caller holds the
/// lock of the cycle.
///
/// # Errors
/// [`SettleError`].
pub fn call_off_for_site(host: &Host, spool: &mut Spool, assignment: &Assignment) -> Result<(), SettleError> {
    if end_by_site(host, assignment)? { settle(host, spool) } else { Ok(()) }
}

/// Ends a trial that nobody watches now, because a person asks for it, and notes the end; `false` if there is none.
///
/// # Errors
/// [`SettleError`].
pub fn call_off(host: &Host, spool: &mut Spool) -> Result<bool, SettleError> {
    let is_ended = end_by_person(host)?;
    if is_ended {
        settle(host, spool)?;
    }
    Ok(is_ended)
}

/// The record; the stable program is lost if it was changed since it began to run: it could not be started again.
fn with_usable_stable(host: &Host, record: SelfRecord) -> Result<SelfRecord, SettleError> {
    let Some(stable) = record.stable.as_ref().filter(|_| record.ended.is_none()) else { return Ok(record) };
    let Err(problem) = program::open(&stable.path, &stable.sha256) else { return Ok(record) };
    let lost = record.lost(with_causes(&problem), host.now());
    save(host, TrialStep::Lost, &lost)?;
    Ok(lost)
}

/// The record of the package after the end.
fn noted(before: PackageRecord, ended: &Ended, change: &Change) -> PackageRecord {
    match ended.how {
        How::Confirmed => before.kept(change, ended.at),
        How::GivenBack if ended.kind == ChangeKind::LocalRollback => before,
        // It did not fail: it is tried again if it is assigned again.
        How::GivenBack if ended.reason == ReasonCode::AskedBySite => before,
        How::GivenBack => before.rolled_back(change, ended.reason, ended.at),
        How::Lost if ended.kind == ChangeKind::LocalRollback => {
            PackageRecord { current: None, ..before.with_given_up(&change.to, ended.reason, ended.at) }
        }
        // Not given up: the same release, built anew, is as good as it was.
        How::Lost => PackageRecord { current: None, ..before },
    }
}

/// Sets `current`, writes the record, and removes what it does not need.
fn keep(host: &Host, record: &PackageRecord) -> Result<(), SettleError> {
    let package = PackageName::agent();
    let slots = Slots::open(&host.settings.install_root, &package)?;
    let slot = record.current.as_ref().map(|current| &current.slot);
    if slots.current().ok().flatten().as_ref() != slot {
        slots.put_no_link_aside()?;
        switch(&slots, slot)?;
    }
    packages::save(&host.home, &package, record)?;
    if let Err(error) = slots.remove_others(&|name| record.needs(name)) {
        tracing::warn!(error = with_causes(&error), "an old slot of the agent could not be removed");
    }
    manifests::remove_others(&host.home, &package, |slot| record.needs(slot));
    Ok(())
}

/// A slot that is gone cannot be `current`; the launcher notices that it is gone.
fn switch(slots: &Slots, slot: Option<&SlotId>) -> Result<(), BeneathError> {
    let there = slot.map(|slot| slots.has(slot)).transpose()?.unwrap_or(false);
    slots.switch(slot.filter(|_| there))
}

fn report(host: &Host, spool: &mut Spool, ended: &Ended, change: &Change) {
    let mut add = |about: &Installed, what, detail: &str| {
        let subject = Subject {
            release: about.release.clone(),
            manifest: about.manifest,
            rollout: if ended.kind == ChangeKind::LocalRollback { 0 } else { change.to.rollout },
            attempt: about.attempt,
            ring: change.to.ring.clone().filter(|_| ended.kind != ChangeKind::LocalRollback),
        };
        if let Err(error) = spool.add(host.now(), &subject, what, detail) {
            tracing::error!(error = with_causes(&error), "a report is not on disk yet");
        }
    };
    let to = &change.to;
    let runs =
        change.from.as_ref().map_or("the packaged program".to_owned(), |from| from.release.to_string());
    match ended.how {
        How::Confirmed => {
            if let (Some(asked), Some(left)) = (ended.kind.asked_back(), &change.from) {
                let what = (InstallStep::RollBack, Outcome::Ok, asked);
                add(left, what, &format!("back to {}", to.release));
            }
            if ended.kind != ChangeKind::LocalRollback {
                add(to, (InstallStep::Keep, Outcome::Ok, ReasonCode::Done), &ended.detail);
            }
            tracing::info!(release = %to.release, "is the agent now");
        }
        How::GivenBack if matches!(ended.reason, ReasonCode::AskedBySite | ReasonCode::AskedLocally) => {
            let what = (InstallStep::RollBack, Outcome::Ok, ended.reason);
            add(to, what, &format!("its trial is called off: {}; {runs} runs", ended.detail));
            tracing::warn!(release = %to.release, "is not the agent: {}", ended.detail);
        }
        How::GivenBack => {
            add(to, (InstallStep::Health, Outcome::Failed, ended.reason), &ended.detail);
            let detail = format!("{runs} runs; the release that was given up is not retried automatically");
            add(to, (InstallStep::RollBack, Outcome::Ok, ended.reason), &detail);
            tracing::warn!(release = %to.release, reason = %ended.reason, "is not the agent: {}", ended.detail);
        }
        How::Lost if ended.kind == ChangeKind::LocalRollback => {
            add(to, (InstallStep::RollBack, Outcome::Ok, ended.reason), &ended.detail);
            tracing::info!(release = %to.release, "is not the agent any more: {}", ended.detail);
        }
        How::Lost => {
            add(to, (InstallStep::Start, Outcome::Failed, ended.reason), &ended.detail);
            tracing::error!(release = %to.release, "cannot be executed any more: {}", ended.detail);
        }
    }
}
