//! Installs at a time: planned for a name that holds a seat, begun by an admin's program over ssh, and what it says of them.
//!
//! Invariant: whether a try begins is decided in the ledger's writer, so of two programs one gets it. What is kept opens no
//! computer.

use jiff::Timestamp;
use sealpost_manifests::ids::ComputerName;
use sealpost_manifests::wire::problem::{Problem, ProblemCode};

use crate::changes::{Actor, Change, InstallTried, ScheduleChanged};
use crate::commands::decision::{Command, Context, Decision};
use crate::queries::{Query, query};
use crate::rows::ScheduleRow;
use crate::rules::install_tries::{
    self, ClaimRefusal, InstallPlan, InstallStanding, MAX_REASON_CHARS, ReportDecision,
};
use crate::rules::schedule::{InstallOutcome, Schedule};
use crate::rules::text;

query! {
    /// What is decided from about an install.
    LoadSchedule {
        /// The name, in the spelling that holds the seat.
        pub name: ComputerName,
    } -> ScheduleFacts, "read what is planned for a computer"
}

/// As [`LoadSchedule`] says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ScheduleFacts {
    /// Whether the name holds a seat.
    pub reserved: bool,
    /// Whether a computer of the name is enrolled.
    pub enrolled: bool,
    /// What is planned.
    pub planned: Option<ScheduleRow>,
}

impl ScheduleFacts {
    fn plan(&self) -> Option<InstallPlan> {
        self.planned.as_ref().map(ScheduleRow::plan)
    }

    /// Since when a try goes on.
    fn installing(&self, now: Timestamp) -> Option<Timestamp> {
        match self.plan()?.standing(now) {
            InstallStanding::Installing { since } => Some(since),
            InstallStanding::Scheduled | InstallStanding::Failed(_) => None,
        }
    }
}

/// Plans an install for a name that holds a seat. The same again changes nothing; anew, the tries begin again from the first.
#[derive(Debug, Clone)]
pub struct PlanInstall {
    /// Who plans it.
    pub actor: Actor,
    /// For which name.
    pub name: ComputerName,
    /// When, and how; a time that is over is due at once.
    pub schedule: Schedule,
}

impl Command for PlanInstall {
    type Facts = LoadSchedule;
    type Answer = ();
    const ATTEMPTED: &'static str = "plan an install";

    fn facts(&self) -> LoadSchedule {
        LoadSchedule { name: self.name.clone() }
    }

    fn decide(self, facts: ScheduleFacts, context: &Context<'_>) -> Decision<()> {
        let Self { actor, name, schedule } = self;
        // In whole seconds, so that the same again is found to be the same whatever a store keeps of a time.
        let schedule = Schedule { at: whole_seconds(schedule.at), ..schedule };
        let attempted = "no install can be planned";
        if !facts.reserved {
            return Decision::refuse(not_reserved(attempted, &name));
        }
        if facts.enrolled {
            return Decision::refuse(enrolled(attempted, &name));
        }
        if facts.planned.as_ref().is_some_and(|planned| planned.schedule == schedule) {
            return Decision::answer(());
        }
        if let Some(since) = facts.installing(context.now) {
            return Decision::refuse(goes_on(attempted, &name, since));
        }
        let changed = ScheduleChanged { name, schedule: Some(schedule) };
        Decision::answer(()).change(actor, Change::ScheduleChanged(changed))
    }
}

/// Calls a planned install off. The seat stays taken.
#[derive(Debug, Clone)]
pub struct CallOff {
    /// Who calls it off.
    pub actor: Actor,
    /// For which name.
    pub name: ComputerName,
}

impl Command for CallOff {
    type Facts = LoadSchedule;
    type Answer = ();
    const ATTEMPTED: &'static str = "call an install off";

    fn facts(&self) -> LoadSchedule {
        LoadSchedule { name: self.name.clone() }
    }

    fn decide(self, facts: ScheduleFacts, context: &Context<'_>) -> Decision<()> {
        let Self { actor, name } = self;
        let attempted = "no install can be called off";
        if !facts.reserved {
            return Decision::refuse(not_reserved(attempted, &name));
        }
        if facts.planned.is_none() {
            return Decision::answer(());
        }
        if let Some(since) = facts.installing(context.now) {
            return Decision::refuse(goes_on(attempted, &name, since));
        }
        Decision::answer(()).change(actor, Change::ScheduleChanged(ScheduleChanged { name, schedule: None }))
    }
}

/// Begins a try of what is due; nobody else begins one until it is reported, or half an hour is over.
#[derive(Debug, Clone)]
pub struct ClaimInstall {
    /// Who runs it.
    pub actor: Actor,
    /// On which computer.
    pub name: ComputerName,
}

