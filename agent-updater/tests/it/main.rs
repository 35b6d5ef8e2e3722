//! The agent against a simulated Primary Server. The vendor's repository behind it is real.

#![expect(clippy::unwrap_used, reason = "tests")]

mod contact;
mod enroll;
mod hostile;
mod server;
mod site;
mod update;
