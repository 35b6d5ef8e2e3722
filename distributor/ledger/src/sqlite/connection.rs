//! How connections to the file are opened.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use sealpost_manifests::ids::SerialNumber;
use sealpost_site::rules::release::KnownRelease;
use sealpost_site::rules::rollouts::plan::LiveRings;

use super::plan_cache::PlanCache;
use crate::grants::TrustedGrants;
use crate::store::StoreError;

/// How long a connection waits for another process that reads or checkpoints, for example `log verify`.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// The write-ahead log is cut back to this size after a checkpoint, in bytes.
const WAL_LIMIT_BYTES: i64 = 64 * 1024 * 1024;
/// Statements that a connection keeps prepared: more than there are, so that each is planned once.
const STATEMENTS: usize = 128;

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(Box::new(error))
    }
}

/// The connection that writes.
pub(super) fn open_writable(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    set_up(&connection)?;
    connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.query_row(&format!("PRAGMA journal_size_limit = {WAL_LIMIT_BYTES}"), [], |_| Ok(()))?;
    Ok(connection)
}

/// A connection that cannot write.
pub(super) fn open_read_only(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    set_up(&connection)?;
    connection.pragma_update(None, "query_only", true)?;
    Ok(connection)
}

fn set_up(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    distrust_schema(connection)?;
    // The bundled SQLite is built with STAT4: without this a statement is planned again whenever a bound value changes.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(())
}

/// Nothing that stands in a file's schema runs by itself. The product has no triggers and no views: one that somebody put
/// there would change rows behind each command, and could take its traces away before anybody compares.
pub(super) fn distrust_schema(connection: &Connection) -> rusqlite::Result<()> {
    let switches = [
        (DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false),
        (DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false),
        (DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true),
        (DbConfig::SQLITE_DBCONFIG_WRITABLE_SCHEMA, false),
        (DbConfig::SQLITE_DBCONFIG_DQS_DML, false),
        (DbConfig::SQLITE_DBCONFIG_DQS_DDL, false),
    ];
    for (switch, wanted) in switches {
        connection.set_db_config(switch, wanted)?;
    }
    Ok(())
}

/// What both kinds of connections answer from.
pub(super) trait Connected: Send {
    fn connection(&self) -> &Connection;
    /// Which of the stored grants count.
    fn grants(&self) -> &TrustedGrants;
    /// The plan that was read last.
    fn plans(&self) -> &PlanCache;

    /// Every release that goes to clients.
    fn approved(&self) -> Result<Arc<Vec<KnownRelease>>, StoreError>;

    /// How far the rings of live rollouts are.
    fn live(&self) -> Result<Arc<LiveRings>, StoreError>;

    /// How many names hold a seat of a serial number.
    fn used(&self, serial: &SerialNumber) -> rusqlite::Result<u32>;
}

/// Runs one statement, which stays prepared.
pub(super) fn execute(
    connection: &Connection,
    sql: &str,
    params: impl rusqlite::Params,
) -> Result<(), StoreError> {
    connection.prepare_cached(sql)?.execute(params)?;
    Ok(())
}
