//! Updates of the agent's own program, up to where processes begin; real processes are in the crate's tests.

mod begin;
mod crash;
mod faults;
mod fixture;
mod reach;
mod settle;
mod watch;
