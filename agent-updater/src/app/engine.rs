//! The install engine: drives one change of release through the steps of [`crate::domain::install`], with the real
//! slots, hooks and journal.
//!
//! Invariants: each step is journalled before the next action; whatever ends the process, [`Engine::recover`] leads to
//! the old or the new release whole and the product started; nothing under `current` is touched before the new slot
//! was digested twice and test-loaded; a release that was given up is not tried again in the same attempt.
//! Left out: deciding what to install (`domain::policy`) and verifying it (`app::vetted`).

mod steps;

use std::sync::atomic::AtomicBool;

use jiff::Timestamp;
use sealpost_manifests::assignment::PackageAssignment;
use sealpost_manifests::ids::PackageName;
use sealpost_manifests::wire::report::{InstallStep, Outcome, ReasonCode};

use crate::config::{PackageConfig, Settings};
use crate::domain::install::{Event, IllegalTransition, Next, Recovery, Step, advance, recover};
use crate::domain::record::{Change, ChangeKind, Installed, PackageRecord, SlotId};
use crate::domain::release::Refusal;
use crate::domain::time::whole_seconds;
use crate::home::Home;
use crate::hooks::{Occasion, ensure_all_runnable};
use crate::journal::{Journal, JournalError};
use crate::platform::files::PUBLIC;
use crate::platform::store::{self, StoreError};
use crate::ports::{Clock, Disk, Faults, Killed, Source};
use crate::slots::Slots;
use crate::slots::beneath::BeneathError;
use crate::spool::{Spool, Subject};

use super::build;
use super::vetted::Vetted;
use super::with_causes;

/// What the engine stands on.
#[derive(Clone, Copy)]
pub struct Ground<'a> {
    /// The agent's home.
    pub home: &'a Home,
    /// The configuration.
    pub settings: &'a Settings,
    /// The clock.
    pub clock: &'a dyn Clock,
    /// The disk.
    pub disk: &'a dyn Disk,
    /// Where tests end the process.
    pub faults: &'a dyn Faults,
    /// Set when the agent is to stop: nothing new begins, and what has touched the product is brought to its end.
    pub stop: &'a AtomicBool,
}

impl std::fmt::Debug for Ground<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ground").field("home", &self.home).finish_non_exhaustive()
    }
}

/// How a change ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// The new release runs.
    Kept,
    /// Nothing changed.
    Refused(Refusal),
    /// The old release runs again.
    RolledBack(ReasonCode),
}

/// Why a change could not be brought to an end. The journal holds it; the next [`Engine::recover`] goes on.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A record.
    #[error("a record of the install failed")]
    Store(#[from] StoreError),
    /// The slots, at a step from which there is only the way forward.
    #[error("the slots of {package} could not be brought in order; check the disk")]
    Slots {
        /// The package.
        package: PackageName,
        /// What failed.
        #[source]
        source: BeneathError,
    },
    /// Another change is under way: its journal is all that knows which product is stopped.
    #[error(
        "an earlier change of {package} is not at its end; that is tried again at the next contact, and comes first"
    )]
    Open {
        /// The package of the earlier change.
        package: PackageName,
    },
    /// The journal and the code disagree.
    #[error(transparent)]
    Illegal(#[from] IllegalTransition),
}

impl EngineError {
    /// Whether a test played a kill.
    #[must_use]
    pub const fn is_killed(&self) -> bool {
        matches!(self, Self::Journal(JournalError::Killed(Killed)))
    }
}

/// A step that did not succeed.
pub(super) enum StepFault {
    /// It was refused or failed; the state machine knows what follows.
    Failed(InstallStep, Refusal),
    /// The agent's own records failed.
    Engine(EngineError),
}

impl<E: Into<EngineError>> From<E> for StepFault {
    fn from(error: E) -> Self {
        Self::Engine(error.into())
    }
}

/// The engine.
#[derive(Debug)]
pub struct Engine<'a> {
    pub(super) ground: Ground<'a>,
    journal: Journal<'a>,
    spool: &'a mut Spool,
}

/// What a change brings with it, when its slot is still to be built.
pub(super) struct Brings<'v> {
    pub(super) vetted: &'v Vetted,
    pub(super) source: &'v mut dyn Source,
}

impl<'a> Engine<'a> {
    /// An engine on some ground. [`Engine::recover`] is to be called before anything else.
    #[must_use]
    pub fn new(ground: Ground<'a>, spool: &'a mut Spool) -> Self {
        Self { journal: Journal::of(ground.home, ground.faults), ground, spool }
    }

