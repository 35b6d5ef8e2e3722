//! What a program of ours needs to be a well-behaved service and command line, and nothing of what it does: printing, the
//! log, who notices a panic, signals, the service manager, inherited sockets, unit files, completions and man pages; and whose files root
//! makes.
//!
//! Invariant: without a service manager everything here does nothing, quietly; a service manager that cannot be reached
//! never ends a program.
//! Left out on purpose: what a reload rereads and when a program is healthy (both are the programs'), and every service
//! manager but systemd.

#![warn(missing_docs)]

pub mod arguments;
pub mod command;
pub mod command_line;
pub mod logging;
pub mod notify;
pub mod output;
pub mod owner;
pub mod port_holder;
pub mod signals;
pub mod sockets;
mod standard_error;
pub mod subcommands;
pub mod supervision;
pub mod text;
pub mod unit;
