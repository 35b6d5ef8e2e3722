//! The table of cleared bindings: serial numbers that the vendor took from a server, so that another one, or the same one
//! with another site key, can register them.
//!
//! Invariant: each is recorded for good, in the transaction that clears it.
//! Left out on purpose: taking a grant back. It ends by itself; until then the old server goes on with it.

use jiff::Timestamp;
use rusqlite::{Connection, Transaction, params};
use sealpost_manifests::ids::{SerialNumber, ServerId};
use serde::Serialize;

use super::error::{AuthorityError, damaged, failed};

/// A binding that was cleared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Clearing {
    /// The server that had the serial number.
    pub server_id: ServerId,
    pub cleared_at: Timestamp,
}

/// Clears every binding of a server; the serial numbers that it had, oldest first.
pub(super) fn clear(
    transaction: &Transaction<'_>,
    server: &ServerId,
    now: Timestamp,
) -> Result<Vec<SerialNumber>, AuthorityError> {
    let serials = bound_to(transaction, server)?;
    if serials.is_empty() {
        return Err(AuthorityError::UnknownServer { server: server.clone() });
    }
    let attempt = "clear a binding";
    let (server, now) = (server.as_str(), now.to_string());
    transaction
        .execute(
            "INSERT INTO clearings (serial, server_id, site_key, cleared_at) \
             SELECT serial, server_id, site_key, ?2 FROM serials WHERE server_id = ?1 AND cleared_at IS NULL",
            params![server, now],
        )
        .map_err(failed(attempt))?;
    transaction
        .execute(
            "UPDATE serials SET cleared_at = ?2 WHERE server_id = ?1 AND cleared_at IS NULL",
            params![server, now],
        )
        .map_err(failed(attempt))?;
    Ok(serials)
}

/// The serial numbers that are bound to a server, oldest first.
pub(super) fn bound_to(
    connection: &Connection,
    server: &ServerId,
) -> Result<Vec<SerialNumber>, AuthorityError> {
    let attempt = "look a server up";
    let mut statement = connection
        .prepare("SELECT serial FROM serials WHERE server_id = ?1 AND cleared_at IS NULL ORDER BY rowid")
        .map_err(failed(attempt))?;
    let rows =
        statement.query_map([server.as_str()], |row| row.get::<_, String>(0)).map_err(failed(attempt))?;
    rows.map(|row| SerialNumber::new(row.map_err(failed(attempt))?).map_err(|_| damaged("a serial number")))
        .collect()
}

/// The cleared bindings of a serial number, oldest first.
pub(super) fn all(connection: &Connection, serial: &SerialNumber) -> Result<Vec<Clearing>, AuthorityError> {
    let attempt = "list the cleared bindings of a serial number";
    let mut statement = connection
        .prepare("SELECT server_id, cleared_at FROM clearings WHERE serial = ?1 ORDER BY number")
        .map_err(failed(attempt))?;
    let rows = statement
        .query_map([serial.as_str()], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))
        .map_err(failed(attempt))?;
    rows.map(|row| {
        let (server_id, cleared_at) = row.map_err(failed(attempt))?;
        Ok(Clearing {
            server_id: ServerId::new(server_id).map_err(|_| damaged("a server id"))?,
            cleared_at: cleared_at.parse().map_err(|_| damaged("a time"))?,
        })
    })
    .collect()
}
