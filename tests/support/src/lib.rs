//! What tests of several crates need. A test crate asks for the parts that it uses, by their features:
//!
//! | feature | module | what it is |
//! |---|---|---|
//! | `certificates` | `certificates` | a site CA and a server certificate for the loopback |
//! | `clock` | `clock` | a clock that a test sets and moves |
//! | `computer` | `computer` | a computer that speaks the wire protocol: signed requests, and what it keeps of the answers |
//! | `delta` | `delta` | the delta between two releases |
//! | `folders` | `folders` | files and folders: written, copied, compared, damaged |
//! | `license` | `license` | registrations and grants |
//! | `memory-store` | `memory_store` | a store for a ledger that keeps everything in memory |
//! | `names` | `names` | typed names from text |
//! | `ports` | `ports` | ports for servers that come back where they were |
//! | `release` | `release` | releases that are built, and can be spoiled before they are signed |
//! | `skips` | `skips` | a test that cannot run where it is says so |
//! | `vendor` | `vendor` | a vendor with keys, a repository, releases, channels, trust and grants |
//! | `vendor-server` | `vendor_server` | that vendor behind a web server, with its license authority |
//! | `wait` | `wait` | waiting for a state, with a bound |
//! | `web` | `web` | a web server, over TLS or without, that makes faults to order |
//! | `world` | `seats` | changes of seats as they are, whatever was decided |
//! | `world` | `world` | a vendor, a server and computers as values, and the commands that they cause |
//!
//! Invariant: only dev-dependencies and the crate of end-to-end tests name this crate, so that nothing of it is in a
//! program. No feature is on by itself, so that a test builds no more than it uses. Left out on purpose: everything that
//! needs one of the programs; their own tests keep that.

#![warn(missing_docs)]

#[cfg(feature = "certificates")]
#[expect(clippy::unwrap_used, reason = "what cannot be made here fails the test that asked for it")]
pub mod certificates;
#[cfg(feature = "clock")]
#[expect(clippy::unwrap_used, reason = "what cannot be made here fails the test that asked for it")]
pub mod clock;
#[cfg(feature = "computer")]
#[expect(clippy::unwrap_used, reason = "what cannot be made here fails the test that asked for it")]
pub mod computer;
#[cfg(feature = "delta")]
#[expect(clippy::unwrap_used, reason = "what cannot be made here fails the test that asked for it")]
pub mod delta;
#[cfg(feature = "folders")]
pub mod folders;
#[cfg(feature = "license")]
#[expect(clippy::unwrap_used, reason = "what cannot be made here fails the test that asked for it")]
pub mod license;
#[cfg(feature = "memory-store")]
pub mod memory_store;
#[cfg(feature = "names")]
#[expect(clippy::unwrap_used, reason = "what cannot be made here fails the test that asked for it")]
pub mod names;
#[cfg(feature = "ports")]
#[expect(clippy::unwrap_used, reason = "what cannot be made here fails the test that asked for it")]
pub mod ports;
#[cfg(feature = "release")]
#[expect(clippy::unwrap_used, reason = "what cannot be made here fails the test that asked for it")]
pub mod release;
#[cfg(feature = "world")]
#[expect(clippy::unwrap_used, reason = "what cannot be made here fails the test that asked for it")]
pub mod seats;
#[cfg(feature = "skips")]
pub mod skips;
#[cfg(feature = "vendor")]
#[expect(clippy::unwrap_used, reason = "what cannot be made here fails the test that asked for it")]
pub mod vendor;
#[cfg(feature = "vendor-server")]
#[expect(clippy::unwrap_used, reason = "what cannot be made here fails the test that asked for it")]
pub mod vendor_server;
#[cfg(feature = "wait")]
pub mod wait;
#[cfg(feature = "web")]
#[expect(clippy::unwrap_used, reason = "what cannot be made here fails the test that asked for it")]
pub mod web;
#[cfg(feature = "world")]
#[expect(clippy::unwrap_used, reason = "what cannot be made here fails the test that asked for it")]
pub mod world;
