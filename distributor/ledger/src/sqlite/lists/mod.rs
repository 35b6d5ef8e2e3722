//! What lists and look-ups answer.

mod client_lines;
mod clients;
mod endings;
mod fleet;
pub(super) mod licenses;
mod names;
pub(super) mod releases;
pub(super) mod rollouts;
pub(super) mod servers;
mod setups;
