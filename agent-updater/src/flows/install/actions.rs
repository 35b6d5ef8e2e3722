//! The action that follows each recorded step. Which step follows an action is decided by the state machine.
//!
//! Invariant: every action can be repeated after a crash in its middle: a switch names its target, keeping a record is
//! idempotent, and the administrator's hooks must tolerate being run again.

use std::sync::atomic::Ordering;

use sealpost_files::with_causes;
use sealpost_manifests::wire::report::{InstallStep, MAX_DETAIL_BYTES, Outcome, ReasonCode, Way};

use crate::domain::install::JournalStep;
use crate::domain::not_started::shortened;
use crate::domain::record::{Change, ChangeKind, Installed, SlotId};
use crate::domain::release::Refusal;
use crate::flows::context::Host;
use crate::flows::self_update::begin::ensure_starts;
use crate::hooks::{Hook, HookContext, HookDone, Ready, ask_ready, run_hook};
use crate::records::{manifests, packages};
use crate::slots::beneath::BeneathError;
use crate::slots::{Current, Slots};
use crate::spool::Measured;

use super::build::{BuiltFrom, NewRelease, build, build_beside};
use super::checks::ensure_hooks_can_run;
use super::clean_up::clean_up;
use super::fault::{ActionFault, EngineError, NotNow, down, local_fault};
use super::report::Reporter;
use super::terms::Terms;

/// The actions of a change.
#[derive(Debug)]
pub(super) struct Actions<'a> {
    host: &'a Host,
    pub(super) reporter: Reporter<'a>,
    /// When the change may touch the product; `None` if nothing is waited for.
    pub(super) terms: Option<Terms>,
}

impl<'a> Actions<'a> {
    pub(super) const fn new(host: &'a Host, reporter: Reporter<'a>) -> Self {
        Self { host, reporter, terms: None }
    }

    /// The action that follows the recorded step of a change.
    pub(super) fn act(
        &mut self,
        change: &Change,
        new: Option<&mut NewRelease<'_>>,
    ) -> Result<(), ActionFault> {
        let slots = open_slots(self.host, change)?;
        self.reporter.begin();
        match change.step {
            JournalStep::Preparing => self.prepare(change, &slots, new),
            JournalStep::Built => self.test_load(change, &slots),
            JournalStep::Tested => self.check_before_stop(change, &slots),
            JournalStep::Trying => self.stop_old(change, &slots),
            JournalStep::Stopped => self.switch(change, &slots),
            JournalStep::Switched => self.hook(change, &change.to, &slots, Hook::Start, InstallStep::Start),
            JournalStep::Started => self.hook(change, &change.to, &slots, Hook::Health, InstallStep::Health),
            JournalStep::Healthy => self.keep(change, &slots),
            JournalStep::RollingBack => self.switch_back(change, &slots),
            JournalStep::SwitchedBack => self.start_old(change, &slots),
            JournalStep::Restored => self.record_rollback(change, &slots),
        }
    }

    /// Starts the old release, if there is one.
    pub(super) fn start_old(&mut self, change: &Change, slots: &Slots) -> Result<(), ActionFault> {
        let Some(from) = &change.from else { return Ok(()) };
        self.hook(change, from, slots, Hook::Start, InstallStep::Start)
    }

    fn prepare(
        &mut self,
        change: &Change,
        slots: &Slots,
        new: Option<&mut NewRelease<'_>>,
    ) -> Result<(), ActionFault> {
        let Some(new) = new else {
            self.check_slot_of_rollback(change, slots)?;
            self.reporter.step(change, (InstallStep::Build, Outcome::Ok, ReasonCode::Done), "");
            return Ok(());
        };
        let host = self.host;
        let built_from = match change.kind {
            ChangeKind::Repair => build_beside(host, change, slots, new)?,
            _ => build(host, change, slots, new, &mut || self.ask_product(change, slots))?,
        };
        let how = match built_from {
            BuiltFrom::Deltas(way) => Some((ReasonCode::ByDelta, way)),
            BuiltFrom::Payload => Some((ReasonCode::ByPayload, Way::Gzip)),
            BuiltFrom::ExistingSlot | BuiltFrom::OwnProgram => None,
        };
        if let Some((how, way)) = how {
            let what = (InstallStep::Download, Outcome::Ok, how);
            let (bytes, duration) = (Some(new.source.traveled()), Some(new.fetching));
            self.reporter.measured_step(change, what, "", Measured { way: Some(way), bytes, duration });
        }
        self.reporter.step(change, (InstallStep::Build, Outcome::Ok, ReasonCode::Done), "");
        Ok(())
    }

