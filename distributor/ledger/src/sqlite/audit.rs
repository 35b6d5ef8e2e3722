//! The tables held against the log: the log is replayed into private tables, and each chained table is compared with
//! those row by row.
//!
//! Invariants: log and tables are read in one read transaction, so both are of the same moment, and the writer goes on
//! meanwhile; the private tables are a temporary file of SQLite that nobody else can open and that ends with the
//! connection; both sides are read in the order of their keys, so memory is bounded however many computers there are.
//! Left out on purpose: notes. They are not in the log, and nothing proves them.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, Row, Rows, Statement};
use sealpost_files::with_causes;
use sealpost_site::changes::chain::{ReadEntry, StoredEntry, read};
use sealpost_site::changes::tables::{Difference, TablesCheck};

use super::connection::distrust_schema;
use super::definitions::{self, Definition};
use super::{entries, projections, schema};
use crate::store::{StoreError, Walk};

/// Pages that the private tables keep in memory, in KiB; the rest is in their temporary file.
const CACHE_KIB: i64 = 16 * 1024;
/// Statements that they keep prepared.
const STATEMENTS: usize = 128;

/// Gives every entry to `each` as [`entries::walk`] does, and compares the tables when it wanted all of them.
pub(super) fn audit(
    connection: &Connection,
    each: &mut dyn FnMut(&StoredEntry) -> Walk,
) -> Result<TablesCheck, StoreError> {
    // The first statement after it begins to read: from there on everything is of one moment.
    let moment = connection.unchecked_transaction()?;
    let found = of_one_moment(&moment, each)?;
    moment.commit()?;
    Ok(found)
}

fn of_one_moment(
    connection: &Connection,
    each: &mut dyn FnMut(&StoredEntry) -> Walk,
) -> Result<TablesCheck, StoreError> {
    let replayed = private_tables()?;
    let mut check = TablesCheck {
        unproven: schema::NOTES_TABLES.iter().map(ToString::to_string).collect(),
        ..TablesCheck::default()
    };
    let mut stopped = false;
    entries::walk(connection, &mut |stored| {
        let walk = each(&stored);
        stopped |= walk == Walk::Stop;
        if walk == Walk::Continue && check.skipped.is_none() {
            check.skipped = replay(&replayed, &stored, &mut check.differing).err();
        }
        walk
    })?;
    if stopped {
        check.skipped = Some("the log itself is damaged".to_owned());
    }
    if check.skipped.is_none() {
        compare(connection, &replayed, &mut check)?;
    }
    Ok(check)
}

/// A database without a name is a temporary file, which SQLite removes from its folder as soon as it is open.
pub(super) fn private_tables() -> rusqlite::Result<Connection> {
    let replayed = Connection::open("")?;
    // Before it is made defensive, which keeps the mode of the journal as it is.
    replayed.query_row("PRAGMA journal_mode = OFF", [], |_| Ok(()))?;
    distrust_schema(&replayed)?;
    replayed.set_prepared_statement_cache_capacity(STATEMENTS);
    replayed.pragma_update(None, "cache_size", -CACHE_KIB)?;
    replayed.execute_batch("BEGIN EXCLUSIVE")?;
    schema::create(&replayed)?;
    Ok(replayed)
}

/// Applies an entry.
///
/// # Errors
/// Why nothing can be compared.
fn replay(replayed: &Connection, stored: &StoredEntry, differing: &mut u64) -> Result<(), String> {
    match read(&stored.bytes) {
        Ok(ReadEntry::Known(entry)) => projections::apply(replayed, &entry).map_err(|error| {
            *differing = differing.saturating_add(1);
            format!("entry {} cannot follow on those before it: {}", entry.sequence, with_causes(&error))
        }),
        Ok(ReadEntry::Newer(newer)) => Err(format!(
            "entry {} was written by a newer version of this program; update it to compare the tables",
            newer.sequence
        )),
        // The check of the log says so, and stops.
        Err(error) => Err(format!("entry {} cannot be read: {error}", stored.sequence)),
    }
}

