//! What somebody wants to change: one file per noun. Each command names the facts that it needs, and decides from them.
//!
//! Invariant: a command is facts (one read) → decision (pure) → changes and notes (one write). It is safe to send again:
//! what is so already is answered, and not written again. A refusal writes nothing, unless the refusal itself is worth
//! knowing (a cloned computer, an unknown one); then its change is written, and it is refused all the same.

pub mod accounts;
pub mod approvals;
pub mod clients;
pub mod configuration;
pub mod contact;
pub mod decision;
pub mod licenses;
pub mod pulls;
pub mod releases;
pub mod restores;
pub mod rollouts;
pub mod second_eyes;
pub mod servers;
pub mod settings;
pub mod starts;
mod steering;
pub mod test_loads;
pub mod tokens;
pub mod undoing;

pub use decision::{Command, Context, Decision, NoFacts, Terms, missing};
