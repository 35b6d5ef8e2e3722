//! The runner as a process, with real hooks.

#![expect(clippy::unwrap_used, reason = "tests")]

mod ends;
mod running;
mod support;
