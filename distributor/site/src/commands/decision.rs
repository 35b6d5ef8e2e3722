//! What all commands have in common.

use jiff::{SignedDuration, Timestamp};
use sealpost_manifests::log::Frontier;
use sealpost_manifests::wire::problem::{Problem, ProblemCode};

use crate::changes::{Actor, Change, Note};
use crate::queries::Query;
use crate::rows::ServerIdentity;
use crate::rules::rollouts::outages::Outages;

/// Something that somebody wants to change.
pub trait Command: Send + 'static {
    /// The question whose answer are the facts.
    type Facts: Query;
    /// What is answered when it is done.
    type Answer: Send + 'static;
    /// What was attempted when it fails: "cannot …".
    const ATTEMPTED: &'static str;

    /// Which facts it needs.
    fn facts(&self) -> Self::Facts;

    /// Decides. Pure: the same facts and context give the same decision.
    fn decide(self, facts: <Self::Facts as Query>::Answer, context: &Context<'_>) -> Decision<Self::Answer>;
}

/// What every decision may look at besides its facts.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// License time.
    pub now: Timestamp,
    /// Whose server it is.
    pub server: &'a ServerIdentity,
    /// How long documents are good for.
    pub terms: &'a Terms,
    /// The log before this command.
    pub log: &'a Frontier,
    /// When the server did not run.
    pub outages: &'a Outages,
}

/// How long what a server signs is good for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// Days that a lease is good for. After them a computer installs nothing new; a named product runs on.
    pub lease_days: u16,
    /// Days that an assignment is good for: a computer that hears nothing for longer installs nothing from it.
    pub assignment_days: u16,
}

impl Default for Terms {
    fn default() -> Self {
        Self { lease_days: 30, assignment_days: 30 }
    }
}

impl Context<'_> {
    /// So many days from now.
    #[must_use]
    pub fn after_days(&self, days: u16) -> Timestamp {
        self.now.checked_add(SignedDuration::from_hours(24 * i64::from(days))).unwrap_or(Timestamp::MAX)
    }
}

/// What a command decided: what is written, and what is answered after it is on disk.
#[derive(Debug, Clone)]
pub struct Decision<T> {
    /// Chained, in this order.
    pub changes: Vec<(Actor, Change)>,
    /// Not chained.
    pub notes: Vec<Note>,
    /// The answer, or the refusal.
    pub answer: Result<T, Problem>,
}

impl<T> Decision<T> {
    /// An answer; nothing is written.
    #[must_use]
    pub const fn answer(answer: T) -> Self {
        Self { changes: Vec::new(), notes: Vec::new(), answer: Ok(answer) }
    }

    /// A refusal; nothing is written.
    #[must_use]
    pub const fn refuse(problem: Problem) -> Self {
        Self { changes: Vec::new(), notes: Vec::new(), answer: Err(problem) }
    }

    /// With one more change.
    #[must_use]
    pub fn change(mut self, actor: Actor, change: Change) -> Self {
        self.changes.push((actor, change));
        self
    }

    /// With one more note.
    #[must_use]
    pub fn note(mut self, note: Note) -> Self {
        self.notes.push(note);
        self
    }
}

/// The facts of a command that needs none.
#[derive(Debug, Clone, Copy)]
pub struct NoFacts;

impl Query for NoFacts {
    type Answer = ();
    const ATTEMPTED: &'static str = "read nothing";
}

/// What must be there is not: the ledger is damaged, and the command is refused.
#[must_use]
pub fn missing(what: &str) -> Problem {
    Problem::new(
        ProblemCode::Internal,
        format!("the ledger does not hold the {what} that it must hold"),
        "run `distributor log verify`, and restore the server's home from a backup if it finds damage",
    )
}
