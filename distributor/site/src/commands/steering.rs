//! What a person does with a rollout.
//!
//! Invariant: every word of a person has a comment, an actor and an entry. What lets computers get a release sooner or otherwise than
//! was agreed when it was approved needs a second person where the approval did; to stop one never does.

use std::sync::Arc;

use sealpost_manifests::wire::problem::{Problem, ProblemCode};
use sealpost_manifests::word::Word;

use super::decision::{Command, Context, Decision};
use super::second_eyes::{Outcome, Request, ask};
use crate::changes::{Actor, Change};
use crate::queries::{Query, query};
use crate::rules::approvals::proposal::{Proposed, Steering as Steered};
use crate::rules::approvals::rule::{About, demands};
use crate::rules::release::{KnownRelease, ReleaseState, Supersession, supersession};
use crate::rules::rollouts::plan::Plan;
use crate::rules::rollouts::progress::{
    AdvanceFacts, Population, RingCounts, Rollout, RolloutState, Step, open_next,
};
use crate::rules::rollouts::settings::Settings;
use crate::rules::rollouts::strategy::{Ring, Strategy, Takes};
use crate::rules::text::MAX_COMMENT_BYTES;

query! {
    /// What a person does with a rollout is decided from.
    LoadRollout {
        /// Its number.
        pub number: u64,
    } -> RolloutFacts, "read a rollout"
}

/// As [`LoadRollout`] says.
#[derive(Debug, Clone)]
pub struct RolloutFacts {
    /// The rollout, with its counts.
    pub rollout: Option<Rollout>,
    /// Its release.
    pub known: Option<KnownRelease>,
    /// Approved and superseded releases of its package.
    pub releases: Vec<KnownRelease>,
    /// The number of the newest rollout of its release.
    pub newest: Option<u64>,
    /// The highest attempt of its release that a computer was told by a retry; 0 where there was none.
    pub highest_attempt: u32,
    /// Settings and rollouts.
    pub plan: Arc<Plan>,
}

/// What a person does with a rollout.
#[derive(Debug, Clone)]
pub struct SteerRollout {
    /// Who does.
    pub actor: Actor,
    /// Which rollout.
    pub number: u64,
    /// What.
    pub what: Steer,
    /// Why, for whoever reads the log later.
    pub comment: String,
    /// The proposal that is confirmed by it.
    pub confirms: Option<u64>,
}

/// What can be done with a rollout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Steer {
    /// Nobody new is told until it is resumed. Who has begun finishes.
    Pause,
    /// It goes on after a pause or a halt; failures of before halt it no more.
    Resume,
    /// A ring opens now, whatever it waits for.
    Next {
        /// The ring that was shown as the next one, from 0; so two who press at once open one ring.
        ring: u32,
        /// What a look at all computers found, ring by ring.
        populations: Option<Vec<Population>>,
    },
    /// It ends for good: its release is halted.
    Abort {
        /// Computers that run it are told to go back to what they ran before.
        roll_back: bool,
    },
    /// It goes on by another strategy, whose first rings are those that are open.
    Edit {
        /// The name of the strategy; the same one again as the settings have it now.
        strategy: Word,
        /// Computers wait for no window, no person and no product.
        emergency: bool,
    },
}

impl Steer {
    /// The word for it.
    #[must_use]
    pub const fn verb(&self) -> &'static str {
        match self {
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Next { .. } => "open the next ring of",
            Self::Abort { .. } => "abort",
            Self::Edit { .. } => "edit",
        }
    }
}

impl Command for SteerRollout {
    type Facts = LoadRollout;
    type Answer = Outcome<()>;
    const ATTEMPTED: &'static str = "steer a rollout";

    fn facts(&self) -> LoadRollout {
        LoadRollout { number: self.number }
    }

