//! The daemon: runs a cycle when it is due, when the server sends a wake, or when a person asks.
//!
//! Invariants: one daemon per home; a cycle is never aborted: a signal lets a change that has touched the product come
//! to its end first. The wake stream only causes contacts; without it, everything happens at the next contact.

mod run;
mod wakes;

pub use run::{DaemonEnd, DaemonError, run};