fn compare(
    connection: &Connection,
    replayed: &Connection,
    check: &mut TablesCheck,
) -> Result<(), StoreError> {
    let is_older = schema::version(connection)? < schema::VERSION;
    compare_objects(connection, replayed, is_older, check)?;
    for table in schema::CHAINED_TABLES {
        let present = columns(connection, table)?;
        let wanted: Vec<Column> = columns(replayed, table)?;
        if present.is_empty() {
            // A missing table of this version was found among the objects.
            continue;
        }
        let has = |column: &Column| present.iter().any(|found| found.name == column.name);
        // An older file has fewer columns; what they will be filled with, the log says.
        let common: Vec<Column> = wanted.into_iter().filter(|column| !is_older || has(column)).collect();
        if !common.iter().all(has) {
            check.differs(whole(table, "columns", Some("those of this version"), Some("others")));
            continue;
        }
        compare_rows(connection, replayed, table, &common, check)?;
        compare_indexes(connection, table, check)?;
        check.tables = check.tables.saturating_add(1);
    }
    if is_older {
        check.skipped = Some(
            "the file is of an older version, which the server brings up when it starts: only the tables and columns \
             that it has were compared"
                .to_owned(),
        );
    }
    Ok(())
}

/// Tables, indexes, views and triggers: one that does not belong there may change rows later, or hide them.
fn compare_objects(
    connection: &Connection,
    replayed: &Connection,
    is_older: bool,
    check: &mut TablesCheck,
) -> rusqlite::Result<()> {
    let (stored, wanted) = (definitions::of(connection)?, definitions::of(replayed)?);
    let names: BTreeSet<&(String, String)> = stored.keys().chain(wanted.keys()).collect();
    for name in names {
        let (logged, found) = (wanted.get(name), stored.get(name));
        let is_expected = match (logged, found) {
            (Some(logged), Some(found)) => found.is(logged, is_older),
            (Some(_), None) => is_older,
            (None, _) => false,
        };
        if !is_expected {
            let key = format!("{} {}", name.0, name.1);
            let said = |one: Option<&Definition>, other| one.map(|one| one.beside(other));
            let (logged, found) = (said(logged, found), said(found, logged));
            check.differs(whole("sqlite_schema", &key, logged.as_deref(), found.as_deref()));
        }
    }
    Ok(())
}

struct Column {
    name: String,
    is_key: bool,
}

fn columns(connection: &Connection, table: &str) -> rusqlite::Result<Vec<Column>> {
    let mut statement = connection.prepare("SELECT name, pk FROM pragma_table_info(?1) ORDER BY cid")?;
    let found = statement
        .query_map([table], |row| Ok(Column { name: row.get(0)?, is_key: row.get::<_, i64>(1)? > 0 }))?;
    found.collect()
}

fn whole(table: &str, key: &str, logged: Option<&str>, stored: Option<&str>) -> Difference {
    Difference {
        table: table.to_owned(),
        key: key.to_owned(),
        column: None,
        logged: logged.map(str::to_owned),
        stored: stored.map(str::to_owned),
    }
}

/// Two lists in the order of their keys, gone through side by side.
fn compare_rows(
    connection: &Connection,
    replayed: &Connection,
    table: &str,
    columns: &[Column],
    check: &mut TablesCheck,
) -> Result<(), StoreError> {
    let (mut logged, mut stored) = (list(replayed, table, columns)?, list(connection, table, columns)?);
    let (mut logged, mut stored) = (logged.query([])?, stored.query([])?);
    let (mut one, mut other) = (next(&mut logged, columns)?, next(&mut stored, columns)?);
    loop {
        let order = match (&one, &other) {
            (None, None) => return Ok(()),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(one), Some(other)) => by_key(one, other, columns),
        };
        if order != Ordering::Greater {
            check.rows = check.rows.saturating_add(1);
        }
        match (order, &one, &other) {
            (Ordering::Equal, Some(one), Some(other)) => differing_columns(table, one, other, columns, check),
            (Ordering::Less, Some(row), _) => {
                check.differs(whole(table, &key(row, columns), Some(&text_of(row, columns)), None));
            }
            (_, _, Some(row)) => {
                check.differs(whole(table, &key(row, columns), None, Some(&text_of(row, columns))));
            }
            _ => return Ok(()),
        }
        if order != Ordering::Greater {
            one = next(&mut logged, columns)?;
        }
        if order != Ordering::Less {
            other = next(&mut stored, columns)?;
        }
    }
}

