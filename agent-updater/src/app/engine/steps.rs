//! What the engine does after each recorded step. Which step follows is the state machine's matter, not this file's.
//!
//! Invariant: every action can be repeated after a crash in its middle: a switch names its goal, a kept record is
//! kept twice, and the administrator's hooks are asked to bear being run again.

use std::sync::atomic::Ordering;

use sealpost_manifests::wire::report::{InstallStep, Outcome, ReasonCode};

use crate::domain::install::Step;
use crate::domain::record::{Change, ChangeKind, Installed};
use crate::domain::release::Refusal;
use crate::hooks::{Hook, HookDone, run_hook};
use crate::slots::Slots;

use super::super::build::Brought;
use super::super::vetted::kept_manifest;
use super::super::with_causes;
use super::{Brings, Engine, EngineError, StepFault, local_fault, occasion, subject};

impl Engine<'_> {
    /// The action that follows a recorded step.
    pub(super) fn act(&mut self, change: &Change, brings: Option<&mut Brings<'_>>) -> Result<(), StepFault> {
        let slots = self.slots(change)?;
        match change.step {
            Step::Preparing => self.build(change, &slots, brings),
            Step::Built => self.test_load(change, &slots),
            Step::Tested => self.last_look(change),
            Step::Trying => self.stop(change, &slots),
            Step::Stopped => {
                slots.switch(Some(&change.to.slot)).map_err(|error| {
                    StepFault::Failed(InstallStep::Switch, local_fault("cannot switch", &error))
                })?;
                self.report(change, (InstallStep::Switch, Outcome::Ok, ReasonCode::Done), "");
                Ok(())
            }
            Step::Switched => self.hook_step(change, &slots, Hook::Start, InstallStep::Start),
            Step::Started => self.hook_step(change, &slots, Hook::Health, InstallStep::Health),
            Step::Healthy => self.keep(change, &slots),
            Step::RollingBack => self.switch_back(change, &slots),
            Step::SwitchedBack => self.start_old(change, &slots),
            Step::Restored => self.note_rolled_back(change, &slots),
        }
    }

    fn build(
        &mut self,
        change: &Change,
        slots: &Slots,
        brings: Option<&mut Brings<'_>>,
    ) -> Result<(), StepFault> {
        let brought = match brings {
            Some(brings) => super::super::build::build(self, change, slots, brings)?,
            None => {
                let manifest = kept_manifest(self.ground.home, &change.to).map_err(|error| {
                    StepFault::Failed(InstallStep::Build, local_fault("cannot go back", &error))
                })?;
                slots.check(&change.to.slot, &manifest).map_err(|error| {
                    StepFault::Failed(
                        InstallStep::Build,
                        local_fault("cannot go back to a changed slot", &error),
                    )
                })?;
                Brought::AlreadyThere
            }
        };
        let how = match brought {
            Brought::ByDelta => Some(ReasonCode::ByDelta),
            Brought::ByPayload => Some(ReasonCode::ByPayload),
            Brought::AlreadyThere => None,
        };
        if let Some(how) = how {
            self.report(change, (InstallStep::Download, Outcome::Ok, how), "");
        }
        self.report(change, (InstallStep::Build, Outcome::Ok, ReasonCode::Done), "");
        Ok(())
    }

    fn test_load(&mut self, change: &Change, slots: &Slots) -> Result<(), StepFault> {
        if change.kind == ChangeKind::LocalRollback {
            // It ran here before; a person asks for it because something is wrong now.
            return Ok(());
        }
        self.hook_step(change, slots, Hook::TestLoad, InstallStep::TestLoad)?;
        // The hook was a foreign program beside the slot: what counts is what stands there now.
        let manifest = kept_manifest(self.ground.home, &change.to).map_err(|error| {
            StepFault::Failed(InstallStep::TestLoad, local_fault("cannot digest again", &error))
        })?;
        slots.check(&change.to.slot, &manifest).map_err(|error| {
            let detail = format!("the slot was changed while it was test-loaded: {}", with_causes(&error));
            StepFault::Failed(InstallStep::TestLoad, Refusal::new(ReasonCode::PayloadInvalid, detail))
        })
    }

    fn last_look(&self, change: &Change) -> Result<(), StepFault> {
        if self.ground.stop.load(Ordering::SeqCst) {
            let detail =
                format!("the agent is stopping; {} is installed after its next start", change.to.release);
            return Err(StepFault::Failed(InstallStep::Stop, Refusal::new(ReasonCode::Interrupted, detail)));
        }
        // Fetching and loading may have taken long; from here on the product depends on its hooks.
        self.sure_of_hooks(change).map_err(|refusal| StepFault::Failed(InstallStep::Stop, refusal))
    }

    fn stop(&mut self, change: &Change, slots: &Slots) -> Result<(), StepFault> {
        let Some(from) = &change.from else { return Ok(()) };
        let from = from.clone();
        self.hook_about(change, &from, slots, Hook::Stop, InstallStep::Stop)
    }

    fn hook_step(
        &mut self,
        change: &Change,
        slots: &Slots,
        hook: Hook,
        step: InstallStep,
    ) -> Result<(), StepFault> {
        let to = change.to.clone();
        self.hook_about(change, &to, slots, hook, step)
    }

    fn hook_about(
        &mut self,
        change: &Change,
        about: &Installed,
        slots: &Slots,
        hook: Hook,
        step: InstallStep,
    ) -> Result<(), StepFault> {
        match run_hook(hook, self.config_of(change), &occasion(about, slots)) {
            Ok(done) => {
                let reason = if done == HookDone::Ran { ReasonCode::Done } else { ReasonCode::NoHook };
                self.report(change, (step, Outcome::Ok, reason), "");
                Ok(())
            }
            Err(fault) => Err(StepFault::Failed(step, Refusal::new(fault.reason, fault.detail))),
        }
    }

    fn keep(&mut self, change: &Change, slots: &Slots) -> Result<(), StepFault> {
        let record = self.record_of(&change.to.release.package)?.kept(change, self.now());
        self.save_record(&change.to.release.package, &record)?;
        self.clean_up(change, slots, &record);
        if change.kind == ChangeKind::LocalRollback {
            let detail = format!("back to {}", change.to.release);
            let about = change.from.as_ref().unwrap_or(&change.to);
            let what = (InstallStep::RollBack, Outcome::Ok, ReasonCode::AskedLocally);
            self.tell(&subject(about, 0), what, &detail);
        } else {
            self.report(change, (InstallStep::Keep, Outcome::Ok, ReasonCode::Done), "");
        }
        tracing::info!(release = %change.to.release, "kept");
        Ok(())
    }

    fn switch_back(&mut self, change: &Change, slots: &Slots) -> Result<(), StepFault> {
        let package = &change.to.release.package;
        let in_the_way = |source| EngineError::Slots { package: package.clone(), source };
        let current = slots.current().map_err(in_the_way)?;
        if current.as_ref() == Some(&change.to.slot) {
            // The new release may run by now; if it cannot be stopped, the old one is put back all the same.
            if let Err(fault) = run_hook(Hook::Stop, self.config_of(change), &occasion(&change.to, slots)) {
                let what = (InstallStep::Stop, Outcome::Failed, fault.reason);
                self.report(change, what, &fault.detail);
            }
        }
        let back_to = change.from.as_ref().map(|from| &from.slot);
        slots.switch(back_to).map_err(in_the_way)?;
        Ok(())
    }

    pub(super) fn start_old(&mut self, change: &Change, slots: &Slots) -> Result<(), StepFault> {
        let Some(from) = change.from.clone() else { return Ok(()) };
        self.hook_about(change, &from, slots, Hook::Start, InstallStep::Start)
    }

    fn note_rolled_back(&mut self, change: &Change, slots: &Slots) -> Result<(), StepFault> {
        let why = change.why.unwrap_or(ReasonCode::Interrupted);
        let mut record = self.record_of(&change.to.release.package)?;
        if change.kind == ChangeKind::Install {
            record = record.rolled_back(change, why, self.now());
            self.save_record(&change.to.release.package, &record)?;
        }
        self.clean_up(change, slots, &record);
        let runs = change
            .from
            .as_ref()
            .map_or("nothing of this package".to_owned(), |from| from.release.to_string());
        let detail = format!("{runs} runs; the release that was given up is not tried again by itself");
        self.report(change, (InstallStep::RollBack, Outcome::Ok, why), &detail);
        tracing::warn!(release = %change.to.release, reason = %why, "rolled back");
        Ok(())
    }
}
