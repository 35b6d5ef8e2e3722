//! What the agent does and why, for the person at the computer: read from files, with or without a running daemon.
//!
//! Invariant: it never fails; what cannot be read becomes a notice.

mod problems;
mod read;
mod report;
mod text;

pub use read::read;
pub use report::{
    AdmissionStatus, DriftStatus, PackageStatus, PostponeStatus, ProblemKind, Status, StatusProblem,
    TimesStatus, WayStatus,
};
pub use text::{Hooks, Paint};
