//! The engine: begins, drives, recovers and ends a change; see the invariants of [`crate::flows::install`].

use sealpost_files::with_causes;
use sealpost_manifests::ids::PackageName;
use sealpost_manifests::wire::report::{InstallStep, Outcome, ReasonCode};

use crate::domain::install::{JournalStep, Names, Next, Recovery, StepResult, advance, recovery};
use crate::domain::not_started::StartFault;
use crate::domain::record::{Change, ChangeKind, Installed, PackageRecord, SlotId};
use crate::domain::release::Refusal;
use crate::flows::context::Host;
use crate::flows::self_update::begin::{Begun, NotBegun, begin, ensure_newest};
use crate::flows::self_update::settle::SettleError;
use crate::flows::{install_root, linked};
use crate::journal::{Journal, JournalError};
use crate::ports::Source;
use crate::records::packages;
use crate::slots::{Current, Slots};
use crate::spool::Spool;

use super::actions::{Actions, open_slots, put_back};
use super::build::NewRelease;
use super::checks::{Ground, ensure_hooks_can_run, ensure_room, ground};
use super::clean_up::{clean_up, clean_up_but};
use super::fault::{ActionFault, ChangeEnd, EngineError, NotNow, down};
use super::report::Reporter;
use super::terms::Terms;
use super::vetted::VettedRelease;

#[derive(Debug)]
pub struct Engine<'a> {
    host: &'a Host,
    journal: Journal<'a>,
    actions: Actions<'a>,
}

impl<'a> Engine<'a> {
    /// An engine for this computer. [`Engine::recover`] is to be called before anything else.
    #[must_use]
    pub fn new(host: &'a Host, spool: &'a mut Spool) -> Self {
        let journal = Journal::of(&host.home, &*host.faults);
        Self { host, journal, actions: Actions::new(host, Reporter::new(host, spool)) }
    }

    /// Installs a vetted release as far as the terms let it now. If it may not touch the product yet, what was built and
    /// test-loaded is kept, and is digested and loaded again by the call that goes on.
    ///
    /// # Errors
    /// [`EngineError`].
    pub fn install(
        &mut self,
        vetted: &VettedRelease,
        terms: Terms,
        source: &mut dyn Source,
    ) -> Result<ChangeEnd, EngineError> {
        self.ensure_nothing_open()?;
        let wanted = &terms.wanted;
        let manifest = vetted.manifest();
        let record = linked::load(self.host, &manifest.release.package)?;
        let to = Installed {
            slot: SlotId::of(&manifest.release.version, vetted.digest()),
            release: manifest.release.clone(),
            kind: manifest.kind,
            counter: manifest.counter,
            manifest: *vetted.digest(),
            rollout: wanted.rollout,
            attempt: wanted.attempt,
            ring: wanted.ring.clone(),
        };
        let (change, checked) = self.begun(ChangeKind::Install, &record, to);
        let checked = checked.and_then(|()| ensure_room(self.host, &change, manifest));
        if let Err(refusal) = checked {
            self.report(&change, (InstallStep::Check, Outcome::Refused, refusal.reason), &refusal.detail);
            return Ok(ChangeEnd::Refused(refusal));
        }
        self.report(&change, (InstallStep::Check, Outcome::Ok, ReasonCode::Done), "");
        self.journal.record(&change)?;
        self.actions.terms = Some(terms);
        self.drive(change, Some(NewRelease::new(vetted, source)))
    }

    /// Switches back to the previous release, because a person at the computer asks for it.
    ///
    /// # Errors
    /// [`EngineError`].
    pub fn roll_back(&mut self, package: &PackageName) -> Result<ChangeEnd, EngineError> {
        self.ensure_nothing_open()?;
        let record = linked::load(self.host, package)?;
        let (Some(_), Some(to)) = (&record.current, record.previous.clone()) else {
            return Ok(ChangeEnd::Refused(Refusal::new(
                ReasonCode::LocalFault,
                format!("there is no earlier release of {package} on this computer to go back to"),
            )));
        };
        self.go_back(ChangeKind::LocalRollback, &record, to)
    }

