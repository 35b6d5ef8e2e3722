//! The activity chain: reading entries, and checking the whole of it from the stored bytes.
//!
//! Invariant: an entry is what its stored bytes say, and its hash is the hash of exactly these. The columns beside them
//! only help to find entries, so the check compares them too: an edited column would hide an entry from a search.
//! What the chain alone cannot show is a cut at its end; a head that was seen elsewhere shows that.

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Row};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::{ComputerName, ServerId};
use sealpost_manifests::lease::LedgerHead;

use super::queries::page;
use super::step::empty_head;
use super::values::{count, integer, micros, text};
use crate::domain::activity::{ActivityEntry, Change};
use crate::domain::summary;
use crate::ports::ledger::{ActivityFilter, LogCheck, LoggedEntry};

/// The newest entry's sequence number and stored hash.
pub(super) fn head(connection: &Connection) -> rusqlite::Result<LedgerHead> {
    let newest = connection
        .prepare_cached("SELECT sequence, hash FROM activity ORDER BY sequence DESC LIMIT 1")?
        .query_row([], |row| Ok(LedgerHead { sequence: count(row, 0)?, hash: text(row, 1)? }))
        .optional()?;
    Ok(newest.unwrap_or_else(empty_head))
}

/// Entries that a filter lets through, oldest first.
pub(super) fn read(connection: &Connection, filter: &ActivityFilter) -> rusqlite::Result<Vec<LoggedEntry>> {
    let mut sql = "SELECT entry, hash FROM activity WHERE sequence > ?1".to_owned();
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
    values.push(Value::Integer(page(filter.limit)));
    sql.push_str(&format!(" ORDER BY sequence LIMIT ?{}", values.len()));
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map(rusqlite::params_from_iter(values), logged)?;
    rows.collect()
}

fn logged(row: &Row<'_>) -> rusqlite::Result<LoggedEntry> {
    let bytes: Vec<u8> = row.get(0)?;
    let entry: ActivityEntry = serde_json::from_slice(&bytes).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Blob, Box::new(error))
    })?;
    let summary = summary::summary(&entry);
    Ok(LoggedEntry { entry, hash: text(row, 1)?, summary })
}

/// Re-computes the whole chain. `written` is the head that a running server wrote, if one runs.
pub(super) fn check(connection: &Connection, written: Option<&LedgerHead>) -> rusqlite::Result<LogCheck> {
    let mut statement = connection
        .prepare("SELECT sequence, at, kind, computer, entry, hash FROM activity ORDER BY sequence")?;
    let mut rows = statement.query([])?;
    let mut previous = empty_head();
    let mut entries = 0;
    let mut damage = None;
    let mut written_seen = written.is_none_or(|written| written.sequence == 0);
    while let Some(row) = rows.next()? {
        entries += 1;
        let stored = StoredEntry::read(row)?;
        if let Some(text) = stored.damage(&previous) {
            damage = Some((previous.sequence.saturating_add(1), text));
            break;
        }
        if entries == 1 {
            damage = first_entry_damage(connection, &stored.bytes)?.map(|text| (1, text));
        }
        if damage.is_some() {
            break;
        }
        previous = LedgerHead { sequence: stored.sequence, hash: stored.hash.unwrap_or(previous.hash) };
        written_seen |= written.is_some_and(|written| *written == previous);
    }
    if damage.is_none() && entries == 0 {
        damage = Some((1, "the log is empty; its first entry binds it to its server".to_owned()));
    }
    if let (None, false, Some(written)) = (&damage, written_seen, written) {
        let text = format!(
            "the log does not hold the entry {} that this server wrote; entries were cut off or replaced",
            written.sequence
        );
        damage = Some((previous.sequence.saturating_add(1).min(written.sequence), text));
    }
    drop(rows);
    let head = if damage.is_none() { previous } else { newest_as_it_stands(connection)? };
    Ok(LogCheck { entries, head, damage })
}

/// The newest entry of a damaged log; its hash may be unreadable.
fn newest_as_it_stands(connection: &Connection) -> rusqlite::Result<LedgerHead> {
    Ok(head(connection).unwrap_or_else(|_| empty_head()))
}

fn first_entry_damage(connection: &Connection, bytes: &[u8]) -> rusqlite::Result<Option<String>> {
    let entry: Option<ActivityEntry> = serde_json::from_slice(bytes).ok();
    let Some(Change::ServerInitialized { server_id, .. }) = entry.map(|entry| entry.change) else {
        return Ok(Some("the first entry does not bind the log to a server".to_owned()));
    };
    let named: Option<String> =
        connection.query_row("SELECT server_id FROM server", [], |row| row.get(0)).optional()?;
    let same = named.and_then(|named| ServerId::new(named).ok()).is_some_and(|named| named == server_id);
    Ok((!same).then(|| format!("the first entry binds the log to server {server_id}, which is another one")))
}

/// A row of the log as it stands, believed in nothing.
struct StoredEntry {
    sequence: u64,
    at: i64,
    kind: String,
    computer: Option<String>,
    bytes: Vec<u8>,
    hash: Option<Sha256Digest>,
}

impl StoredEntry {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let hash: String = row.get(5)?;
        Ok(Self {
            sequence: u64::try_from(row.get::<_, i64>(0)?).unwrap_or(0),
            at: row.get(1)?,
            kind: row.get(2)?,
            computer: row.get(3)?,
            bytes: row.get(4)?,
            hash: hash.parse().ok(),
        })
    }

    /// What is wrong with it, coming after `previous`.
    fn damage(&self, previous: &LedgerHead) -> Option<String> {
        let expected = previous.sequence.saturating_add(1);
        if self.sequence != expected {
            return Some(format!("entry {expected} is missing; the next one is {}", self.sequence));
        }
        if self.hash != Some(Sha256Digest::of(&self.bytes)) {
            return Some(format!(
                "entry {expected} was edited: its stored hash is not the hash of its bytes"
            ));
        }
        let Ok(entry) = serde_json::from_slice::<ActivityEntry>(&self.bytes) else {
            return Some(format!("entry {expected} cannot be read"));
        };
        if entry.sequence != expected {
            return Some(format!("in place {expected} stands entry {}: entries were moved", entry.sequence));
        }
        if entry.previous != previous.hash {
            return Some(format!(
                "entry {expected} does not follow the one before it: one of them was replaced"
            ));
        }
        let computer = summary::computer(&entry).map(ComputerName::as_str);
        if self.at != micros(entry.at)
            || self.kind != summary::kind(&entry.change)
            || self.computer.as_deref() != computer
        {
            return Some(format!("the columns by which entry {expected} is found were edited"));
        }
        None
    }
}