    fn decide(self, facts: RolloutFacts, context: &Context<'_>) -> Decision<Outcome<()>> {
        let Self { actor, number, what, comment, confirms } = self;
        let comment = comment.trim().to_owned();
        if comment.is_empty() || comment.len() > MAX_COMMENT_BYTES {
            return Decision::refuse(Problem::new(
                ProblemCode::BadRequest,
                format!(
                    "cannot {} rollout {number} without a reason of 1 to {MAX_COMMENT_BYTES} bytes",
                    what.verb()
                ),
                "say in one sentence why, for whoever reads the log later",
            ));
        }
        let (Some(rollout), Some(known)) = (facts.rollout.clone(), facts.known.clone()) else {
            return Decision::refuse(Problem::new(
                ProblemCode::NotFound,
                format!("there is no rollout {number}"),
                "`distributor rollouts list` shows all",
            ));
        };
        let (plan, steered_by) = (Arc::clone(&facts.plan), actor.clone());
        let how = hastens(&what, &rollout, &plan);
        // What was halted goes on in every channel that it was approved for.
        let mut channels = rollout.channels.clone();
        if how == Some(Steered::Resume) {
            channels.extend(known.approved_for.iter().filter(|one| !rollout.channels.contains(one)).cloned());
        }
        let about = About::release(&known, &channels);
        let demands = demands(&plan.settings.approvals, about);
        let (release, manifest, asked) = (rollout.release.clone(), rollout.manifest, comment.clone());
        let steering = Steering { facts, rollout, known, actor, comment };
        let decision = match what {
            Steer::Pause => steering.pause(),
            Steer::Resume => steering.resume(),
            Steer::Next { ring, populations } => steering.next(ring, populations.as_deref()),
            Steer::Abort { roll_back } => steering.abort(roll_back),
            Steer::Edit { strategy, emergency } => steering.edit(strategy, emergency),
        };
        let Decision { changes, notes, answer } = decision;
        let decision = Decision { changes, notes, answer: answer.map(Outcome::Done) };
        let Some(how) = how.filter(|_| !decision.changes.is_empty()) else { return decision };
        let what = Proposed::SteerRollout { rollout: number, release, manifest, how };
        let (needs, actor) = (demands.needs, &steered_by);
        let request = Request { plan: &plan, actor, what, needs, confirms, comment: &asked };
        match ask(request, 0, context) {
            Ok(mut agreed) => agreed.before(actor, decision),
            Err(stop) => stop.decision(actor),
        }
    }
}

/// What lets computers get a release otherwise, or sooner, than was agreed when it was approved. To stop one never does.
fn hastens(what: &Steer, rollout: &Rollout, plan: &Plan) -> Option<Steered> {
    match what {
        Steer::Resume if rollout.state == RolloutState::Halted => Some(Steered::Resume),
        Steer::Pause | Steer::Resume | Steer::Abort { .. } => None,
        // Two agreed that computers wait for nothing.
        Steer::Next { .. } if rollout.emergency => None,
        Steer::Next { ring, .. } => Some(Steered::Next { ring: *ring }),
        Steer::Edit { strategy, emergency } => {
            let plan = plan.settings.strategy(strategy)?;
            Some(Steered::Edit { strategy: *strategy, plan, emergency: *emergency })
        }
    }
}

/// The refusal of a strategy that is not there.
#[must_use]
pub fn no_such_strategy(name: &Word, settings: &Settings) -> Problem {
    let known: Vec<String> = settings.all_strategies().keys().map(ToString::to_string).collect();
    Problem::new(
        ProblemCode::NotFound,
        format!("there is no strategy named {name}"),
        format!("there are {}; `distributor strategies list` shows them", known.join(", ")),
    )
}

struct Steering {
    facts: RolloutFacts,
    rollout: Rollout,
    known: KnownRelease,
    actor: Actor,
    comment: String,
}

