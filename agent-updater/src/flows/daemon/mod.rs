//! The daemon: runs a cycle when it is due, when the server sends a wake, or when a person asks.
//!
//! Invariants: one daemon per home; a cycle is never aborted: a signal lets a change that has touched the product come
//! to its end first. SIGHUP reads the configuration again between two cycles, opens the control socket anew, and ends
//! nothing: the wake stream stays open, and a configuration that is wrong leaves the old one in force. The wake stream only causes contacts; without it, everything happens at the next contact.

mod run;
mod wakes;

pub use run::{DaemonEnd, DaemonError, run};
