//! The engine with real slots, real hooks and a local source.

mod crash;
mod faults;
mod fixture;
mod install;
mod refused;
mod repair;
mod rollback;