fn list<'c>(connection: &'c Connection, table: &str, columns: &[Column]) -> rusqlite::Result<Statement<'c>> {
    let quoted = |column: &Column| format!("\"{}\"", column.name);
    let all: Vec<String> = columns.iter().map(quoted).collect();
    let keys: Vec<String> = columns.iter().filter(|column| column.is_key).map(quoted).collect();
    connection.prepare(&format!("SELECT {} FROM \"{table}\" ORDER BY {}", all.join(", "), keys.join(", ")))
}

fn next(rows: &mut Rows<'_>, columns: &[Column]) -> rusqlite::Result<Option<Vec<Value>>> {
    let read = |row: &Row<'_>| {
        let value = |at| row.get_ref(at).map(lossless);
        (0..columns.len()).map(value).collect()
    };
    rows.next()?.map(read).transpose()
}

/// A text that is no UTF-8 is no text that a change ever wrote, and is compared as bytes.
fn lossless(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => Value::Integer(number),
        ValueRef::Real(number) => Value::Real(number),
        ValueRef::Text(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => Value::Text(text.to_owned()),
            Err(_) => Value::Blob(bytes.to_vec()),
        },
        ValueRef::Blob(bytes) => Value::Blob(bytes.to_vec()),
    }
}

/// As SQLite sorts the keys of these tables: whole numbers, and texts by their bytes.
fn by_key(one: &[Value], other: &[Value], columns: &[Column]) -> Ordering {
    let keys = columns.iter().zip(one.iter().zip(other)).filter(|(column, _)| column.is_key);
    let mut orders = keys.map(|(_, pair)| match pair {
        (Value::Integer(one), Value::Integer(other)) => one.cmp(other),
        (one, other) => bytes_of(one).cmp(bytes_of(other)),
    });
    orders.find(|order| *order != Ordering::Equal).unwrap_or(Ordering::Equal)
}

fn bytes_of(value: &Value) -> &[u8] {
    match value {
        Value::Text(text) => text.as_bytes(),
        Value::Blob(bytes) => bytes,
        Value::Null | Value::Integer(_) | Value::Real(_) => &[],
    }
}

fn differing_columns(
    table: &str,
    logged: &[Value],
    stored: &[Value],
    columns: &[Column],
    check: &mut TablesCheck,
) {
    for (column, (one, other)) in columns.iter().zip(logged.iter().zip(stored)) {
        if one != other {
            check.differs(Difference {
                table: table.to_owned(),
                key: key(logged, columns),
                column: Some(column.name.clone()),
                logged: Some(said(one)),
                stored: Some(said(other)),
            });
        }
    }
}

fn key(row: &[Value], columns: &[Column]) -> String {
    let keys = columns.iter().zip(row).filter(|(column, _)| column.is_key);
    keys.map(|(_, value)| said(value)).collect::<Vec<_>>().join(" ")
}

fn text_of(row: &[Value], columns: &[Column]) -> String {
    let cells = columns.iter().zip(row).filter(|(column, value)| !column.is_key && **value != Value::Null);
    cells.map(|(column, value)| format!("{}={}", column.name, said(value))).collect::<Vec<_>>().join(" ")
}

fn said(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::Integer(number) => number.to_string(),
        Value::Real(number) => number.to_string(),
        Value::Text(text) => text.clone(),
        Value::Blob(bytes) => String::from_utf8_lossy(bytes).into_owned(),
    }
}

/// Whether a table and its indexes lead to the same rows: a changed index would give another list than the table has.
fn compare_indexes(connection: &Connection, table: &str, check: &mut TablesCheck) -> rusqlite::Result<()> {
    let mut statement = connection.prepare(&format!("PRAGMA integrity_check(\"{table}\")"))?;
    let found = statement.query_map([], |row| row.get::<_, String>(0))?;
    for problem in found {
        let problem = problem?;
        if problem != "ok" {
            check.differs(whole(table, "index", Some("as the table"), Some(&problem)));
        }
    }
    Ok(())
}
