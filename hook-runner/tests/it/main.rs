//! The runner as a process, with real hooks.

mod ends;
mod running;
mod support;
