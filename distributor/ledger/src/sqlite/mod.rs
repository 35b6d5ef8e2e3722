//! The embedded store: one SQLite file.
//!
//! Invariant: what was committed is on disk (WAL, `synchronous = FULL`); one process writes (a lock file beside the
//! database says so); an entry and the rows that its change makes are written in one transaction.
//! Left out on purpose: every rule. Rows are written exactly as a change says, and read exactly as they stand.

mod admissions;
mod approvals;
mod audit;
mod computers;
mod connection;
mod contact;
mod definitions;
mod deliveries;
mod entries;
mod facts;
mod granted;
mod lists;
mod migrations;
mod notes;
mod open_error;
mod plan;
mod plan_cache;
mod projections;
mod rebuild;
mod releases;
mod remembered;
mod restored;
mod rollouts;
mod schema;
mod seats;
mod starts;
mod store;
mod values;

#[cfg(test)]
mod tests;

pub use open_error::OpenError;
pub use rebuild::{RebuildError, Rebuilt, rebuild};
pub use store::{
    LedgerIdentity, SqliteStore, copy_file, create, fold, identify, read_log, verify_file,
    verify_file_watched,
};