    /// The record of a package; empty for one that was never installed.
    ///
    /// # Errors
    /// [`StoreError`], also when it is damaged.
    pub fn record_of(&self, package: &PackageName) -> Result<PackageRecord, StoreError> {
        Ok(store::load(&self.ground.home.package_record(package))?.unwrap_or_default())
    }

    /// Installs a vetted release.
    ///
    /// # Errors
    /// [`EngineError`].
    pub fn install(
        &mut self,
        vetted: &Vetted,
        wanted: &PackageAssignment,
        source: &mut dyn Source,
    ) -> Result<Ended, EngineError> {
        self.ensure_nothing_open()?;
        let manifest = vetted.manifest();
        let record = self.record_of(&manifest.release.package)?;
        let to = Installed {
            slot: SlotId::of(&manifest.release.version, vetted.digest()),
            release: manifest.release.clone(),
            kind: manifest.kind,
            counter: manifest.counter,
            manifest: *vetted.digest(),
            rollout: wanted.rollout,
            attempt: wanted.attempt,
        };
        let change = Change {
            kind: ChangeKind::Install,
            from: record.current,
            to,
            step: Step::Preparing,
            interruptions: 0,
            why: None,
        };
        let before = self
            .sure_of_current(&change)
            .and_then(|()| self.sure_of_hooks(&change))
            .and_then(|()| build::ensure_room(self, vetted));
        if let Err(refusal) = before {
            self.report(&change, (InstallStep::Check, Outcome::Refused, refusal.reason), &refusal.detail);
            return Ok(Ended::Refused(refusal));
        }
        self.report(&change, (InstallStep::Check, Outcome::Ok, ReasonCode::Done), "");
        self.journal.record(&change)?;
        self.drive(change, Some(Brings { vetted, source }))
    }

    /// Switches back to the release before, because a person at the computer asks for it.
    ///
    /// # Errors
    /// [`EngineError`].
    pub fn roll_back(&mut self, package: &PackageName) -> Result<Ended, EngineError> {
        self.ensure_nothing_open()?;
        let record = self.record_of(package)?;
        let (Some(from), Some(to)) = (record.current, record.previous) else {
            return Ok(Ended::Refused(Refusal::new(
                ReasonCode::LocalFault,
                format!("there is no earlier release of {package} on this computer to go back to"),
            )));
        };
        let change = Change {
            kind: ChangeKind::LocalRollback,
            from: Some(from),
            to,
            step: Step::Preparing,
            interruptions: 0,
            why: None,
        };
        if let Err(refusal) = self.sure_of_current(&change).and_then(|()| self.sure_of_hooks(&change)) {
            return Ok(Ended::Refused(refusal));
        }
        self.journal.record(&change)?;
        self.drive(change, None)
    }

    /// Goes on with what an earlier process left in the middle; `None` if there was nothing. Idempotent.
    ///
    /// # Errors
    /// [`EngineError`].
    pub fn recover(&mut self) -> Result<Option<(PackageName, Ended)>, EngineError> {
        let Some(mut change) = self.journal.open_change()? else { return Ok(None) };
        let package = change.to.release.package.clone();
        tracing::warn!(%package, step = %change.step, "an install was interrupted; bringing it to its end");
        let ended = match recover(change.step, change.interruptions) {
            Recovery::Discard => {
                let detail = format!("the agent was stopped at the step {}", change.step);
                let refusal = Refusal::new(ReasonCode::Interrupted, detail);
                self.report(&change, (InstallStep::Build, Outcome::Refused, refusal.reason), &refusal.detail);
                self.discard(&change, refusal)?
            }
            Recovery::RestartOld => self.restart_old(&change)?,
            Recovery::Resume(step) => {
                change.step = step;
                self.note_interruption(&mut change)?;
                self.drive(change, None)?
            }
            Recovery::RollBack => {
                change.step = Step::RollingBack;
                change.why = Some(ReasonCode::Interrupted);
                self.note_interruption(&mut change)?;
                self.drive(change, None)?
            }
        };
        Ok(Some((package, ended)))
    }

    /// A new change would write over the journal of the open one.
    fn ensure_nothing_open(&self) -> Result<(), EngineError> {
        match self.journal.open_change()? {
            Some(open) => Err(EngineError::Open { package: open.to.release.package }),
            None => Ok(()),
        }
    }

