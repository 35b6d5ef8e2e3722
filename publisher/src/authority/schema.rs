//! The database's shape and its migrations.
//!
//! Invariant: `user_version` names the format; each migration is one transaction that also raises it, so a crash
//! leaves the old format or the new one.

use std::path::Path;

use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use super::error::{AuthorityError, failed};

/// How long to wait for another process that writes, in milliseconds.
const BUSY_MILLIS: u64 = 10_000;

/// The first format that lasts: version 1 was never used by a vendor.
const FIRST_FORMAT: u32 = 2;
/// The database of [`FIRST_FORMAT`]. Later formats are migrated to from here, and this text never changes.
const FIRST: &str = "
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
        serial       TEXT NOT NULL REFERENCES serials (serial),
        generation   INTEGER NOT NULL CHECK (generation > 0),
        server_id    TEXT NOT NULL,
        epoch_vendor INTEGER NOT NULL CHECK (epoch_vendor > 0),
        seats        INTEGER NOT NULL,
        issued_at    TEXT NOT NULL,
        not_after    TEXT NOT NULL,
        document     TEXT NOT NULL,
        minisig      TEXT NOT NULL,
        PRIMARY KEY (serial, generation)
    ) STRICT;
    CREATE INDEX grants_by_server ON grants (server_id, epoch_vendor);
    CREATE TABLE registrations (
        number       INTEGER PRIMARY KEY,
        server_id    TEXT NOT NULL,
        request_id   TEXT NOT NULL,
        serial       TEXT NOT NULL,
        generation   INTEGER NOT NULL,
        answered_at  TEXT NOT NULL,
        reason       TEXT NOT NULL,
        epoch_vendor INTEGER NOT NULL,
        epoch_term   INTEGER NOT NULL,
        head_size    INTEGER NOT NULL,
        head_root    TEXT NOT NULL,
        remark       TEXT,
        used         INTEGER,
        sealing_key  TEXT NOT NULL,
        UNIQUE (server_id, request_id),
        FOREIGN KEY (serial, generation) REFERENCES grants (serial, generation)
    ) STRICT;
    CREATE INDEX registrations_by_serial ON registrations (serial, answered_at);
    CREATE INDEX registrations_by_server ON registrations (server_id, number);
";
/// Each step from one format to the next, beginning at [`FIRST_FORMAT`].
const MIGRATIONS: &[&str] = &[CLEARINGS, REFUSED_KEYS, ENDS];
/// To format 3: bindings that the vendor cleared. A cleared serial number keeps its row as it was, because its generation
/// goes on; `cleared_at` says that the next registration may bind it anew.
const CLEARINGS: &str = "
    ALTER TABLE serials ADD COLUMN cleared_at TEXT;
    CREATE TABLE clearings (
        number     INTEGER PRIMARY KEY,
        serial     TEXT NOT NULL REFERENCES serials (serial),
        server_id  TEXT NOT NULL,
        site_key   TEXT NOT NULL,
        cleared_at TEXT NOT NULL
    ) STRICT;
    CREATE INDEX clearings_by_serial ON clearings (serial, number);
";
/// To format 4: the keys of stolen servers. A key is its 32 bytes, so that it stays refused under another key id too.
/// For a while programs made this table in format 3; what they refused then stays refused.
const REFUSED_KEYS: &str = "
    CREATE TABLE IF NOT EXISTS refused_keys (
        key        BLOB PRIMARY KEY CHECK (length(key) = 32),
        server_id  TEXT NOT NULL,
        refused_at TEXT NOT NULL
    ) STRICT;
";
/// To format 5: when a serial number ends, if it does. The grants of before say nothing of an end.
const ENDS: &str = "ALTER TABLE serials ADD COLUMN ends_at TEXT;";

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
    let format = |connection: &Connection| {
        let found = connection.query_row("PRAGMA user_version", [], |row| row.get::<_, u32>(0));
        found.map_err(failed(attempt))
    };
    // Who only looks waits for no writer: the lock is for who has something to change, and finds it unchanged under it.
    while step_from(format(connection)?)?.is_some() {
        let transaction =
            connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed(attempt))?;
        let Some((script, next)) = step_from(format(&transaction)?)? else { break };
        transaction.execute_batch(script).map_err(failed(attempt))?;
        transaction.pragma_update(None, "user_version", next).map_err(failed(attempt))?;
        transaction.commit().map_err(failed(attempt))?;
    }
    Ok(())
}

/// What brings a database of this format further, and to which; `None` if it is up to date. 0 is an empty file.
fn step_from(found: u32) -> Result<Option<(&'static str, u32)>, AuthorityError> {
    let known =
        u32::try_from(MIGRATIONS.len()).map_or(FIRST_FORMAT, |steps| FIRST_FORMAT.saturating_add(steps));
    match found {
        0 => Ok(Some((FIRST, FIRST_FORMAT))),
        found if found < FIRST_FORMAT => Err(AuthorityError::TooOld { found }),
        found if found > known => Err(AuthorityError::NewerFormat { found, known }),
        found => {
            let step = usize::try_from(found - FIRST_FORMAT).ok().and_then(|index| MIGRATIONS.get(index));
            Ok(step.map(|script| (*script, found.saturating_add(1))))
        }
    }
}
