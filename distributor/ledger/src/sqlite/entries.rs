//! The rows of the activity log.

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Row, params};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::{ComputerName, SerialNumber};
use sealpost_manifests::log::{Frontier, NodeId, frontier_nodes, leaf_hash};
use sealpost_manifests::wire::report::ReasonCode;
use sealpost_site::changes::Change;
use sealpost_site::changes::chain::{
    self, EntryFlaw, FoundBy, LinkedEntry, LoggedEntry, StoredEntry, place_of,
};
use sealpost_site::changes::summary;
use sealpost_site::queries::{Activity, Log, LogEnd, LogEntry, LogNodes, Only, page_limit};

use super::connection::Connected;
use super::open_error::OpenError;
use super::projections;
use super::values::{count, digest, digests, integer, json, micros};
use crate::store::{Read, StoreError, Walk};
use crate::trusted_log::TrustedLog;

/// Appends an entry's bytes, and applies its change.
pub(super) fn append(connection: &Connection, linked: &LinkedEntry) -> Result<(), StoreError> {
    let entry = &linked.entry;
    let nodes: Vec<u8> = linked.nodes.iter().flat_map(|node| *node.as_bytes()).collect();
    connection
        .prepare_cached(
            "INSERT INTO activity (sequence, at, kind, computer, entry, leaf, nodes) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute(params![
            integer(entry.sequence),
            micros(entry.at),
            summary::kind(&entry.change),
            summary::computer(entry).map(AsRef::<str>::as_ref),
            linked.bytes,
            linked.leaf.as_bytes(),
            nodes,
        ])?;
    projections::apply(connection, entry)
}

/// Entries of the log.
fn size(connection: &Connection) -> rusqlite::Result<u64> {
    connection
        .prepare_cached("SELECT coalesce(max(sequence), 0) FROM activity")?
        .query_row([], |row| count(row, 0))
}

/// The hash of a complete node of the log's tree: one look-up by the entry that completes it.
fn node(connection: &Connection, id: NodeId) -> rusqlite::Result<Option<Sha256Digest>> {
    let (sequence, inner) = place_of(id);
    let found = match inner {
        None => connection
            .prepare_cached("SELECT leaf FROM activity WHERE sequence = ?1")?
            .query_row([integer(sequence)], |row| digest(row, 0))
            .optional()?,
        Some(at) => connection
            .prepare_cached(
                "SELECT substr(nodes, ?2, 32) FROM activity WHERE sequence = ?1 AND length(nodes) >= ?2 + 31",
            )?
            .query_row(params![integer(sequence), integer(at as u64) * 32 + 1], |row| digest(row, 0))
            .optional()?,
    };
    Ok(found)
}

/// The tree as it was with so many entries; `None` when the log does not have them, or its hashes are damaged.
pub(super) fn log_at(connection: &Connection, size: u64) -> rusqlite::Result<Option<Frontier>> {
    if size > self::size(connection)? {
        return Ok(None);
    }
    let mut hashes = Vec::new();
    for id in frontier_nodes(size) {
        match node(connection, id)? {
            Some(hash) => hashes.push(hash),
            None => return Ok(None),
        }
    }
    Ok(Frontier::load(size, hashes).ok())
}

/// Whether the newest entry is whole: what is appended after it has to follow something.
pub(super) fn check_newest(connection: &Connection) -> Result<(), OpenError> {
    let size = size(connection)?;
    let newest: Option<(Vec<u8>, Vec<u8>)> = connection
        .query_row("SELECT entry, leaf FROM activity WHERE sequence = ?1", [integer(size)], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()?;
    let Some((bytes, leaf)) = newest else {
        return Err(OpenError::Damaged { what: "the log is empty".to_owned() });
    };
    if leaf.as_slice() != leaf_hash(&bytes).as_bytes() {
        let what = format!("the hash of the newest entry, {size}, is not the hash of its bytes");
        return Err(OpenError::Damaged { what });
    }
    match log_at(connection, size)? {
        Some(_) => Ok(()),
        None => Err(OpenError::Damaged {
            what: format!("the hashes beside the log's {size} entries are not whole"),
        }),
    }
}

/// Every entry as it stands, from the first.
pub(super) fn walk(
    connection: &Connection,
    each: &mut dyn FnMut(StoredEntry) -> Walk,
) -> Result<(), StoreError> {
    let mut statement = connection
        .prepare("SELECT sequence, at, kind, computer, entry, leaf, nodes FROM activity ORDER BY sequence")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        if each(stored(row)?) == Walk::Stop {
            break;
        }
    }
    Ok(())
}