    /// Switches back to a kept release, because the site asks for it; the caller checked that its bounds let it.
    ///
    /// # Errors
    /// [`EngineError`].
    pub fn roll_back_for_site(&mut self, to: Installed, terms: Terms) -> Result<ChangeEnd, EngineError> {
        self.ensure_nothing_open()?;
        self.actions.terms = Some(terms);
        let record = linked::load(self.host, &to.release.package)?;
        self.go_back(ChangeKind::SiteRollback, &record, to)
    }

    fn go_back(
        &mut self,
        kind: ChangeKind,
        record: &PackageRecord,
        to: Installed,
    ) -> Result<ChangeEnd, EngineError> {
        let (change, checked) = self.begun(kind, record, to);
        if let Err(refusal) = checked {
            if change.kind == ChangeKind::SiteRollback {
                let what = (InstallStep::Check, Outcome::Refused, refusal.reason);
                self.report(&change, what, &refusal.detail);
            }
            return Ok(ChangeEnd::Refused(refusal));
        }
        self.journal.record(&change)?;
        self.drive(change, None)
    }

    /// Puts the installed release in its place again and starts it, because a person at the computer asks for it: from
    /// its bytes, if `built_from` brings them, else from its slot, which must be whole then.
    ///
    /// # Errors
    /// [`EngineError`].
    pub fn repair(
        &mut self,
        installed: &Installed,
        built_from: Option<(&VettedRelease, &mut dyn Source)>,
    ) -> Result<ChangeEnd, EngineError> {
        self.ensure_nothing_open()?;
        let change = Change::new(ChangeKind::Repair, Some(installed.clone()), None, installed.clone());
        let room = install_root::ensure(self.host).and_then(|()| {
            built_from
                .as_ref()
                .map_or(Ok(()), |(vetted, _)| ensure_room(self.host, &change, vetted.manifest()))
        });
        if let Err(refusal) = room.and_then(|()| ensure_hooks_can_run(self.host, &change)) {
            self.report(&change, (InstallStep::Check, Outcome::Refused, refusal.reason), &refusal.detail);
            return Ok(ChangeEnd::Refused(refusal));
        }
        // Whoever reads the reports sees why this release is built again.
        self.report(&change, (InstallStep::Check, Outcome::Ok, ReasonCode::AskedLocally), "repaired");
        self.journal.record(&change)?;
        let new = built_from.map(|(vetted, source)| NewRelease::new(vetted, source));
        self.drive(change, new)
    }

    /// Continues a change that an earlier process left open, by what the slots say; `None` if there was none. Then the
    /// records follow the links. Idempotent.
    ///
    /// # Errors
    /// [`EngineError`].
    pub fn recover(&mut self) -> Result<Option<(PackageName, ChangeEnd)>, EngineError> {
        let end = self.end_open_change()?;
        linked::keep(self.host);
        Ok(end)
    }

    fn end_open_change(&mut self) -> Result<Option<(PackageName, ChangeEnd)>, EngineError> {
        let Some(mut change) = self.journal.open_change()? else { return Ok(None) };
        let package = change.to.release.package.clone();
        // Nothing can be finished there, and it must not end as if it had failed.
        if let Some(problem) = install_root::problem(self.host) {
            return Err(EngineError::InstallRoot(problem));
        }
        let names = self.names(&change)?;
        tracing::warn!(%package, step = %change.step, current = ?names, "an install was interrupted; finishing it");
        let end = match recovery(change.step, change.interruptions, names) {
            Recovery::Discard => {
                let detail = format!("the agent was stopped at the step {}", change.step);
                let refusal = Refusal::new(ReasonCode::Interrupted, detail);
                self.report(&change, (InstallStep::Build, Outcome::Refused, refusal.reason), &refusal.detail);
                self.discard(&change, refusal)?
            }
            Recovery::RestartOld => self.restart_old(&change)?,
            Recovery::Resume(step) => {
                change.step = step;
                self.count_interruption(&mut change)?;
                self.drive(change, None)?
            }
            Recovery::RollBack => {
                change.step = JournalStep::RollingBack;
                change.why = Some(ReasonCode::Interrupted);
                self.count_interruption(&mut change)?;
                self.drive(change, None)?
            }
        };
        Ok(Some((package, end)))
    }

