//! What tests of several crates need. A test crate asks for the parts that it uses, by their features:
//!
//! | feature | module | what it is |
//! |---|---|---|
//! | `memory-store` | `memory_store` | a store for a ledger that keeps everything in memory |
//! | `world` | `world` | a vendor, a server and computers as values, and the commands that they cause |
//!
//! Invariant: only dev-dependencies name this crate, so that nothing of it is in a program. No feature is on by itself,
//! and none needs another, so that a test builds no more than it uses.

#![warn(missing_docs)]

#[cfg(feature = "memory-store")]
pub mod memory_store;
#[cfg(feature = "world")]
#[expect(clippy::unwrap_used, reason = "what cannot be made here fails the test that asked for it")]
pub mod world;