    fn check_slot_of_rollback(&self, change: &Change, slots: &Slots) -> Result<(), ActionFault> {
        let failed = |refusal| ActionFault::Failed(InstallStep::Build, refusal);
        let manifest = manifests::read(&self.host.home, &change.to)
            .map_err(|error| failed(local_fault("cannot go back", &error)))?;
        slots
            .check(&change.to.slot, &manifest)
            .map_err(|error| failed(local_fault("cannot go back to a changed slot", &error)))
    }

    fn test_load(&mut self, change: &Change, slots: &Slots) -> Result<(), ActionFault> {
        if change.kind.asked_back().is_some() {
            // It ran here before, and somebody asks for it because something is wrong now.
            return Ok(());
        }
        if change.to.release.package.is_agent() {
            return ensure_starts(self.host, change)
                .map_err(|refusal| ActionFault::Failed(InstallStep::TestLoad, refusal));
        }
        let failed = |refusal| ActionFault::Failed(InstallStep::TestLoad, refusal);
        let manifest = manifests::read(&self.host.home, &change.to)
            .map_err(|error| failed(local_fault("cannot digest again", &error)))?;
        if change.kind == ChangeKind::Repair {
            // The product loaded this release before. What was built is digested once more before it is used.
            return match slots.has_beside(&change.to.slot) {
                Ok(true) => slots.check_beside(&change.to.slot, &manifest),
                _ => slots.check(&change.to.slot, &manifest),
            }
            .map_err(|error| failed(local_fault("what was built is not what was signed", &error)));
        }
        self.hook(change, &change.to, slots, Hook::TestLoad, InstallStep::TestLoad)?;
        // The hook is a foreign program and had the slot's path: digest the slot as it is now.
        slots.check(&change.to.slot, &manifest).map_err(|error| {
            let detail = format!("the slot was changed while it was test-loaded: {}", with_causes(&error));
            failed(Refusal::new(ReasonCode::PayloadInvalid, detail))
        })
    }

    fn check_before_stop(&mut self, change: &Change, slots: &Slots) -> Result<(), ActionFault> {
        // Fetching and test-loading may have taken long: the times are judged again.
        if let Some(not_now) = self.terms.as_ref().and_then(|terms| terms.not_now(self.host.now())) {
            return Err(ActionFault::NotNow(not_now));
        }
        if self.host.stop.load(Ordering::SeqCst) {
            let detail =
                format!("the agent is stopping; {} is installed after its next start", change.to.release);
            return Err(ActionFault::Failed(
                InstallStep::Stop,
                Refusal::new(ReasonCode::Interrupted, detail),
            ));
        }
        // From here on the product depends on its hooks.
        ensure_hooks_can_run(self.host, change)
            .map_err(|refusal| ActionFault::Failed(InstallStep::Stop, refusal))?;
        self.ask_product(change, slots)
    }

    /// Asks the product, if the terms ask it: before what was fetched is applied, because that is heavy work on the computer
    /// (the scan or the meeting for which it says "not now" suffers from it), and again before the stop, if that comes more
    /// than a moment later.
    fn ask_product(&mut self, change: &Change, slots: &Slots) -> Result<(), ActionFault> {
        let Some(terms) = self.terms.as_mut().filter(|terms| terms.asks_product(self.host.now())) else {
            return Ok(());
        };
        let config = self.host.settings.package(&change.to.release.package);
        match ask_ready(&self.host.runner, config, &hook_context(&change.to, slots)) {
            Ready::Yes => terms.ready_at = Some(self.host.now()),
            Ready::NotNow => return Err(ActionFault::NotNow(NotNow::Declined)),
            Ready::Broken(fault) => {
                terms.ready_at = Some(self.host.now());
                let detail = format!("{}; that counts as ready, and the change goes on", fault.detail);
                tracing::warn!(release = %change.to.release, reason = %fault.reason, "{detail}");
                self.reporter.step(change, (InstallStep::Check, Outcome::Ok, fault.reason), &detail);
            }
        }
        Ok(())
    }

    fn stop_old(&mut self, change: &Change, slots: &Slots) -> Result<(), ActionFault> {
        if let Some(from) = &change.from {
            return self.hook(change, from, slots, Hook::Stop, InstallStep::Stop);
        }
        // It may run on, without its files. If it cannot be stopped, the new release is started all the same.
        if let Some(lost) = &change.lost
            && let Err(fault) = self.hook(change, lost, slots, Hook::Stop, InstallStep::Stop)
        {
            match fault {
                ActionFault::Failed(step, fault) => {
                    self.reporter.step(change, (step, Outcome::Failed, fault.reason), &fault.detail);
                }
                ActionFault::Engine(_) | ActionFault::NotNow(_) => return Err(fault),
            }
        }
        Ok(())
    }

