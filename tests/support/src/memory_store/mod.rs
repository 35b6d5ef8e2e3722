//! A store for a ledger that keeps everything in memory, in plain collections: the second implementation of the
//! store's port, so that the contracts of a ledger hold by more than one database.
//!
//! Invariant: [`MemoryStore`] is what a disk is to a real store. Its clones share what was committed, one of them writes
//! at a time, and a writer that is dropped before it commits leaves nothing. Each change is applied by code of its own;
//! only the pure helpers of `sealpost-site` are shared with other stores.
//! Left out on purpose: indexes, bounds of memory, and faults, which a test injects around it.

mod approvals;
mod client_lines;
mod clients;
mod computers;
mod contact;
mod endings;
mod facts;
mod fleet;
mod log;
mod names;
mod plan;
mod project;
mod releases;
mod rolling;
mod rollouts;
mod seat_rows;
mod seats;
mod site;
mod starts;
mod state;
mod store;

pub use store::{MemoryStore, MemoryStoreError};