    /// Counts one more interruption. With a full disk the count is lost, and starting the product comes first.
    fn note_interruption(&self, change: &mut Change) -> Result<(), EngineError> {
        change.interruptions = change.interruptions.saturating_add(1);
        match self.journal.record(change) {
            Err(JournalError::Store(error)) => {
                tracing::error!(
                    error = with_causes(&error),
                    "the journal cannot be written; going on all the same"
                );
                Ok(())
            }
            other => Ok(other?),
        }
    }

    fn drive(&mut self, mut change: Change, mut brings: Option<Brings<'_>>) -> Result<Ended, EngineError> {
        let mut refusal = None;
        loop {
            let event = match self.act(&change, brings.as_mut()) {
                Ok(()) => Event::Succeeded,
                Err(StepFault::Engine(error)) => return Err(error),
                Err(StepFault::Failed(step, why)) => {
                    let outcome = if change.step < Step::Trying { Outcome::Refused } else { Outcome::Failed };
                    tracing::warn!(release = %change.to.release, %step, reason = %why.reason, "{}", why.detail);
                    self.report(&change, (step, outcome, why.reason), &why.detail);
                    if change.why.is_none() {
                        change.why = Some(why.reason);
                    }
                    refusal = Some(why);
                    Event::Failed
                }
            };
            match advance(change.step, event)? {
                Next::Record(step) => self.record_step(&mut change, step)?,
                Next::Discard => {
                    let why =
                        refusal.unwrap_or_else(|| Refusal::new(ReasonCode::LocalFault, "it was not built"));
                    return self.discard(&change, why);
                }
                Next::EndKept => {
                    self.journal.clear()?;
                    return Ok(Ended::Kept);
                }
                Next::EndRolledBack => {
                    self.journal.clear()?;
                    return Ok(Ended::RolledBack(change.why.unwrap_or(ReasonCode::Interrupted)));
                }
            }
        }
    }

    /// Records a step. When the journal cannot be written and the product was touched, the way is back, and on the
    /// way back nothing stops: each of its steps can be repeated, and a started product comes before a tidy journal.
    fn record_step(&self, change: &mut Change, step: Step) -> Result<(), EngineError> {
        let touched = change.step >= Step::Trying;
        change.step = step;
        let failed = match self.journal.record(change) {
            Err(JournalError::Store(error)) if touched => error,
            other => return Ok(other?),
        };
        tracing::error!(%step, error = with_causes(&failed), "the journal cannot be written");
        if step < Step::RollingBack {
            change.step = Step::RollingBack;
            change.why.get_or_insert(ReasonCode::DiskFull);
        }
        Ok(())
    }

    /// Ends a change that did not touch the product.
    fn discard(&mut self, change: &Change, why: Refusal) -> Result<Ended, EngineError> {
        let package = &change.to.release.package;
        let mut record = self.record_of(package)?;
        // A release that the product cannot load would be fetched and tried again at every contact.
        if change.kind == ChangeKind::Install
            && matches!(why.reason, ReasonCode::HookFailed | ReasonCode::HookTimedOut)
        {
            record = record.with_given_up(&change.to, why.reason, self.now());
            self.save_record(package, &record)?;
        }
        match Slots::open(&self.ground.settings.install_root, package) {
            Ok(slots) => self.clean_up(change, &slots, &record),
            Err(error) => {
                tracing::warn!(%package, error = with_causes(&error), "slots could not be cleaned up")
            }
        }
        // What was removed may be the room that a report lacked.
        if let Err(error) = self.spool.flush() {
            tracing::error!(error = with_causes(&error), "reports are not on disk yet");
        }
        self.journal.clear()?;
        Ok(Ended::Refused(why))
    }

    /// The product may be stopped while the old release is in place: start it. The new release is not given up.
    fn restart_old(&mut self, change: &Change) -> Result<Ended, EngineError> {
        let package = &change.to.release.package;
        let in_the_way = |source| EngineError::Slots { package: package.clone(), source };
        let slots = Slots::open(&self.ground.settings.install_root, package).map_err(in_the_way)?;
        slots.switch(change.from.as_ref().map(|from| &from.slot)).map_err(in_the_way)?;
        match self.start_old(change, &slots) {
            Ok(()) => {}
            Err(StepFault::Failed(step, fault)) => {
                self.report(change, (step, Outcome::Failed, fault.reason), &fault.detail);
            }
            Err(StepFault::Engine(error)) => return Err(error),
        }
        let detail = "the agent was stopped before the switch; it is installed at the next contact";
        let why = Refusal::new(ReasonCode::Interrupted, detail);
        self.report(change, (InstallStep::Switch, Outcome::Refused, why.reason), detail);
        let record = self.record_of(package)?;
        self.clean_up(change, &slots, &record);
        self.journal.clear()?;
        Ok(Ended::Refused(why))
    }

