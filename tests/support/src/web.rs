//! An HTTP server on the loopback for tests, over TLS or without, that makes faults when a test asks for them.
//!
//! It keeps what was asked for. Left out on purpose: what the answers are. A test gives a function that answers, or a
//! folder.

mod body;
mod fault;
mod server;

pub use fault::{Fault, Times};
pub use server::{Reply, Request, Web, file};
