//! What depends on the operating system: who may write a path, free disk space, what the machine says of itself,
//! other processes, programs of the agent itself, local users, records on disk, and waiting for the network or for a file.
//! Linux first; Windows and macOS would follow here and in [`crate::slots`].
//!
//! Left out on purpose: durable writes, folders and locks, which are the same in every program (`sealpost-files`).

pub mod disk;
pub mod locks;
pub mod machine;
pub mod network;
pub mod process;
pub mod program;
pub mod store;
pub mod watch;

pub use sealpost_hook_runner::{ownership, users};
