//! The ledger: the one place where the state of a Primary Server changes.
//!
//! [`Ledger`] is concrete. It carries out commands (`sealpost_site::commands`) one after the other over a [`store`]: facts
//! are read, the command decides, its changes and notes are written, all of a batch in one transaction; a caller is
//! answered only when that is on disk. What keeps the tables is behind the [`store::Store`] port: SQLite here, an
//! in-memory store in the tests, PostgreSQL later.
//!
//! Left out on purpose: rules (they are in `sealpost_site`), a marker outside of the database that finds a restored
//! backup at start, archived segments, and encryption.

#![warn(missing_docs)]

pub mod grants;
pub mod sqlite;
pub mod store;

mod audit;
mod error;
mod findings;
mod job;
mod ledger;
mod probe;
mod readers;
mod refusals;
mod survey;
mod trusted_log;
mod writer;

pub use error::LedgerError;
pub use ledger::{Ledger, LedgerSettings, StartError};
pub use trusted_log::TrustedLog;
