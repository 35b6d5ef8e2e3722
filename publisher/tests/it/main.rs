//! The publisher as its users meet it: homes on disk, the repository read back as a stranger, the server over TCP,
//! the program as a process.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod cli;
mod crash;
mod formats;
mod lint;
mod release;
mod renewal;
mod server;
mod support;
