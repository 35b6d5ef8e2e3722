//! Where the parts are wired together: the engine that installs, the contact with the server, the daemon, and what
//! the command line asks for. Everything else knows only its own part.

pub mod agent;
pub mod audit;
mod build;
pub mod contact;
pub mod control;
pub mod cycle;
pub mod daemon;
pub mod engine;
pub mod enroll;
pub mod gate_file;
pub mod rollback;
pub mod state;
pub mod status;
pub mod system;
pub mod vetted;

pub use crate::platform::causes::{one_line, with_causes};

#[cfg(test)]
mod tests;
