//! The runner as a process, with real hooks.

#![expect(clippy::unwrap_used, reason = "tests")]

mod ends;
mod escapes;
mod outlasting;
mod running;
mod support;
