//! One change of release as a state machine: the steps that the journal records, and how to recover from a crash at
//! each.
//!
//! Invariant: from every step, and whatever `current` names, [`recovery`] leads to the old or the new release being whole,
//! named by `current`, recorded, and the product started.
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

/// What the link `current` names when an open change is found. The slots are the truth: the journal says what was to be
/// done next, and can lack what was done after it (a disk that was full took no further step).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Names {
    /// The release before. For the first release of a package: nothing.
    Old,
    New,
    /// Old and new are the same release, in the same slot: a repair.
    Both,
    /// No link, a link of somebody else, or a release that the change does not name.
    Neither,
}

impl Names {
    /// Every value, for tables.
    pub const ALL: [Self; 4] = [Self::Old, Self::New, Self::Both, Self::Neither];
}

/// How to recover. `interruptions` counts the earlier starts that found this same change.
#[must_use]
pub const fn recovery(step: JournalStep, interruptions: u32, names: Names) -> Recovery {
    match (step, names) {
        (JournalStep::Preparing | JournalStep::Built | JournalStep::Tested, _) => Recovery::Discard,
        // The agent did not switch before `Stopped`: whoever set the link to the new one did not start it by the hooks.
        (JournalStep::Trying, _) => Recovery::RestartOld,
        (JournalStep::Stopped, Names::Old | Names::Both | Names::Neither) => Recovery::RestartOld,
        // It was switched already when its journal could not be written, and gone back to after `Switched`: what is kept
        // must be what `current` names.
        (JournalStep::Switched | JournalStep::Started, Names::Old) => {
            Recovery::Resume(JournalStep::SwitchedBack)
        }
        // Once may be a power cut; twice, the release may be the cause.
        (JournalStep::Stopped, Names::New)
        | (JournalStep::Switched | JournalStep::Started, Names::New | Names::Both)
            if interruptions == 0 =>
        {
            Recovery::Resume(JournalStep::Switched)
        }
        // Without the link, what is started would not be the new release.
        (JournalStep::Switched | JournalStep::Started, Names::Neither) if interruptions == 0 => {
            Recovery::Resume(JournalStep::Stopped)
        }
        (JournalStep::Stopped | JournalStep::Switched | JournalStep::Started, _) => Recovery::RollBack,
        // It was kept by its health. Who set the link since is followed by the record, after the change.
        (JournalStep::Healthy, _) => Recovery::Resume(JournalStep::Healthy),
        (JournalStep::RollingBack, _) => Recovery::Resume(JournalStep::RollingBack),
        (JournalStep::SwitchedBack, Names::Old | Names::Both) => Recovery::Resume(JournalStep::SwitchedBack),
        (JournalStep::SwitchedBack, Names::New | Names::Neither) => {
            Recovery::Resume(JournalStep::RollingBack)
        }
        // The link is not there: that is damage to be shown, and the product was started.
        (JournalStep::Restored, Names::Old | Names::Both | Names::Neither) => {
            Recovery::Resume(JournalStep::Restored)
        }
        (JournalStep::Restored, Names::New) => Recovery::Resume(JournalStep::RollingBack),
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
            for (interruptions, names) in (0..4).flat_map(|n| Names::ALL.map(|names| (n, names))) {
                match recovery(step, interruptions, names) {
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
        for names in [Names::New, Names::Both] {
            assert_eq!(recovery(JournalStep::Started, 0, names), Recovery::Resume(JournalStep::Switched));
            assert_eq!(recovery(JournalStep::Started, 1, names), Recovery::RollBack);
        }
    }

    #[test]
    fn what_follows_an_interruption_is_known_for_every_step_and_whatever_current_names() {
        use JournalStep as S;
        let (discard, old, back) = (Recovery::Discard, Recovery::RestartOld, Recovery::RollBack);
        let at = Recovery::Resume;
        // For Old, New, Both, Neither: at the first interruption, and at the second.
        let table: [(S, [[Recovery; 2]; 4]); 11] = [
            (S::Preparing, [[discard; 2]; 4]),
            (S::Built, [[discard; 2]; 4]),
            (S::Tested, [[discard; 2]; 4]),
            (S::Trying, [[old; 2]; 4]),
            (S::Stopped, [[old; 2], [at(S::Switched), back], [old; 2], [old; 2]]),
            (
                S::Switched,
                [
                    [at(S::SwitchedBack); 2],
                    [at(S::Switched), back],
                    [at(S::Switched), back],
                    [at(S::Stopped), back],
                ],
            ),
            (
                S::Started,
                [
                    [at(S::SwitchedBack); 2],
                    [at(S::Switched), back],
                    [at(S::Switched), back],
                    [at(S::Stopped), back],
                ],
            ),
            (S::Healthy, [[at(S::Healthy); 2]; 4]),
            (S::RollingBack, [[at(S::RollingBack); 2]; 4]),
            (
                S::SwitchedBack,
                [
                    [at(S::SwitchedBack); 2],
                    [at(S::RollingBack); 2],
                    [at(S::SwitchedBack); 2],
                    [at(S::RollingBack); 2],
                ],
            ),
            (
                S::Restored,
                [[at(S::Restored); 2], [at(S::RollingBack); 2], [at(S::Restored); 2], [at(S::Restored); 2]],
            ),
        ];
        assert_eq!(table.map(|(step, _)| step), S::ALL);
        for (step, expected) in table {
            for (names, [first, second]) in Names::ALL.into_iter().zip(expected) {
                assert_eq!(recovery(step, 0, names), first, "{step}, {names:?}");
                assert_eq!(recovery(step, 1, names), second, "{step}, {names:?}, again");
                assert_eq!(recovery(step, 9, names), second, "{step}, {names:?}, once more");
            }
        }
    }

    #[test]
    fn a_release_that_current_does_not_name_is_never_kept_without_a_switch() {
        for (step, names) in
            S_UP_TO_STARTED.into_iter().flat_map(|step| Names::ALL.map(|names| (step, names)))
        {
            for interruptions in 0..3 {
                if let Recovery::Resume(from) = recovery(step, interruptions, names)
                    && run(from, None) == Next::EndKept
                {
                    let is_named = matches!(names, Names::New | Names::Both);
                    assert!(is_named || from <= JournalStep::Stopped, "{step}, {names:?}");
                }
            }
        }
    }

    const S_UP_TO_STARTED: [JournalStep; 7] = [
        JournalStep::Preparing,
        JournalStep::Built,
        JournalStep::Tested,
        JournalStep::Trying,
        JournalStep::Stopped,
        JournalStep::Switched,
        JournalStep::Started,
    ];

    #[test]
    fn names_of_steps_read_back() {
        for step in JournalStep::ALL {
            assert_eq!(step.name().parse(), Ok(step));
        }
        assert_eq!("x".parse::<JournalStep>(), Err(UnknownStep));
    }
}
