//! The install engine: takes one change of release through the steps of [`crate::domain::install`], with slots, hooks
//! and journal.
//!
//! Invariants: each step is journaled before the next action; whatever ends the process, [`Engine::recover`] leads to
//! the old or the new release being whole and the product started; `current` is not touched before the new slot was
//! digested twice and test-loaded; a release that was given up is not tried again in the same attempt.
//! Left out on purpose: deciding what to install (`domain::policy`), and the network ([`crate::ports::Source`]).

mod actions;
pub mod budget;
mod build;
mod checks;
mod clean_up;
mod delta;
pub mod downloads;
mod engine;
mod fault;
mod finished;
mod report;
mod signed;
mod terms;
mod vetted;

pub use actions::declines;
pub use checks::has_room_for;
pub use engine::Engine;
pub use fault::{ChangeEnd, EngineError, NotNow};
pub use terms::Terms;
pub use vetted::VettedRelease;

#[cfg(test)]
mod tests;