impl Steering {
    fn wrong_state(&self, verb: &str) -> Decision<()> {
        let (number, state) = (self.rollout.number, self.rollout.state);
        let hint = match state {
            RolloutState::Paused | RolloutState::Halted => {
                format!("let it go on with `distributor rollouts resume {number}`")
            }
            RolloutState::Running => format!("see `distributor rollouts show {number}`"),
            RolloutState::Aborted
            | RolloutState::Completed
            | RolloutState::Superseded
            | RolloutState::Withdrawn => {
                "an approval begins a new rollout; see `distributor updates list`".to_owned()
            }
        };
        Decision::refuse(Problem::new(
            ProblemCode::WrongState,
            format!("cannot {verb} rollout {number}: it is {state}"),
            hint,
        ))
    }

    fn pause(self) -> Decision<()> {
        match self.rollout.state {
            RolloutState::Paused => Decision::answer(()),
            RolloutState::Running => {
                let (rollout, release) = (self.rollout.number, self.rollout.release);
                let change = Change::RolloutPaused { rollout, release, comment: self.comment };
                Decision::answer(()).change(self.actor, change)
            }
            _ => self.wrong_state("pause"),
        }
    }

    fn resume(self) -> Decision<()> {
        let is_newest = self.facts.newest == Some(self.rollout.number);
        let halted = self.rollout.state == RolloutState::Halted
            && self.known.state == ReleaseState::Halted
            && is_newest;
        match self.rollout.state {
            RolloutState::Running => return Decision::answer(()),
            RolloutState::Paused => {}
            RolloutState::Halted if halted => {}
            _ => return self.wrong_state("resume"),
        }
        // Who went back from it takes it again only in a later attempt, also where a retry raised its own.
        let attempt = (halted && self.known.rollback)
            .then(|| self.known.attempt.max(self.facts.highest_attempt).saturating_add(1));
        let supersession = if halted {
            let approved = KnownRelease { state: ReleaseState::Approved, ..self.known };
            let manifest = approved.manifest;
            let others = self.facts.releases.into_iter().filter(|other| other.manifest != manifest);
            let releases: Vec<KnownRelease> = others.chain([approved]).collect();
            supersession(&releases)
        } else {
            Supersession::default()
        };
        // After a pause nothing was decided about failures.
        let forgives = |counts: &RingCounts| if halted { counts.failures() } else { counts.forgiven };
        let forgiven = self.rollout.rings.iter().map(|ring| forgives(&ring.counts)).collect();
        let change = Change::RolloutResumed {
            rollout: self.rollout.number,
            release: self.rollout.release,
            manifest: self.rollout.manifest,
            forgiven,
            attempt,
            comment: self.comment,
            supersession,
        };
        Decision::answer(()).change(self.actor, change)
    }

    fn next(self, ring: u32, populations: Option<&[Population]>) -> Decision<()> {
        if self.rollout.state != RolloutState::Running {
            return self.wrong_state("open the next ring of");
        }
        let current = self.rollout.current_ring();
        if current.is_some_and(|current| index(current) >= ring) {
            return Decision::answer(());
        }
        let next = current.map_or(0, |current| index(current) + 1);
        if next != ring {
            return Decision::refuse(Problem::new(
                ProblemCode::WrongState,
                format!("the next ring of rollout {} is another one by now", self.rollout.number),
                format!("look again with `distributor rollouts show {}`", self.rollout.number),
            ));
        }
        let facts = AdvanceFacts { populations, overtaken_by: None };
        let opened = match open_next(&self.rollout, &facts) {
            Ok(step) => opening(&self.rollout, &step, self.actor.clone(), self.comment.clone()),
            Err(_) => None,
        };
        match opened {
            Some((actor, change)) => Decision::answer(()).change(actor, change),
            None => Decision::refuse(Problem::new(
                ProblemCode::WrongState,
                format!("rollout {} has no further ring", self.rollout.number),
                "its last ring is open: it is complete when that has been watched",
            )),
        }
    }

