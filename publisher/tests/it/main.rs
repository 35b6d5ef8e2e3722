//! The publisher as its users meet it: homes on disk, the repository read back as a stranger, the server over TCP,
//! the program as a process.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod attachments;
mod cli;
mod cli_licenses;
mod crash;
mod delta;
mod ends;
mod forged_home;
mod formats;
mod init;
mod lint;
mod looking;
mod mandatory;
mod minimum;
mod owner;
mod page;
mod process;
mod release;
mod release_deltas;
mod renewal;
mod serve;
mod server;
mod slips;
mod support;
mod trust;
mod withdraw;