    fn switch(&mut self, change: &Change, slots: &Slots) -> Result<(), ActionFault> {
        let switched = if change.kind == ChangeKind::Repair {
            self.put_right(change, slots)
        } else {
            slots.switch(Some(&change.to.slot)).map_err(|error| local_fault("cannot switch", &error))
        };
        switched.map_err(|refusal| ActionFault::Failed(InstallStep::Switch, refusal))?;
        self.reporter.step(change, (InstallStep::Switch, Outcome::Ok, ReasonCode::Done), "");
        Ok(())
    }

    /// Puts the slot of a repair in its place, and the link to it.
    fn put_right(&self, change: &Change, slots: &Slots) -> Result<(), Refusal> {
        let failed = |error: BeneathError| local_fault("cannot put it right", &error);
        let manifest = manifests::read(&self.host.home, &change.to)
            .map_err(|error| local_fault("cannot digest again", &error))?;
        if !slots.replace(&change.to.slot, &manifest).map_err(failed)? {
            let detail = "what was built was changed before it was put in its place";
            return Err(Refusal::new(ReasonCode::LocalFault, detail));
        }
        slots.put_no_link_aside().map_err(failed)?;
        slots.switch(Some(&change.to.slot)).map_err(failed)
    }

    fn hook(
        &mut self,
        change: &Change,
        about: &Installed,
        slots: &Slots,
        hook: Hook,
        step: InstallStep,
    ) -> Result<(), ActionFault> {
        let config = self.host.settings.package(&change.to.release.package);
        match run_hook(&self.host.runner, hook, config, &hook_context(about, slots)) {
            Ok(done) => {
                let reason = if done == HookDone::Ran { ReasonCode::Done } else { ReasonCode::NoHook };
                self.reporter.step(change, (step, Outcome::Ok, reason), "");
                Ok(())
            }
            Err(fault) => Err(ActionFault::Failed(step, Refusal::new(fault.reason, fault.detail))),
        }
    }

    fn keep(&mut self, change: &Change, slots: &Slots) -> Result<(), ActionFault> {
        let package = &change.to.release.package;
        let record = packages::load(&self.host.home, package)?.kept(change, self.host.now());
        packages::save(&self.host.home, package, &record)?;
        clean_up(self.host, change, slots, &record);
        self.report_kept(change);
        tracing::info!(release = %change.to.release, "kept");
        Ok(())
    }

    fn report_kept(&mut self, change: &Change) {
        if let Some(reason) = change.kind.asked_back() {
            let left = change.left().unwrap_or(&change.to);
            self.reporter.left_by_rollback(change, left, reason);
        }
        if change.kind != ChangeKind::LocalRollback {
            self.reporter.step(change, (InstallStep::Keep, Outcome::Ok, ReasonCode::Done), "");
        }
    }

    fn switch_back(&mut self, change: &Change, slots: &Slots) -> Result<(), ActionFault> {
        let package = &change.to.release.package;
        let unusable = |source| EngineError::Slots { package: package.clone(), source };
        let is_new = Current::Slot(change.to.slot.clone());
        if change.kind != ChangeKind::Repair && slots.find_current().map_err(unusable)? == is_new {
            // The new release may be running; if it cannot be stopped, the old one is put back all the same.
            let config = self.host.settings.package(package);
            if let Err(fault) =
                run_hook(&self.host.runner, Hook::Stop, config, &hook_context(&change.to, slots))
            {
                let what = (InstallStep::Stop, Outcome::Failed, fault.reason);
                self.reporter.step(change, what, &fault.detail);
            }
        }
        put_back(self.host, change, slots).map_err(unusable)?;
        Ok(())
    }