    /// What `current` names of a change. Before the product is touched that decides nothing.
    fn names(&self, change: &Change) -> Result<Names, EngineError> {
        if change.step < JournalStep::Trying {
            return Ok(Names::Neither);
        }
        let slots = open_slots(self.host, change)?;
        let package = change.to.release.package.clone();
        match slots.find_current().map_err(|source| EngineError::Slots { package, source })? {
            Current::Slot(slot) => Ok(change.names(Some(&slot))),
            Current::Nothing => Ok(change.names(None)),
            Current::OtherLink | Current::NoLink => Ok(Names::Neither),
        }
    }

    /// A change at its first step, and whether it may begin.
    fn begun(
        &self,
        kind: ChangeKind,
        record: &PackageRecord,
        to: Installed,
    ) -> (Change, Result<(), Refusal>) {
        let found =
            install_root::ensure(self.host).and_then(|()| ground(self.host, &to.release.package, record));
        let (ground, found) = match found {
            Ok(ground) => (ground, Ok(())),
            Err(refusal) => (Ground { from: record.current.clone(), lost: None }, Err(refusal)),
        };
        let Ground { from, lost } = ground;
        let change = Change::new(kind, from, lost, to);
        let checked = found
            .and_then(|()| ensure_hooks_can_run(self.host, &change))
            .and_then(|()| ensure_newest(self.host, &change));
        (change, checked)
    }

    /// A new change would overwrite the journal of the open one.
    fn ensure_nothing_open(&self) -> Result<(), EngineError> {
        match self.journal.open_change()? {
            Some(open) => Err(EngineError::Open { package: open.to.release.package }),
            None => Ok(()),
        }
    }

    /// Counts one more interruption. If the disk is full, the count is lost: starting the product is more important.
    fn count_interruption(&self, change: &mut Change) -> Result<(), EngineError> {
        change.interruptions = change.interruptions.saturating_add(1);
        match self.journal.record(change) {
            Err(JournalError::Store(error)) => {
                tracing::error!(
                    error = with_causes(&error),
                    "the journal cannot be written; continuing without it"
                );
                Ok(())
            }
            other => Ok(other?),
        }
    }

    fn drive(
        &mut self,
        mut change: Change,
        mut new: Option<NewRelease<'_>>,
    ) -> Result<ChangeEnd, EngineError> {
        let mut refusal = None;
        loop {
            let result = match self.actions.act(&change, new.as_mut()) {
                Ok(()) => {
                    if change.step == JournalStep::SwitchedBack {
                        change.not_started = None;
                    }
                    StepResult::Succeeded
                }
                Err(ActionFault::Engine(error)) => return Err(error),
                Err(ActionFault::NotNow(why)) => return self.put_by(&change, why),
                Err(ActionFault::Failed(step, why)) => {
                    let outcome =
                        if change.step < JournalStep::Trying { Outcome::Refused } else { Outcome::Failed };
                    tracing::warn!(release = %change.to.release, %step, reason = %why.reason, "{}", why.detail);
                    self.report(&change, (step, outcome, why.reason), &why.detail);
                    if change.step == JournalStep::SwitchedBack {
                        change.not_started =
                            Some(StartFault { reason: why.reason, detail: why.detail.clone() });
                    } else if change.why.is_none() {
                        change.why = Some(why.reason);
                        change.detail = Some(why.detail.clone());
                    }
                    refusal = Some(why);
                    StepResult::Failed
                }
            };
            match advance(change.step, result)? {
                Next::Record(JournalStep::Trying) if change.to.release.package.is_agent() => {
                    return self.begin_trial(&change);
                }
                Next::Record(step) => self.record_step(&mut change, step)?,
                Next::Discard => {
                    let why =
                        refusal.unwrap_or_else(|| Refusal::new(ReasonCode::LocalFault, "it was not built"));
                    return self.discard(&change, why);
                }
                Next::EndKept => {
                    self.journal.clear()?;
                    return Ok(ChangeEnd::Kept);
                }
                Next::EndRolledBack => {
                    self.journal.clear()?;
                    let why = change.why.unwrap_or(ReasonCode::Interrupted);
                    return Ok(match change.not_started.as_ref().zip(change.from.as_ref()) {
                        Some((fault, from)) => ChangeEnd::Down(down(&from.release, fault)),
                        None => ChangeEnd::RolledBack(why),
                    });
                }
            }
        }
    }

