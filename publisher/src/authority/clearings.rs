//! The table of cleared bindings: serial numbers that the vendor took from a server, so that another one, or the same one
//! with the site key that it had, can register them; and the keys and ids of stolen servers, which register nothing any more.
//!
//! Invariants: each is recorded for good, in the transaction that clears it; a refused key or id is never accepted again.
//! Left out on purpose: taking a grant back. It ends by itself; until then the old server goes on with it.

use jiff::Timestamp;
use rusqlite::{Connection, Transaction, params};
use sealpost_keys::PublicKey;
use sealpost_manifests::ids::{SerialNumber, ServerId};
use serde::Serialize;

use super::error::{AuthorityError, damaged, failed};

/// A binding that was cleared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Clearing {
    /// The server that had the serial number.
    pub server_id: ServerId,
    pub cleared_at: Timestamp,
    /// Whether the server was stolen, and its keys are refused.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub stolen: bool,
}

/// What became of the site key of a server whose bindings are cleared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClearedKey {
    /// Nobody has it any more, or only its owner: it may come back.
    Lost,
    /// Somebody else has it: it is refused for good.
    Stolen,
}

/// Clears every binding of a server; the serial numbers that it had, oldest first.
pub(super) fn clear(
    transaction: &Transaction<'_>,
    server: &ServerId,
    key: ClearedKey,
    now: Timestamp,
) -> Result<Vec<SerialNumber>, AuthorityError> {
    let serials = bound_to(transaction, server)?;
    let refused = match key {
        ClearedKey::Lost => Vec::new(),
        // Also of a server whose bindings were cleared before anybody knew that it was stolen.
        ClearedKey::Stolen => keys_of(transaction, server)?,
    };
    if serials.is_empty() && refused.is_empty() {
        return Err(AuthorityError::UnknownServer { server: server.clone() });
    }
    let attempt = "clear a binding";
    let (server, now) = (server.as_str(), now.to_string());
    for key in refused {
        transaction
            .execute(
                "INSERT OR IGNORE INTO refused_keys (key, server_id, refused_at) VALUES (?1, ?2, ?3)",
                params![key.ed25519_bytes(), server, now],
            )
            .map_err(failed("refuse a key"))?;
    }
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

/// Every key with which a server was ever bound.
pub(super) fn keys_of(connection: &Connection, server: &ServerId) -> Result<Vec<PublicKey>, AuthorityError> {
    let attempt = "look the keys of a server up";
    let mut statement = connection
        .prepare(
            "SELECT site_key FROM serials WHERE server_id = ?1 UNION SELECT site_key FROM clearings WHERE server_id = ?1",
        )
        .map_err(failed(attempt))?;
    let rows =
        statement.query_map([server.as_str()], |row| row.get::<_, String>(0)).map_err(failed(attempt))?;
    rows.map(|row| PublicKey::from_base64(&row.map_err(failed(attempt))?).map_err(|_| damaged("a site key")))
        .collect()
}

/// Whether a key is one of a stolen server, whatever its key id says, or an id is one.
pub(super) fn is_refused(
    connection: &Connection,
    key: &PublicKey,
    server: &ServerId,
) -> Result<bool, AuthorityError> {
    connection
        .query_row(
            "SELECT EXISTS (SELECT 1 FROM refused_keys WHERE key = ?1 OR server_id = ?2)",
            params![key.ed25519_bytes(), server.as_str()],
            |row| row.get(0),
        )
        .map_err(failed("look a refused key up"))
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
        .prepare(
            "SELECT server_id, cleared_at, EXISTS (SELECT 1 FROM refused_keys r WHERE r.server_id = c.server_id) \
             FROM clearings c WHERE serial = ?1 ORDER BY number",
        )
        .map_err(failed(attempt))?;
    let rows = statement
        .query_map([serial.as_str()], |row| {
            Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, row.get::<_, bool>(2)?))
        })
        .map_err(failed(attempt))?;
    rows.map(|row| {
        let (server_id, cleared_at, stolen) = row.map_err(failed(attempt))?;
        Ok(Clearing {
            server_id: ServerId::new(server_id).map_err(|_| damaged("a server id"))?,
            cleared_at: cleared_at.parse().map_err(|_| damaged("a time"))?,
            stolen,
        })
    })
    .collect()
}
