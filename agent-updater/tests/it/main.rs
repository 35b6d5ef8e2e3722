//! The agent against a simulated Primary Server. The vendor's repository behind it is real.

#![expect(clippy::unwrap_used, reason = "tests")]

mod assignments;
mod clocks;
mod contact;
mod enroll;
mod hostile;
mod log;
mod orders;
mod restored;
mod self_update;
mod server;
mod site;
mod unsigned;
mod update;
mod witness;
