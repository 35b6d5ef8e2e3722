//! What an install file does on a computer: program, configuration, hooks, enrollment, service; and how that is taken back.
//!
//! Invariants: each step looks first, and changes only what is not so yet, so that a second run is harmless and a run that was
//! broken off is simply repeated; of two at the same time the second one waits for the first; what an admin or a package brought is
//! kept. The files that came with it are trusted as whoever
//! ran the install file as root trusted them: they are checked against each other, not against a signature.
//! Left out on purpose: updates of the agent, which come through its own package from then on.

mod order;
mod remove;
mod steps;
mod system;

pub use order::{FirstInstallError, Mode, Order, Outcome, Step};
pub use remove::remove;
pub use steps::install;
