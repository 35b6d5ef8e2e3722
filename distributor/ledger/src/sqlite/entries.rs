//! The rows of the activity log.

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, params};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::lease::LedgerHead;
use sealpost_site::changes::chain::LoggedEntry;
use sealpost_site::changes::chain::{self, FoundBy, LinkedEntry, StoredEntry, empty_head};
use sealpost_site::changes::summary;
use sealpost_site::queries::{Activity, Head, page_limit};

use super::connection::Connected;
use super::open_error::OpenError;
use super::projections;
use super::values::{count, integer, micros, text};
use crate::store::{Read, StoreError, Walk};

/// Appends an entry's bytes, and applies its change.
pub(super) fn append(connection: &Connection, linked: &LinkedEntry) -> Result<(), StoreError> {
    let entry = &linked.entry;
    connection
        .prepare_cached(
            "INSERT INTO activity (sequence, at, kind, computer, entry, hash) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![
            integer(entry.sequence),
            micros(entry.at),
            summary::kind(&entry.change),
            summary::computer(entry).map(AsRef::<str>::as_ref),
            linked.bytes,
            linked.hash.to_string(),
        ])?;
    projections::apply(connection, entry)
}

/// The newest entry's sequence number and stored hash.
fn head(connection: &Connection) -> rusqlite::Result<LedgerHead> {
    let newest = connection
        .prepare_cached("SELECT sequence, hash FROM activity ORDER BY sequence DESC LIMIT 1")?
        .query_row([], |row| Ok(LedgerHead { sequence: count(row, 0)?, hash: text(row, 1)? }))
        .optional()?;
    Ok(newest.unwrap_or_else(empty_head))
}

/// Whether the newest entry is whole: what is appended after it has to follow something.
pub(super) fn check_newest(connection: &Connection) -> Result<(), OpenError> {
    let head = head(connection)?;
    let bytes: Option<Vec<u8>> = connection
        .query_row("SELECT entry FROM activity ORDER BY sequence DESC LIMIT 1", [], |row| row.get(0))
        .optional()?;
    match bytes {
        Some(bytes) if Sha256Digest::of(&bytes) == head.hash => Ok(()),
        Some(_) => {
            let what =
                format!("the hash of the newest entry, {}, is not the hash of its bytes", head.sequence);
            Err(OpenError::Damaged { what })
        }
        None => Err(OpenError::Damaged { what: "the log is empty".to_owned() }),
    }
}

/// Every entry as it stands, from the first.
pub(super) fn walk(
    connection: &Connection,
    each: &mut dyn FnMut(StoredEntry) -> Walk,
) -> Result<(), StoreError> {
    let mut statement = connection
        .prepare("SELECT sequence, at, kind, computer, entry, hash FROM activity ORDER BY sequence")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let hash: String = row.get(5)?;
        let entry = StoredEntry {
            sequence: u64::try_from(row.get::<_, i64>(0)?).unwrap_or(0),
            found_by: FoundBy { at_micros: row.get(1)?, kind: row.get(2)?, computer: row.get(3)? },
            bytes: row.get(4)?,
            hash: hash.parse().ok(),
        };
        if each(entry) == Walk::Stop {
            break;
        }
    }
    Ok(())
}

impl<C: Connected> Read<Head> for C {
    fn read(&mut self, _: &Head) -> Result<LedgerHead, StoreError> {
        Ok(head(self.connection())?)
    }
}

impl<C: Connected> Read<Activity> for C {
    fn read(&mut self, filter: &Activity) -> Result<Vec<LoggedEntry>, StoreError> {
        let mut sql = "SELECT entry, hash, sequence FROM activity WHERE sequence > ?1".to_owned();
        let mut values = vec![Value::Integer(integer(filter.after))];
        let mut narrow = |condition: &str, value: Value| {
            values.push(value);
            sql.push_str(&format!(" AND {condition} ?{}", values.len()));
        };
        if let Some(name) = &filter.client {
            narrow("computer =", Value::Text(name.to_string()));
        }
        if let Some(kind) = &filter.kind {
            narrow("kind =", Value::Text(kind.clone()));
        }
        if let Some(since) = filter.since {
            narrow("at >=", Value::Integer(micros(since)));
        }
        values.push(Value::Integer(i64::from(page_limit(filter.limit))));
        sql.push_str(&format!(" ORDER BY sequence LIMIT ?{}", values.len()));
        let connection = self.connection();
        let mut statement = connection.prepare_cached(&sql)?;
        let mut rows = statement.query(rusqlite::params_from_iter(values))?;
        let mut entries = Vec::new();
        while let Some(row) = rows.next()? {
            let bytes: Vec<u8> = row.get(0)?;
            let (hash, sequence) = (text(row, 1)?, count(row, 2)?);
            let entry = chain::read(&bytes, hash);
            entries.push(entry.map_err(|source| StoreError::Entry { sequence, source })?);
        }
        Ok(entries)
    }
}