    /// Removes slots and manifests that nobody needs. What cannot be removed now is removed after the next change.
    fn clean_up(&self, change: &Change, slots: &Slots, record: &PackageRecord) {
        let package = &change.to.release.package;
        if let Err(error) = slots.remove_others(&|name| record.needs(name)) {
            tracing::warn!(%package, error = with_causes(&error), "an old slot could not be removed");
        }
        let folder = self.ground.home.manifests(package);
        let Ok(entries) = std::fs::read_dir(&folder) else { return };
        for path in entries.flatten().map(|entry| entry.path()) {
            let slot = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
            if !record.needs(slot) {
                let _ = std::fs::remove_file(&path);
            }
        }
    }

    /// The link and the record must agree: else somebody else was at work, and nothing is built upon that.
    fn sure_of_current(&self, change: &Change) -> Result<(), Refusal> {
        let package = &change.to.release.package;
        let current = Slots::open(&self.ground.settings.install_root, package)
            .and_then(|slots| slots.current())
            .map_err(|error| local_fault("cannot use the slots", &error))?;
        if current == change.from.as_ref().map(|from| from.slot.clone()) {
            return Ok(());
        }
        Err(Refusal::new(
            ReasonCode::LocalFault,
            format!(
                "`current` of {package} is not what the agent set; put it back, see `agent-updater status`"
            ),
        ))
    }

    /// Every hook that the change may need can be run now.
    fn sure_of_hooks(&self, change: &Change) -> Result<(), Refusal> {
        let slots = Slots::open(&self.ground.settings.install_root, &change.to.release.package)
            .map_err(|error| local_fault("cannot use the slots", &error))?;
        ensure_all_runnable(self.config_of(change), slots.path())
            .map_err(|fault| Refusal::new(fault.reason, fault.detail))
    }

    fn slots(&self, change: &Change) -> Result<Slots, StepFault> {
        let package = &change.to.release.package;
        Slots::open(&self.ground.settings.install_root, package)
            .map_err(|source| StepFault::Engine(EngineError::Slots { package: package.clone(), source }))
    }

    fn config_of(&self, change: &Change) -> &'a PackageConfig {
        self.ground.settings.package(&change.to.release.package)
    }

    fn save_record(&self, package: &PackageName, record: &PackageRecord) -> Result<(), StoreError> {
        store::save(&self.ground.home.package_record(package), record, PUBLIC)
    }

    fn now(&self) -> Timestamp {
        whole_seconds(self.ground.clock.now())
    }

    pub(super) fn report(&mut self, change: &Change, what: (InstallStep, Outcome, ReasonCode), detail: &str) {
        let rollout = if change.kind == ChangeKind::Install { change.to.rollout } else { 0 };
        self.tell(&subject(&change.to, rollout), what, detail);
    }

    /// Reports. What the disk does not take now is kept with the next report that it does take: a report that is late
    /// is better than a product that stays stopped, or a half-built slot that fills the disk for ever.
    pub(super) fn tell(&mut self, about: &Subject, what: (InstallStep, Outcome, ReasonCode), detail: &str) {
        if let Err(error) = self.spool.add(self.now(), about, what, detail) {
            tracing::error!(error = with_causes(&error), "a report is not on disk yet");
        }
    }
}

fn subject(about: &Installed, rollout: u64) -> Subject {
    Subject { release: about.release.clone(), manifest: about.manifest, rollout, attempt: about.attempt }
}

fn occasion<'i>(about: &'i Installed, slots: &Slots) -> Occasion<'i> {
    Occasion { release: &about.release, slot: slots.path_of(&about.slot), current: slots.current_path() }
}

pub(super) fn local_fault(what: &str, error: &dyn std::error::Error) -> Refusal {
    Refusal::new(ReasonCode::LocalFault, format!("{what}: {}", with_causes(error)))
}