    /// The agent's own release is not switched to: it goes on trial, beside this program, unless it is this program. From here
    /// on the record of the trial leads on, and not the journal.
    fn begin_trial(&mut self, change: &Change) -> Result<ChangeEnd, EngineError> {
        self.journal.clear()?;
        match begin(self.host, change) {
            Ok(Begun::RunsAlready) => {
                match self.actions.reporter.note_end_of_trial() {
                    Ok(()) => {}
                    Err(SettleError::Killed(killed)) => return Err(JournalError::Killed(killed).into()),
                    // It stays in the record, and the next cycle tries again.
                    Err(error) => {
                        tracing::error!(release = %change.to.release, error = with_causes(&error), "cannot be noted yet");
                    }
                }
                Ok(ChangeEnd::Kept)
            }
            Ok(Begun::Trial) => {
                let detail = "on trial beside the agent of before; kept once it completed a contact";
                self.report(change, (InstallStep::Switch, Outcome::Ok, ReasonCode::Done), detail);
                Ok(ChangeEnd::OnTrial)
            }
            Err(NotBegun::Killed(killed)) => Err(JournalError::Killed(killed).into()),
            Err(NotBegun::Refused(refusal)) => {
                self.report(change, (InstallStep::Switch, Outcome::Refused, refusal.reason), &refusal.detail);
                self.discard(change, refusal)
            }
        }
    }

    /// Records a step. If the journal cannot be written and the product was touched, the change is rolled back, and
    /// from then on a failing journal stops nothing: each step on the way back can be repeated, and starting the
    /// product is more important than the journal.
    fn record_step(&self, change: &mut Change, step: JournalStep) -> Result<(), EngineError> {
        let touched = change.step >= JournalStep::Trying;
        change.step = step;
        let failed = match self.journal.record(change) {
            Err(JournalError::Store(error)) if touched => error,
            other => return Ok(other?),
        };
        tracing::error!(%step, error = with_causes(&failed), "the journal cannot be written");
        if step < JournalStep::RollingBack {
            change.step = JournalStep::RollingBack;
            change.why.get_or_insert(ReasonCode::DiskFull);
        }
        Ok(())
    }

    /// Ends a change whose time has not come: the product was not touched, and what was built is kept for it.
    fn put_by(&mut self, change: &Change, why: NotNow) -> Result<ChangeEnd, EngineError> {
        if let NotNow::LinkBusy { again_in } = why {
            self.journal.clear()?;
            tracing::info!(release = %change.to.release, ?again_in, "not fetched yet: the link is in use");
            return Ok(ChangeEnd::NotNow(why));
        }
        if change.step == JournalStep::Preparing {
            self.journal.clear()?;
            tracing::info!(release = %change.to.release, ?why, "fetched; nothing of it is unpacked yet");
            return Ok(ChangeEnd::NotNow(why));
        }
        if change.kind == ChangeKind::Install {
            let package = &change.to.release.package;
            let record = packages::load(&self.host.home, package)?;
            let prepared = Some(change.to.clone());
            if record.prepared != prepared {
                let record = PackageRecord { prepared, ..record };
                packages::save(&self.host.home, package, &record)?;
                // A release that was made ready before it goes.
                clean_up(self.host, change, &open_slots(self.host, change)?, &record);
            }
        }
        self.journal.clear()?;
        tracing::info!(release = %change.to.release, ?why, "ready; the product is not touched yet");
        Ok(ChangeEnd::NotNow(why))
    }