/// A try that began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimed {
    /// Which, from 1.
    pub attempt: u32,
    /// What is planned.
    pub schedule: Schedule,
}

impl Command for ClaimInstall {
    type Facts = LoadSchedule;
    type Answer = Claimed;
    const ATTEMPTED: &'static str = "begin an install";

    fn facts(&self) -> LoadSchedule {
        LoadSchedule { name: self.name.clone() }
    }

    fn decide(self, facts: ScheduleFacts, context: &Context<'_>) -> Decision<Claimed> {
        let Self { actor, name } = self;
        let attempted = "no install can begin";
        if !facts.reserved {
            return Decision::refuse(not_reserved(attempted, &name));
        }
        match install_tries::claim(facts.plan().as_ref(), facts.enrolled, context.now) {
            Ok(attempt) => {
                let Some(ScheduleRow { schedule, .. }) = facts.planned else {
                    return Decision::refuse(not_planned(attempted, &name));
                };
                let tried =
                    InstallTried { name, attempt, outcome: InstallOutcome::Started, reason: String::new() };
                Decision::answer(Claimed { attempt, schedule }).change(actor, Change::InstallTried(tried))
            }
            Err(refusal) => Decision::refuse(match refusal {
                ClaimRefusal::Enrolled => enrolled(attempted, &name),
                ClaimRefusal::NotPlanned => not_planned(attempted, &name),
                ClaimRefusal::Carried => Problem::new(
                    ProblemCode::WrongState,
                    format!("{attempted}: the one on {name} does not go over ssh"),
                    format!("carry the file of `distributor clients setup {name} --installer FILE` there"),
                ),
                ClaimRefusal::NotYet { at } => Problem::new(
                    ProblemCode::WrongState,
                    format!("{attempted}: the one on {name} is planned for {at:.0}"),
                    "plan it anew for an earlier time; `distributor clients schedule --help` says how",
                ),
                ClaimRefusal::GoesOn { since } => goes_on(attempted, &name, since),
            }),
        }
    }
}

/// Notes what became of a try.
#[derive(Debug, Clone)]
pub struct NoteInstall {
    /// Who ran it.
    pub actor: Actor,
    /// On which computer.
    pub name: ComputerName,
    /// Which try.
    pub attempt: u32,
    /// What became of it.
    pub outcome: InstallOutcome,
    /// Why, in whatever words.
    pub reason: String,
}

impl Command for NoteInstall {
    type Facts = LoadSchedule;
    type Answer = ();
    const ATTEMPTED: &'static str = "note what became of an install";

    fn facts(&self) -> LoadSchedule {
        LoadSchedule { name: self.name.clone() }
    }

    fn decide(self, facts: ScheduleFacts, _: &Context<'_>) -> Decision<()> {
        let Self { actor, name, attempt, outcome, reason } = self;
        let attempted = "the end of an install cannot be noted";
        if !facts.reserved {
            return Decision::refuse(not_reserved(attempted, &name));
        }
        match install_tries::report(facts.plan().as_ref(), facts.enrolled, attempt, outcome) {
            ReportDecision::Note => {
                let reason: String = text::escape(&reason).chars().take(MAX_REASON_CHARS).collect();
                let tried = InstallTried { name, attempt, outcome, reason };
                Decision::answer(()).change(actor, Change::InstallTried(tried))
            }
            ReportDecision::Same => Decision::answer(()),
            ReportDecision::Refuse => Decision::refuse(Problem::new(
                ProblemCode::WrongState,
                format!("{attempted}: the try {attempt} on {name} does not go on"),
                "see `distributor clients schedules`",
            )),
        }
    }
}

fn whole_seconds(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}

fn not_reserved(attempted: &str, name: &ComputerName) -> Problem {
    Problem::new(
        ProblemCode::NotReserved,
        format!("{attempted}: no seat is reserved for {name}"),
        format!("run `distributor clients reserve {name}` first"),
    )
}

fn enrolled(attempted: &str, name: &ComputerName) -> Problem {
    Problem::new(
        ProblemCode::WrongState,
        format!("{attempted}: a computer is enrolled as {name}"),
        format!(
            "a new computer takes its place with a file of `distributor clients setup {name} --installer FILE`"
        ),
    )
}

fn not_planned(attempted: &str, name: &ComputerName) -> Problem {
    Problem::new(
        ProblemCode::WrongState,
        format!("{attempted}: none is planned for {name}"),
        "plan one; `distributor clients schedule --help` says how",
    )
}

fn goes_on(attempted: &str, name: &ComputerName, since: Timestamp) -> Problem {
    Problem::new(
        ProblemCode::WrongState,
        format!("{attempted}: one goes on on {name} since {since:.0}"),
        "wait for its end; one of which nothing is heard counts as failed after half an hour",
    )
}

#[cfg(test)]
mod tests;
