//! One change of release as a state machine: the steps that the journal records, and how to recover from a crash at
//! each.
//!
//! Invariant: from every step, [`recovery`] leads to the old or the new release being whole and the product started.
//! The journal holds a step *before* the next action begins, so the action after the recorded step may be done in part.
//! Up to [`JournalStep::Tested`] nothing that the product sees has changed. From [`JournalStep::Healthy`] on there is no
//! way back.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A recorded step. The order of the declaration is the order of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JournalStep {
    /// About to build the new slot.
    Preparing,
    /// The new slot is whole and in its place.
    Built,
    /// The test-load hook accepted it, and its bytes were digested again.
    Tested,
    /// About to stop the product.
    Trying,
    /// The product is stopped; about to switch.
    Stopped,
    /// `current` names the new slot; about to start.
    Switched,
    /// The product was started; about to check its health.
    Started,
    /// The new release is kept; about to record it and to remove older slots.
    Healthy,
    /// The new release is given up; about to switch back.
    RollingBack,
    /// `current` names the old slot again; about to start it.
    SwitchedBack,
    /// The old release was started; about to record that.
    Restored,
}

impl JournalStep {
    /// Every step, in order.
    pub const ALL: [Self; 11] = [
        Self::Preparing,
        Self::Built,
        Self::Tested,
        Self::Trying,
        Self::Stopped,
        Self::Switched,
        Self::Started,
        Self::Healthy,
        Self::RollingBack,
        Self::SwitchedBack,
        Self::Restored,
    ];

    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Preparing => "preparing",
            Self::Built => "built",
            Self::Tested => "tested",
            Self::Trying => "trying",
            Self::Stopped => "stopped",
            Self::Switched => "switched",
            Self::Started => "started",
            Self::Healthy => "healthy",
            Self::RollingBack => "rolling-back",
            Self::SwitchedBack => "switched-back",
            Self::Restored => "restored",
        }
    }
}

impl fmt::Display for JournalStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for JournalStep {
    type Err = UnknownStep;
    fn from_str(text: &str) -> Result<Self, UnknownStep> {
        Self::ALL.into_iter().find(|step| step.name() == text).ok_or(UnknownStep)
    }
}

/// Not the name of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the name of an install step")]
pub struct UnknownStep;

/// The result of the action that follows a recorded step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepResult {
    Succeeded,
    Failed,
}

/// What follows a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Record this step, then act on it.
    Record(JournalStep),
    /// Remove the new slot and end: nothing had changed.
    Discard,
    /// End: the new release runs and is recorded.
    EndKept,
    /// End: the old release runs and is recorded.
    EndRolledBack,
}

/// A result that cannot follow a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{result:?} cannot follow the install step {step}")]
pub struct IllegalTransition {
    pub step: JournalStep,
    pub result: StepResult,
}

/// The transition function.
///
/// # Errors
/// [`IllegalTransition`] for failures after which the change can only go forward: they are retried at the next start.
pub const fn advance(step: JournalStep, result: StepResult) -> Result<Next, IllegalTransition> {
    Ok(match (step, result) {
        (JournalStep::Preparing, StepResult::Succeeded) => Next::Record(JournalStep::Built),
        (JournalStep::Built, StepResult::Succeeded) => Next::Record(JournalStep::Tested),
        (JournalStep::Tested, StepResult::Succeeded) => Next::Record(JournalStep::Trying),
        (JournalStep::Trying, StepResult::Succeeded) => Next::Record(JournalStep::Stopped),
        (JournalStep::Stopped, StepResult::Succeeded) => Next::Record(JournalStep::Switched),
        (JournalStep::Switched, StepResult::Succeeded) => Next::Record(JournalStep::Started),
        (JournalStep::Started, StepResult::Succeeded) => Next::Record(JournalStep::Healthy),
        (JournalStep::Healthy, StepResult::Succeeded) => Next::EndKept,
        (JournalStep::RollingBack, StepResult::Succeeded) => Next::Record(JournalStep::SwitchedBack),
        // The old release is in place; if its start hook fails, that is reported: there is nothing else to switch to.
        (JournalStep::SwitchedBack, StepResult::Succeeded | StepResult::Failed) => {
            Next::Record(JournalStep::Restored)
        }
        (JournalStep::Restored, StepResult::Succeeded) => Next::EndRolledBack,
        (JournalStep::Preparing | JournalStep::Built | JournalStep::Tested, StepResult::Failed) => {
            Next::Discard
        }
        (
            JournalStep::Trying | JournalStep::Stopped | JournalStep::Switched | JournalStep::Started,
            StepResult::Failed,
        ) => Next::Record(JournalStep::RollingBack),
        (JournalStep::Healthy | JournalStep::RollingBack | JournalStep::Restored, StepResult::Failed) => {
            return Err(IllegalTransition { step, result });
        }
    })
}