/// The columns `sequence, at, kind, computer, entry, leaf, nodes` as they stand.
fn stored(row: &Row<'_>) -> rusqlite::Result<StoredEntry> {
    let (leaf, nodes): (Vec<u8>, Vec<u8>) = (row.get(5)?, row.get(6)?);
    Ok(StoredEntry {
        sequence: u64::try_from(row.get::<_, i64>(0)?).unwrap_or(0),
        found_by: FoundBy { at_micros: row.get(1)?, kind: row.get(2)?, computer: row.get(3)? },
        bytes: row.get(4)?,
        leaf: leaf.try_into().ok().map(Sha256Digest::from_bytes),
        nodes: digests(&nodes),
    })
}

/// An entry that something is decided from, or that is shown.
fn believed(row: &Row<'_>) -> Result<LoggedEntry, StoreError> {
    let stored = stored(row)?;
    let sequence = stored.sequence;
    chain::believed(stored).map_err(|flaw| match flaw {
        EntryFlaw::Unreadable(source) => StoreError::Entry { sequence, source },
        source @ EntryFlaw::Edited(_) => StoreError::Edited { sequence, source },
    })
}

/// Whether the log has the entry with which a name got a seat: its reservation, or its return after a restore. Each is
/// looked up once, and is nearly always the first entry of its computer.
///
/// # Errors
/// [`StoreError::Edited`] among others.
pub(super) fn has_seat(
    connection: &Connection,
    trusted: &TrustedLog,
    name: &ComputerName,
    serial: &SerialNumber,
) -> Result<bool, StoreError> {
    if trusted.knows_seat(name, serial) {
        return Ok(true);
    }
    let mut statement = connection.prepare_cached(
        "SELECT sequence, at, kind, computer, entry, leaf, nodes FROM activity WHERE computer = ?1 \
         AND kind IN ('seat_reserved', 'client_resumed') ORDER BY sequence",
    )?;
    let mut rows = statement.query([name.as_str()])?;
    let mut found = false;
    while let Some(row) = rows.next()? {
        found = match believed(row)?.entry.change() {
            Some(Change::SeatReserved { name: of, serial: seat, .. }) => of == name && seat == serial,
            Some(Change::ClientResumed { name: of, recreated: Some(recreated), .. }) => {
                of == name && recreated.serials.contains(serial)
            }
            _ => false,
        };
        if found {
            break;
        }
    }
    trusted.seat_looked_up(name, serial, found);
    Ok(found)
}

impl<C: Connected> Read<Log> for C {
    fn read(&mut self, _: &Log) -> Result<Frontier, StoreError> {
        let connection = self.connection();
        log_at(connection, size(connection)?)?.ok_or(StoreError::Missing { what: "hashes of the log's tree" })
    }
}

impl<C: Connected> Read<LogNodes> for C {
    fn read(&mut self, query: &LogNodes) -> Result<Vec<Option<Sha256Digest>>, StoreError> {
        let connection = self.connection();
        let nodes = query.nodes.iter().map(|id| node(connection, *id));
        Ok(nodes.collect::<rusqlite::Result<_>>()?)
    }
}

impl<C: Connected> Read<LogEntry> for C {
    fn read(&mut self, query: &LogEntry) -> Result<Option<Vec<u8>>, StoreError> {
        let mut statement = self.connection().prepare_cached(
            "SELECT sequence, at, kind, computer, entry, leaf, nodes FROM activity WHERE sequence = ?1",
        )?;
        let mut rows = statement.query([integer(query.sequence)])?;
        rows.next()?.map(|row| believed(row).map(|logged| logged.bytes)).transpose()
    }
}