    fn abort(self, roll_back: bool) -> Decision<()> {
        match self.rollout.state {
            RolloutState::Aborted if !roll_back || self.known.rollback => return Decision::answer(()),
            RolloutState::Aborted | RolloutState::Running | RolloutState::Paused | RolloutState::Halted => {}
            _ => return self.wrong_state("abort"),
        }
        let others: Vec<KnownRelease> =
            self.facts.releases.into_iter().filter(|other| other.manifest != self.rollout.manifest).collect();
        let change = Change::ReleaseHalted {
            release: self.rollout.release,
            manifest: self.rollout.manifest,
            reason: self.comment,
            rollback: roll_back || self.known.rollback,
            withdrawn: self.known.state == ReleaseState::Withdrawn,
            aborted: true,
            supersession: supersession(&others),
        };
        Decision::answer(()).change(self.actor, change)
    }

    fn edit(self, strategy: Word, emergency: bool) -> Decision<()> {
        if !self.rollout.state.is_live() {
            return self.wrong_state("edit");
        }
        let settings = &self.facts.plan.settings;
        let Some(plan) = settings.strategy(&strategy) else {
            return Decision::refuse(no_such_strategy(&strategy, settings));
        };
        let plan = match goes_on(&self.rollout, &plan) {
            Ok(plan) => plan,
            Err(problem) => return Decision::refuse(problem),
        };
        let rollout = &self.rollout;
        if plan == rollout.strategy && strategy == rollout.strategy_name && emergency == rollout.emergency {
            return Decision::answer(());
        }
        let change = Change::RolloutEdited {
            rollout: rollout.number,
            release: rollout.release.clone(),
            strategy,
            plan,
            emergency,
            comment: self.comment,
        };
        Decision::answer(()).change(self.actor, change)
    }
}

/// A strategy for a rollout that is under way: its open rings keep whom they take, go by the new numbers of a ring of their name, and behind them come those of the new strategy
/// that take more than they did.
fn goes_on(rollout: &Rollout, wanted: &Strategy) -> Result<Strategy, Problem> {
    let open = rollout.current_ring().map_or(0, |current| current + 1);
    let goes_by = |ring: &Ring| match wanted.rings().iter().find(|new| new.name == ring.name) {
        Some(new) => Ring { takes: ring.takes.clone(), ..new.clone() },
        None => ring.clone(),
    };
    let before: Vec<_> = rollout.strategy.rings().iter().take(open).map(goes_by).collect();
    let takes_everyone = |takes: &Takes| *takes == Takes::Everyone;
    // Once everybody's ring is open, a new strategy changes its caps, soak and thresholds.
    let (before, after) = if before.last().is_some_and(|ring| takes_everyone(&ring.takes)) {
        let kept: Vec<_> = before.iter().take(open.saturating_sub(1)).cloned().collect();
        (kept, wanted.rings().iter().rev().take(1).cloned().collect::<Vec<_>>())
    } else {
        let names: Vec<Word> = before.iter().map(|ring| ring.name).collect();
        let after = wanted.rings().iter().filter(|ring| !names.contains(&ring.name)).cloned().collect();
        (before, after)
    };
    let rings = before.into_iter().chain(after).collect();
    let deadline = wanted.deadline().and_then(|deadline| u32::try_from(deadline.as_hours()).ok());
    Strategy::new(rings, wanted.on_failure(), deadline).map_err(|error| {
        Problem::new(
            ProblemCode::BadRequest,
            format!("rollout {} cannot go on by this strategy: {error}", rollout.number),
            "its open rings keep whom they take; name the other rings differently",
        )
    })
}

/// The entry of a ring that opens.
pub(super) fn opening(
    rollout: &Rollout,
    step: &Step,
    actor: Actor,
    comment: String,
) -> Option<(Actor, Change)> {
    let Step::OpenRing { ring, below, why } = step else { return None };
    let plan = rollout.strategy.rings().get(*ring)?;
    let change = Change::RingOpened {
        rollout: rollout.number,
        release: rollout.release.clone(),
        ring: index(*ring),
        name: plan.name,
        below: *below,
        reason: *why,
        comment,
    };
    Some((actor, change))
}

pub(super) fn index(ring: usize) -> u32 {
    u32::try_from(ring).unwrap_or(u32::MAX)
}
