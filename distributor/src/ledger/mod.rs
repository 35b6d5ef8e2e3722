//! The ledger's adapters: the SQLite ledger, and the activity log as a text file.
//!
//! Whatever keeps the ledger has to pass the contract tests beside it. Left out on purpose: a marker outside the
//! database that finds a restored backup at start (its place is `sqlite::open`), PostgreSQL, and archived segments.

pub mod activity_file;
pub mod sqlite;

#[cfg(test)]
mod contract;

/// How the ledger answers, and how it runs. Other servers of the same site would share these.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerSettings {
    /// Days that a lease is good for. After them a computer installs nothing new; a named product runs on.
    pub lease_days: u16,
    /// Days that an assignment is good for: a computer that hears nothing for longer installs nothing from it.
    pub assignment_days: u16,
    /// Read-only connections: queries that run at the same time.
    pub readers: u8,
}

impl Default for LedgerSettings {
    fn default() -> Self {
        Self { lease_days: 30, assignment_days: 30, readers: 4 }
    }
}
