//! The way of a release from the vendor's files to a staged release with its delta: with a repository as the
//! publisher's editor writes it, behind a real HTTP server that makes faults when a test asks for them.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod attachments;
mod faults;
mod pulls;
mod site;
mod staged;
mod storage;
mod vendor_deltas;
