//! One cycle: end an interrupted install, contact the server, install what is assigned, report.
//!
//! A reconciler: it reads the state, acts on the difference to what is assigned, and stops; running it twice changes
//! nothing more.

mod counters;
mod decide;
mod go_back;
mod metadata;
mod others;
mod problems;
mod round;
mod run;
mod vet;
mod withdrawn;

pub use crate::flows::start_again::Starts;
pub(in crate::flows) use decide::decision;
pub use round::Repairs;
pub use run::{CycleResult, run, run_with_answer, run_with_repairs};
