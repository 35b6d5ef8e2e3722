//! Replacing the agent's own program, step by step; the states and what leads from one to the next stand in
//! [`crate::domain::self_update`].
//!
//! [`begin`] records a trial at the end of an install that was built like any other; [`run`] is the launcher; `watch`
//! is the watchdog, which lets `ask` contact first; [`contacted`] is how a program on trial says that it works; [`settle`] notes the end.
//!
//! Invariant: whoever writes the record holds the watch lock, so that a watchdog is its only writer while it watches.
//! Left out on purpose: fetching and building the release (`flows::install`).

mod ask;
pub mod begin;
mod blocking;
pub mod contacted;
mod error;
pub mod packaged;
mod reach;
mod record;
pub mod run;
pub mod settle;
mod starts;
pub mod status;
mod watch;
mod watchdog;
mod withdrawn;

pub use error::LaunchError;
pub use watchdog::OwnCommand;

#[cfg(test)]
mod tests;
