//! Decisions of the agent, as arithmetic: what to install, what a crash leaves to do, what the gate says, when to call.
//!
//! Invariant: nothing here has a clock, a disk, a socket, randomness or async; time and seeds come in as arguments.
//! Every answer carries its reason, and where there is one the time at which it changes.

pub mod cadence;
pub mod gate;
pub mod install;
pub mod license;
pub mod policy;
pub mod record;
pub mod release;
pub mod time;
