//! The agent against a simulated Primary Server. The vendor's repository behind it is real.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on says where it stopped")]

mod assignments;
mod by_file;
mod clocks;
mod contact;
mod copies;
mod deltas;
mod enroll;
mod faults;
mod first_install;
mod handover;
mod hostile;
mod knock;
mod links;
mod log;
mod orders;
mod pace;
mod packed;
mod program;
mod repair;
mod restored;
mod retention;
mod rollouts;
mod self_update;
mod server;
mod servers;
mod site;
mod state;
mod truth;
mod unsigned;
mod update;
mod ways;
mod withdrawn;
mod witness;
