//! The engine with real slots, real hooks and a local source.

mod crash;
mod daemon;
mod faults;
mod first_version;
mod fixture;
mod install;
mod linked;
mod not_started;
mod prepared;
mod refused;
mod repair;
mod resumed;
mod rollback;
mod ways;
