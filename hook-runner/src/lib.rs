//! Runs a foreign program ("a hook") in a process of its own, the runner, and ends whatever it left.
//!
//! [`Runner::run`] starts the runner, which is a hidden subcommand of the calling program ([`serve`]), gives it a [`Task`]
//! over a socket, and waits for the answer. The runner is the subreaper of everything below it, so that a process cannot
//! leave it by `setsid` or by outliving its parent.
//!
//! Invariants: a hook has no terminal, no open files but its own three, an environment of what it was given, a time limit.
//! After its end, after the time limit, and when the caller ends, however that happens, none of its processes is left; but
//! of a hook that is to leave something running ([`Leftovers::Leave`]) only the hook itself ends with the caller, and what it
//! left may print for as long as it lives. Where a hook has a user of its own, the runner does not have it: with the hook's
//! rights nothing of the runner can be reached, not even by a signal.
//! Whether a program may be trusted and can be executed is found out before by [`ownership`] and [`ensure_runnable`].
//! Left out on purpose: who may configure a hook (the caller checks that); control groups, which not every computer has; a
//! hook with root's rights that is out to escape.

#![warn(missing_docs)]

mod contents;
mod descendants;
mod env_line;
mod outlasting;
mod output;
pub mod ownership;
mod registered;
mod rights;
mod run;
mod runnable;
mod serve;
mod task;
pub mod users;
mod wire;

pub use contents::{Contents, HEAD_BYTES};
pub use output::{OUTPUT_TAIL_BYTES, with_output};
pub use run::{Ending, Finished, RunError, Runner};
pub use runnable::{NotRunnable, ensure_reachable_by_everybody, ensure_runnable};
pub use serve::{ServeError, serve};
pub use task::{Leftovers, Task, UserIds};
