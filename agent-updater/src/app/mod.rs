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

/// An error and its causes in one line, for reports and for people.
#[must_use]
pub fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}

#[cfg(test)]
mod tests;
