//! Backups of a server: one file with everything that cannot be fetched again, made while the server runs.
//!
//! A backup is a gzipped tar: first `backup.json`, which lists every file with its length and digest, then the files. It
//! holds the ledger (copied by SQLite's backup interface), the keys and secrets, the TLS identity, the configuration, the
//! pinned root, and the vendor's metadata as it was trusted and mirrored. Payloads and deltas are fetched and made again.
//! Invariants: a backup is private to its owner, since it holds every secret of the server; a restore takes nothing that
//! the list does not name, and puts nothing in place before all of it is checked; the restored ledger says of itself
//! that it was restored.
//! Left out on purpose: the text log, which is written again from the ledger, and the marker of the ledger.

mod archive;
mod make;
mod restore;

pub use self::archive::{BackupError, BackupList, BackupMember};
pub use self::make::make;
pub use self::restore::{RestoredHome, restore};
