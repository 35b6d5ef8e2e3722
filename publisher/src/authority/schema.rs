//! The database's shape, its migrations, and its rows as types.
//!
//! Invariant: `user_version` names the format; each migration is one transaction that also raises it, so a crash
//! leaves the old format or the new one.

use std::path::Path;

use jiff::Timestamp;
use rusqlite::{Connection, OpenFlags, Row};
use sealpost_manifests::grant::LicenseModel;
use sealpost_manifests::ids::{PackageName, SerialNumber, ServerId};

use super::{AuthorityError, SerialEntry, Terms, damaged, failed};

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
        let transaction = connection
            .transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)
            .map_err(failed(attempt))?;
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

/// A row of `serials`, not parsed yet.
pub(super) struct SerialRow {
    serial: String,
    seats: u32,
    model: String,
    packages: String,
    created_at: String,
    server_id: Option<String>,
    generation: i64,
    valid_until: Option<String>,
}

impl SerialRow {
    pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            serial: row.get(0)?,
            seats: row.get(1)?,
            model: row.get(2)?,
            packages: row.get(3)?,
            created_at: row.get(4)?,
            server_id: row.get(5)?,
            generation: row.get(7)?,
            valid_until: row.get(8)?,
        })
    }

    pub(super) fn into_entry(self) -> Result<SerialEntry, AuthorityError> {
        let model = match self.model.as_str() {
            "named" => LicenseModel::Named,
            "floating" => LicenseModel::Floating,
            _ => return Err(damaged("a license model")),
        };
        let names = self.packages.split(',').filter(|name| !name.is_empty());
        let packages: Result<Vec<_>, _> = names.map(PackageName::new).collect();
        let time = |text: &str| text.parse::<Timestamp>().map_err(|_| damaged("a time"));
        Ok(SerialEntry {
            serial: SerialNumber::new(&self.serial).map_err(|_| damaged("a serial number"))?,
            terms: Terms {
                seats: self.seats,
                model,
                packages: packages.map_err(|_| damaged("a package name"))?,
            },
            created_at: time(&self.created_at)?,
            server_id: self.server_id.map(ServerId::new).transpose().map_err(|_| damaged("a server id"))?,
            generation: u64::try_from(self.generation).map_err(|_| damaged("a grant's generation"))?,
            valid_until: self.valid_until.as_deref().map(time).transpose()?,
        })
    }
}
