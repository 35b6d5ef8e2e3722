//! Simulated fleets go through weeks of rollouts, decided by the commands and rules of the server.
//!
//! `world` is the clock, the vendor and the admins; `site` keeps what the changes say; `computer` is one computer, `contact` how
//! it gets its answer; `persons` is what persons, outages and clocks do to rollouts; `survey` is a look at all computers; `checks` is what has to hold at every step.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a test that fails, and small numbers"
)]

mod checks;
mod computer;
mod contact;
mod dice;
mod persons;
mod replay;
mod scenarios;
mod site;
mod survey;
mod world;
