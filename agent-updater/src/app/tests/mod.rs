//! The engine with real slots, real hooks and a local source; a kill is played at every point of the journal, or
//! real.

mod crash;
mod fixture;
mod install;