    /// Ends a change that did not touch the product.
    fn discard(&mut self, change: &Change, why: Refusal) -> Result<ChangeEnd, EngineError> {
        let package = &change.to.release.package;
        let mut record = packages::load(&self.host.home, package)?;
        // A release that the product cannot load would otherwise be fetched and tried again at every contact.
        if change.kind == ChangeKind::Install
            && matches!(
                why.reason,
                ReasonCode::HookFailed | ReasonCode::HookTimedOut | ReasonCode::AgentFailed
            )
        {
            record = record.with_failed(&change.to, (why.reason, &why.detail), self.host.now());
            packages::save(&self.host.home, package, &record)?;
        }
        let is_cut_off = change.kind == ChangeKind::Install && why.reason == ReasonCode::Interrupted;
        let begun = is_cut_off.then_some(&change.to.slot);
        match Slots::open(&self.host.settings.install_root, package) {
            Ok(slots) => clean_up_but(self.host, change, &slots, &record, begun),
            Err(error) => {
                tracing::warn!(%package, error = with_causes(&error), "slots could not be cleaned up");
            }
        }
        // The clean-up may have made room for reports that could not be written.
        self.actions.reporter.flush();
        self.journal.clear()?;
        Ok(ChangeEnd::Refused(why))
    }

    /// The product may be stopped while the old release is in place: start it. The new release is not given up.
    fn restart_old(&mut self, change: &Change) -> Result<ChangeEnd, EngineError> {
        let package = &change.to.release.package;
        let slots = open_slots(self.host, change)?;
        put_back(self.host, change, &slots)
            .map_err(|source| EngineError::Slots { package: package.clone(), source })?;
        let fault = match self.actions.start_old(change, &slots) {
            Ok(()) => None,
            Err(ActionFault::Failed(step, fault)) => {
                self.report(change, (step, Outcome::Failed, fault.reason), &fault.detail);
                Some(StartFault { reason: fault.reason, detail: fault.detail })
            }
            Err(ActionFault::Engine(error)) => return Err(error),
            // Only what comes before the stop waits.
            Err(ActionFault::NotNow(_)) => None,
        };
        let down = fault.as_ref().zip(change.from.as_ref()).map(|(fault, from)| down(&from.release, fault));
        let mut detail =
            "the agent was stopped before the switch; it is installed at the next contact".to_owned();
        if let Some(down) = &down {
            detail = format!("{detail}; {}", down.detail);
        }
        let why = Refusal::new(ReasonCode::Interrupted, detail);
        self.report(change, (InstallStep::Switch, Outcome::Refused, why.reason), &why.detail);
        let record = packages::load(&self.host.home, package)?;
        clean_up_but(self.host, change, &slots, &record, Some(&change.to.slot));
        if let Some(from) = &change.from {
            let after = record.clone().after_start(&from.release, fault.as_ref(), self.host.now());
            if after != record {
                packages::save(&self.host.home, package, &after)?;
            }
        }
        self.journal.clear()?;
        Ok(down.map_or(ChangeEnd::Refused(why), ChangeEnd::Down))
    }

    fn report(&mut self, change: &Change, what: (InstallStep, Outcome, ReasonCode), detail: &str) {
        self.actions.reporter.step(change, what, detail);
    }
}