    fn record_rollback(&mut self, change: &Change, slots: &Slots) -> Result<(), ActionFault> {
        let package = &change.to.release.package;
        let why = change.why.unwrap_or(ReasonCode::Interrupted);
        let before = packages::load(&self.host.home, package)?;
        let mut record = before.clone();
        // Without this, what the server asked for would be tried again at every contact.
        if matches!(change.kind, ChangeKind::Install | ChangeKind::SiteRollback) {
            record = record.rolled_back(change, why, self.host.now());
        }
        if let Some(from) = &change.from {
            record = record.after_start(&from.release, change.not_started.as_ref(), self.host.now());
        }
        // On a full disk this makes the room for the record.
        clean_up(self.host, change, slots, &record);
        if record != before {
            packages::save(&self.host.home, package, &record)?;
        }
        if change.kind == ChangeKind::Repair {
            tracing::warn!(release = %change.to.release, reason = %why, "the repair did not end well");
            return Ok(());
        }
        let outcome = if change.not_started.is_some() { Outcome::Failed } else { Outcome::Ok };
        self.reporter.step(change, (InstallStep::RollBack, outcome, why), &self.rolled_back_detail(change));
        tracing::warn!(release = %change.to.release, reason = %why, "rolled back");
        Ok(())
    }

    /// What the server is told of a rollback: what became of the old release, and the last words of what failed. It is the
    /// newest report of the package, so nothing else says why.
    fn rolled_back_detail(&self, change: &Change) -> String {
        let config = self.host.settings.package(&change.to.release.package);
        let state = match (&change.from, &change.not_started) {
            (None, _) => "nothing of this package is installed".to_owned(),
            (Some(from), Some(fault)) => down(&from.release, fault).detail,
            (Some(from), None) if Hook::Start.is_configured(config) => {
                format!("{} was started again", from.release)
            }
            (Some(from), None) => {
                format!("{} is in its place again, and no start hook is configured", from.release)
            }
        };
        let state = format!("{state}; the release that was given up is not retried automatically");
        let room = MAX_DETAIL_BYTES.saturating_sub(state.len() + 2);
        match change.detail.as_deref() {
            Some(words) if room > 0 => format!("{}; {state}", shortened(words, room)),
            _ => state,
        }
    }
}

/// Whether the product says "not now" about a release that is ready or fetched, before a change begins. Its "yes" is kept in
/// the terms. One that does not answer as it may is asked again, and heard of, by the change.
#[must_use]
pub fn declines(host: &Host, terms: &mut Terms) -> bool {
    let release = &terms.wanted.release;
    let Ok(Some(slots)) = Slots::find(&host.settings.install_root, &release.package) else { return false };
    if !terms.asks_product(host.now()) {
        return false;
    }
    let slot = slots.path_of(&SlotId::of(&release.version, &terms.wanted.manifest));
    let context = HookContext { release, slot, current: slots.current_path() };
    let answer = ask_ready(&host.runner, host.settings.package(&release.package), &context);
    if answer == Ready::Yes {
        terms.ready_at = Some(host.now());
    }
    answer == Ready::NotNow
}

/// Sets the link to the release that a change goes back to. If somebody removed its slot meanwhile there is no link: the
/// change ends all the same, and what is missing is found and repaired like any other damage. Nothing that fails here keeps
/// a product stopped whose link leads to what it is to run. Idempotent.
pub(super) fn put_back(host: &Host, change: &Change, slots: &Slots) -> Result<(), BeneathError> {
    let put = put_back_strictly(host, change, slots);
    let Err(error) = put else { return Ok(()) };
    let runs_from = change.from.as_ref().map(|from| &from.slot);
    match (slots.find_current(), runs_from) {
        (Ok(Current::Slot(current)), Some(slot)) if current == *slot && slots.has(slot)? => {
            tracing::error!(release = %change.to.release, error = with_causes(&error), "not all was put back");
            Ok(())
        }
        _ => Err(error),
    }
}

fn put_back_strictly(host: &Host, change: &Change, slots: &Slots) -> Result<(), BeneathError> {
    if change.kind == ChangeKind::Repair {
        match manifests::read(&host.home, &change.to) {
            Ok(manifest) => drop(slots.replace(&change.to.slot, &manifest)?),
            // Nobody knows then which of the two is whole. What is in its place stays, and the next repair builds again.
            Err(error) => tracing::error!(error = with_causes(&error), "what was built cannot be digested"),
        }
    }
    slots.put_no_link_aside()?;
    match &change.from {
        Some(from) if slots.has(&from.slot)? => slots.switch(Some(&from.slot)),
        _ => slots.switch(None),
    }
}

/// The slots of the package of a change.
pub(super) fn open_slots(host: &Host, change: &Change) -> Result<Slots, EngineError> {
    let package = &change.to.release.package;
    Slots::open(&host.settings.install_root, package)
        .map_err(|source| EngineError::Slots { package: package.clone(), source })
}

fn hook_context<'i>(about: &'i Installed, slots: &Slots) -> HookContext<'i> {
    HookContext { release: &about.release, slot: slots.path_of(&about.slot), current: slots.current_path() }
}
