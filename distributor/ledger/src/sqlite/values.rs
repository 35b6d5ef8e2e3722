//! How values stand in columns: names, ids and digests as text, times as microseconds, the rest as JSON.
//!
//! Invariant: a value that cannot be read is an error of that column, never a default: a corrupt record is not a missing
//! one.

use std::error::Error;
use std::str::FromStr;

use jiff::Timestamp;
use rusqlite::Row;
use rusqlite::types::Type;
use sealpost_manifests::digest::Sha256Digest;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A time as it is stored.
pub(super) fn micros(time: Timestamp) -> i64 {
    time.as_microsecond()
}

/// A count as it is stored; beyond what a column holds nothing is ever counted.
pub(super) fn integer(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A value as JSON text.
pub(super) fn json<T: Serialize>(value: &T) -> Result<String, serde_json::Error> {
    serde_json::to_string(value)
}

pub(super) fn unreadable(column: usize, error: impl Into<Box<dyn Error + Send + Sync>>) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Text, error.into())
}

/// A time.
pub(super) fn time(row: &Row<'_>, column: usize) -> rusqlite::Result<Timestamp> {
    Timestamp::from_microsecond(row.get(column)?).map_err(|error| unreadable(column, error))
}

/// A time, or none.
pub(super) fn optional_time(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Timestamp>> {
    let micros: Option<i64> = row.get(column)?;
    micros
        .map(|micros| Timestamp::from_microsecond(micros).map_err(|error| unreadable(column, error)))
        .transpose()
}

/// A count.
pub(super) fn count(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    let number: i64 = row.get(column)?;
    u64::try_from(number).map_err(|error| unreadable(column, error))
}

/// A count, or none.
pub(super) fn optional_count(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<u64>> {
    let number: Option<i64> = row.get(column)?;
    number.map(|number| u64::try_from(number).map_err(|error| unreadable(column, error))).transpose()
}

/// A value that reads itself from text.
pub(super) fn text<T>(row: &Row<'_>, column: usize) -> rusqlite::Result<T>
where
    T: FromStr,
    T::Err: Error + Send + Sync + 'static,
{
    let text: String = row.get(column)?;
    text.parse().map_err(|error| unreadable(column, error))
}

/// A value that reads itself from text, or none.
pub(super) fn optional_text<T>(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<T>>
where
    T: FromStr,
    T::Err: Error + Send + Sync + 'static,
{
    let text: Option<String> = row.get(column)?;
    text.map(|text| text.parse().map_err(|error| unreadable(column, error))).transpose()
}

/// A digest as 32 bytes.
pub(super) fn digest(row: &Row<'_>, column: usize) -> rusqlite::Result<Sha256Digest> {
    let bytes: [u8; 32] = row.get(column)?;
    Ok(Sha256Digest::from_bytes(bytes))
}

/// Digests of 32 bytes, one after the other; `None` if the bytes are no whole number of them.
pub(super) fn digests(bytes: &[u8]) -> Option<Vec<Sha256Digest>> {
    let (whole, rest) = bytes.as_chunks::<32>();
    rest.is_empty().then(|| whole.iter().map(|one| Sha256Digest::from_bytes(*one)).collect())
}

/// A value from its JSON.
pub(super) fn from_json<T: DeserializeOwned>(row: &Row<'_>, column: usize) -> rusqlite::Result<T> {
    let text: String = row.get(column)?;
    serde_json::from_str(&text).map_err(|error| unreadable(column, error))
}

/// A value from its JSON, or none.
pub(super) fn optional_from_json<T: DeserializeOwned>(
    row: &Row<'_>,
    column: usize,
) -> rusqlite::Result<Option<T>> {
    let text: Option<String> = row.get(column)?;
    text.map(|text| serde_json::from_str(&text).map_err(|error| unreadable(column, error))).transpose()
}

/// A plain enum from serde's word for it.
pub(super) fn from_word<T: DeserializeOwned>(row: &Row<'_>, column: usize) -> rusqlite::Result<T> {
    let word: String = row.get(column)?;
    serde_json::from_value(serde_json::Value::String(word)).map_err(|error| unreadable(column, error))
}