/// As `sealpost_site::changes::summary::is_failure` says.
const FAILURES: &str = "(kind IN (SELECT value FROM json_each(??)) \
     OR (kind = 'step_reported' AND json_extract(CAST(entry AS TEXT), '$.change.effect') = 'failure' \
         AND NOT (json_extract(CAST(entry AS TEXT), '$.change.report.step') = 'roll_back' \
             AND json_extract(CAST(entry AS TEXT), '$.change.report.outcome') = 'ok' \
             AND json_extract(CAST(entry AS TEXT), '$.change.report.reason') IN ('asked_locally', 'asked_by_site'))) \
     OR (kind = 'step_reported' AND json_extract(CAST(entry AS TEXT), '$.change.report.step') = 'audit' \
     AND json_extract(CAST(entry AS TEXT), '$.change.report.outcome') = 'failed') \
     OR (kind = 'drift_reported' AND json_array_length(CAST(entry AS TEXT), '$.change.drift') > 0))";

/// As `sealpost_site::changes::summary::is_absent_hook` says.
const NO_ABSENT_HOOK: &str = "(kind <> 'step_reported' \
     OR json_extract(CAST(entry AS TEXT), '$.change.report.outcome') <> 'ok' \
     OR json_extract(CAST(entry AS TEXT), '$.change.report.reason') <> ??)";

/// Whether a change names a release: its manifest's digest is a text in it, wherever it stands.
const NAMES_RELEASE: &str = "EXISTS (SELECT 1 FROM json_tree(CAST(entry AS TEXT), '$.change') AS part \
     WHERE part.type = 'text' AND part.atom IN (SELECT value FROM json_each(??)))";

/// As `sealpost_site::rules::account::ByAccount::means` says. Only admins have accounts.
const BY_ACCOUNT: &str = "(json_extract(CAST(entry AS TEXT), '$.actor.account.id') = ?? \
     OR json_extract(CAST(entry AS TEXT), '$.actor.account.token') = ??)";

/// Only accounts of one kind.
const BY_KIND: &str = "json_extract(CAST(entry AS TEXT), '$.actor.account.kind') = ??";

impl<C: Connected> Read<Activity> for C {
    fn read(&mut self, filter: &Activity) -> Result<Vec<LoggedEntry>, StoreError> {
        let mut sql = "SELECT sequence, at, kind, computer, entry, leaf, nodes FROM activity \
                       WHERE sequence > ?1"
            .to_owned();
        let mut values = vec![Value::Integer(integer(filter.after))];
        let mut narrow = |condition: &str, value: Value| {
            values.push(value);
            let place = format!("?{}", values.len());
            sql.push_str(&format!(" AND {}", condition.replace("??", &place)));
        };
        if let Some(name) = &filter.client {
            narrow("computer = ??", Value::Text(name.to_string()));
        }
        if let Some(kind) = &filter.kind {
            narrow("kind = ??", Value::Text(kind.clone()));
        }
        if !filter.kinds.is_empty() {
            narrow("kind IN (SELECT value FROM json_each(??))", Value::Text(json(&filter.kinds)?));
        }
        if let Some(by) = &filter.by {
            narrow(BY_ACCOUNT, Value::Text(by.name.clone()));
            if let Some(kind) = by.kind {
                narrow(BY_KIND, Value::Text(kind.as_str().to_owned()));
            }
        }
        if !filter.releases.is_empty() {
            narrow(NAMES_RELEASE, Value::Text(json(&filter.releases)?));
        }
        match filter.only {
            Only::Everything => {}
            Only::WithoutAbsentHooks => narrow(NO_ABSENT_HOOK, Value::Text(ReasonCode::NoHook.to_string())),
            Only::Failures => narrow(FAILURES, Value::Text(json(&summary::FAILURES)?)),
        }
        if let Some(since) = filter.since {
            narrow("at >= ??", Value::Integer(micros(since)));
        }
        if let Some(until) = filter.until {
            narrow("at <= ??", Value::Integer(micros(until)));
        }
        values.push(Value::Integer(i64::from(page_limit(filter.limit))));
        let order = if filter.end == LogEnd::Newest { "DESC" } else { "ASC" };
        sql.push_str(&format!(" ORDER BY sequence {order} LIMIT ?{}", values.len()));
        let connection = self.connection();
        let mut statement = connection.prepare_cached(&sql)?;
        let mut rows = statement.query(rusqlite::params_from_iter(values))?;
        let mut entries = Vec::new();
        while let Some(row) = rows.next()? {
            entries.push(believed(row)?);
        }
        if filter.end == LogEnd::Newest {
            entries.reverse();
        }
        Ok(entries)
    }
}
