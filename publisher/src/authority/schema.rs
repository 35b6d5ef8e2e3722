//! The database's shape and its migrations.
//!
//! Invariant: `user_version` names the format; each migration is one transaction that also raises it, so a crash
//! leaves the old format or the new one.

use std::path::Path;

use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use super::error::{AuthorityError, failed};

/// How long to wait for another process that writes, in milliseconds.
const BUSY_MILLIS: u64 = 10_000;

/// Each step from one format to the next; the index is the format that it starts from.
const MIGRATIONS: &[&str] = &["
    CREATE TABLE serials (
        serial     TEXT PRIMARY KEY,
        seats      INTEGER NOT NULL CHECK (seats > 0),
        model      TEXT NOT NULL,
        packages   TEXT NOT NULL,
        created_at TEXT NOT NULL,
        server_id  TEXT,
        site_key   TEXT,
        generation INTEGER NOT NULL DEFAULT 0 CHECK (generation >= 0),
        CHECK ((server_id IS NULL) = (site_key IS NULL)),
        CHECK ((server_id IS NULL) = (generation = 0))
    ) STRICT;
    CREATE INDEX serials_by_server ON serials (server_id);
    CREATE TABLE grants (
        serial      TEXT NOT NULL REFERENCES serials (serial),
        generation  INTEGER NOT NULL CHECK (generation > 0),
        issued_at   TEXT NOT NULL,
        valid_until TEXT NOT NULL,
        document    TEXT NOT NULL,
        minisig     TEXT NOT NULL,
        PRIMARY KEY (serial, generation)
    ) STRICT;
"];

/// Opens an existing database: write-ahead log, everything flushed before it counts as committed.
pub(super) fn open(path: &Path) -> Result<Connection, AuthorityError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags)
        .map_err(|source| AuthorityError::Database { attempt: "open the file", source })?;
    let setup = |connection: &Connection| -> rusqlite::Result<()> {
        connection.busy_timeout(std::time::Duration::from_millis(BUSY_MILLIS))?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "foreign_keys", true)
    };
    setup(&connection).map_err(failed("set the safe mode"))?;
    migrate(&mut connection)?;
    Ok(connection)
}

fn migrate(connection: &mut Connection) -> Result<(), AuthorityError> {
    let attempt = "bring the format up to date";
    let known = u32::try_from(MIGRATIONS.len()).unwrap_or(u32::MAX);
    loop {
        let transaction =
            connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed(attempt))?;
        let found: u32 =
            transaction.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(failed(attempt))?;
        if found > known {
            return Err(AuthorityError::NewerFormat { found, known });
        }
        let Some(migration) = usize::try_from(found).ok().and_then(|index| MIGRATIONS.get(index)) else {
            return Ok(());
        };
        transaction.execute_batch(migration).map_err(failed(attempt))?;
        transaction.pragma_update(None, "user_version", found + 1).map_err(failed(attempt))?;
        transaction.commit().map_err(failed(attempt))?;
    }
}
