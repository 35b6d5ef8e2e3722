//! One change of release as a state machine: the steps that the journal records, and what a crash at each leaves to do.
//!
//! Invariant: from every step, [`recover`] leads to the old or the new release being whole and the product started.
//! The journal holds a step *before* the next action begins, so the action after the recorded step may have happened
//! in part. Up to [`Step::Tested`] nothing that the product sees has changed. [`Step::Healthy`] is the point of no
//! return: from there only forward.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A recorded step. The order of the declaration is the order of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
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

impl Step {
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

    /// The stable name.
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

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Step {
    type Err = UnknownStep;
    fn from_str(text: &str) -> Result<Self, UnknownStep> {
        Self::ALL.into_iter().find(|step| step.name() == text).ok_or(UnknownStep)
    }
}

/// Not the name of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the name of an install step")]
pub struct UnknownStep;

/// What happened after a recorded step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// The action that follows the step succeeded.
    Succeeded,
    /// It failed.
    Failed,
}

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Record this step, then act on it.
    Record(Step),
    /// Remove the new slot and end: nothing had changed.
    Discard,
    /// End: the new release runs and is recorded.
    EndKept,
    /// End: the old release runs and is recorded.
    EndRolledBack,
}

/// An event that cannot follow a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{event:?} cannot follow the install step {step}")]
pub struct IllegalTransition {
    /// The recorded step.
    pub step: Step,
    /// The event.
    pub event: Event,
}

/// The transition function.
///
/// # Errors
/// [`IllegalTransition`] for failures from which there is no way but forward: they are retried at the next start.
pub const fn advance(step: Step, event: Event) -> Result<Next, IllegalTransition> {
    Ok(match (step, event) {
        (Step::Preparing, Event::Succeeded) => Next::Record(Step::Built),
        (Step::Built, Event::Succeeded) => Next::Record(Step::Tested),
        (Step::Tested, Event::Succeeded) => Next::Record(Step::Trying),
        (Step::Trying, Event::Succeeded) => Next::Record(Step::Stopped),
        (Step::Stopped, Event::Succeeded) => Next::Record(Step::Switched),
        (Step::Switched, Event::Succeeded) => Next::Record(Step::Started),
        (Step::Started, Event::Succeeded) => Next::Record(Step::Healthy),
        (Step::Healthy, Event::Succeeded) => Next::EndKept,
        (Step::RollingBack, Event::Succeeded) => Next::Record(Step::SwitchedBack),
        // The old release is in place; a start hook that fails is reported, and cannot be answered by a switch.
        (Step::SwitchedBack, Event::Succeeded | Event::Failed) => Next::Record(Step::Restored),
        (Step::Restored, Event::Succeeded) => Next::EndRolledBack,
        (Step::Preparing | Step::Built | Step::Tested, Event::Failed) => Next::Discard,
        (Step::Trying | Step::Stopped | Step::Switched | Step::Started, Event::Failed) => {
            Next::Record(Step::RollingBack)
        }
        (Step::Healthy | Step::RollingBack | Step::Restored, Event::Failed) => {
            return Err(IllegalTransition { step, event });
        }
    })
}

/// What a start of the agent does with a journal that it finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recovery {
    /// Remove what was built; the product was not touched.
    Discard,
    /// The product may be stopped, with the old release in place: start it, give the new release up for this time.
    RestartOld,
    /// The new release is in place: act on this step once more, and go on from there.
    Resume(Step),
    /// The new release was interrupted twice: record [`Step::RollingBack`] and go on from there.
    RollBack,
}

/// What to do about a journal found at the start. `interruptions` counts the starts that found this same install.
#[must_use]
pub const fn recover(step: Step, interruptions: u32) -> Recovery {
    match step {
        Step::Preparing | Step::Built | Step::Tested => Recovery::Discard,
        // `current` may or may not have been switched after `Stopped`: restarting the old one switches back first.
        Step::Trying | Step::Stopped => Recovery::RestartOld,
        // Once is a power cut; twice may be the release's doing.
        Step::Switched | Step::Started if interruptions == 0 => Recovery::Resume(Step::Switched),
        Step::Switched | Step::Started => Recovery::RollBack,
        Step::Healthy => Recovery::Resume(Step::Healthy),
        Step::RollingBack => Recovery::Resume(Step::RollingBack),
        Step::SwitchedBack => Recovery::Resume(Step::SwitchedBack),
        Step::Restored => Recovery::Resume(Step::Restored),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(mut step: Step, fail_at: Option<Step>) -> Next {
        for _ in 0..20 {
            let event = if Some(step) == fail_at { Event::Failed } else { Event::Succeeded };
            match advance(step, event).unwrap() {
                Next::Record(next) => step = next,
                end => return end,
            }
        }
        panic!("does not end from {step}");
    }

    #[test]
    fn without_failures_the_new_release_is_kept() {
        assert_eq!(run(Step::Preparing, None), Next::EndKept);
    }

    #[test]
    fn a_failure_before_the_product_is_touched_discards_and_one_after_rolls_back() {
        for step in [Step::Preparing, Step::Built, Step::Tested] {
            assert_eq!(run(Step::Preparing, Some(step)), Next::Discard, "{step}");
        }
        for step in [Step::Trying, Step::Stopped, Step::Switched, Step::Started] {
            assert_eq!(run(Step::Preparing, Some(step)), Next::EndRolledBack, "{step}");
        }
    }

    #[test]
    fn there_is_no_way_back_once_the_release_is_kept() {
        assert!(advance(Step::Healthy, Event::Failed).is_err());
    }

    #[test]
    fn every_step_can_be_recovered_from_however_often_it_is_interrupted() {
        for step in Step::ALL {
            for interruptions in 0..4 {
                match recover(step, interruptions) {
                    Recovery::Discard => assert!(step < Step::Trying),
                    Recovery::RestartOld => assert!((Step::Trying..Step::Switched).contains(&step)),
                    Recovery::Resume(from) => {
                        assert!(matches!(run(from, None), Next::EndKept | Next::EndRolledBack), "{step}");
                    }
                    Recovery::RollBack => assert_eq!(run(Step::RollingBack, None), Next::EndRolledBack),
                }
            }
        }
    }

    #[test]
    fn a_release_that_is_interrupted_twice_is_rolled_back() {
        assert_eq!(recover(Step::Started, 0), Recovery::Resume(Step::Switched));
        assert_eq!(recover(Step::Started, 1), Recovery::RollBack);
    }

    #[test]
    fn names_of_steps_read_back() {
        for step in Step::ALL {
            assert_eq!(step.name().parse(), Ok(step));
        }
        assert_eq!("x".parse::<Step>(), Err(UnknownStep));
    }
}
