//! The ledger from outside: the contracts that every store keeps, also while its disk fails, that two stores answer the same, and what only a
//! database file can suffer.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on says where it stopped")]

mod bench;
mod contract;
mod faults;
mod fixture;
mod golden;
mod memory;
mod random;
mod same;
mod sqlite;