/// How the agent recovers when it finds an open change at its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recovery {
    /// Remove what was built; the product was not touched.
    Discard,
    /// The product may be stopped, with the old release in place: start it, and end this attempt.
    RestartOld,
    /// Repeat the action of this step, and go on from there.
    Resume(JournalStep),
    /// The new release was interrupted twice: record [`JournalStep::RollingBack`] and go on from there.
    RollBack,
}

/// How to recover. `interruptions` counts the earlier starts that found this same change.
#[must_use]
pub const fn recovery(step: JournalStep, interruptions: u32) -> Recovery {
    match step {
        JournalStep::Preparing | JournalStep::Built | JournalStep::Tested => Recovery::Discard,
        // `current` may or may not have been switched after `Stopped`: restarting the old one switches back first.
        JournalStep::Trying | JournalStep::Stopped => Recovery::RestartOld,
        // Once may be a power cut; twice, the release may be the cause.
        JournalStep::Switched | JournalStep::Started if interruptions == 0 => {
            Recovery::Resume(JournalStep::Switched)
        }
        JournalStep::Switched | JournalStep::Started => Recovery::RollBack,
        JournalStep::Healthy => Recovery::Resume(JournalStep::Healthy),
        JournalStep::RollingBack => Recovery::Resume(JournalStep::RollingBack),
        JournalStep::SwitchedBack => Recovery::Resume(JournalStep::SwitchedBack),
        JournalStep::Restored => Recovery::Resume(JournalStep::Restored),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(mut step: JournalStep, fail_at: Option<JournalStep>) -> Next {
        for _ in 0..20 {
            let result = if Some(step) == fail_at { StepResult::Failed } else { StepResult::Succeeded };
            match advance(step, result).unwrap() {
                Next::Record(next) => step = next,
                end => return end,
            }
        }
        panic!("does not end from {step}");
    }

    #[test]
    fn without_failures_the_new_release_is_kept() {
        assert_eq!(run(JournalStep::Preparing, None), Next::EndKept);
    }

    #[test]
    fn a_failure_before_the_product_is_touched_discards_and_one_after_rolls_back() {
        for step in [JournalStep::Preparing, JournalStep::Built, JournalStep::Tested] {
            assert_eq!(run(JournalStep::Preparing, Some(step)), Next::Discard, "{step}");
        }
        for step in [JournalStep::Trying, JournalStep::Stopped, JournalStep::Switched, JournalStep::Started] {
            assert_eq!(run(JournalStep::Preparing, Some(step)), Next::EndRolledBack, "{step}");
        }
    }

    #[test]
    fn there_is_no_way_back_once_the_release_is_kept() {
        assert!(advance(JournalStep::Healthy, StepResult::Failed).is_err());
    }

    #[test]
    fn every_step_can_be_recovered_from_however_often_it_is_interrupted() {
        for step in JournalStep::ALL {
            for interruptions in 0..4 {
                match recovery(step, interruptions) {
                    Recovery::Discard => assert!(step < JournalStep::Trying),
                    Recovery::RestartOld => {
                        assert!((JournalStep::Trying..JournalStep::Switched).contains(&step))
                    }
                    Recovery::Resume(from) => {
                        assert!(matches!(run(from, None), Next::EndKept | Next::EndRolledBack), "{step}");
                    }
                    Recovery::RollBack => {
                        assert_eq!(run(JournalStep::RollingBack, None), Next::EndRolledBack)
                    }
                }
            }
        }
    }

    #[test]
    fn a_release_that_is_interrupted_twice_is_rolled_back() {
        assert_eq!(recovery(JournalStep::Started, 0), Recovery::Resume(JournalStep::Switched));
        assert_eq!(recovery(JournalStep::Started, 1), Recovery::RollBack);
    }

    #[test]
    fn names_of_steps_read_back() {
        for step in JournalStep::ALL {
            assert_eq!(step.name().parse(), Ok(step));
        }
        assert_eq!("x".parse::<JournalStep>(), Err(UnknownStep));
    }
}
