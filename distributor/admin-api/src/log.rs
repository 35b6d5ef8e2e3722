//! `/api/v1/log`.

use jiff::Timestamp;
use sealpost_keys::note::SignedNote;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::ComputerName;
use sealpost_manifests::log::LogHead;
use sealpost_site::changes::{chain, tables};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// `GET /api/v1/log`: which entries.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct LogQuery {
    /// Only entries after this sequence number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
    /// Only of this computer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<ComputerName>,
    /// Only of this `type`, for example `release_approved`; several are separated by commas.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Only what names a release: `PACKAGE[:VERSION[:PLATFORM]]`, or 12 or more digits of a manifest digest; of those that
    /// are known when the request comes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
    /// Only what this admin did: the name of an account of the server, or of a token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// Only from this time on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Only up to this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// `true`: only what tells of something that went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<bool>,
    /// `true`: without entries that say only that a release has no hook for a step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub without_absent_hooks: Option<bool>,
    /// Only the last so many of those that are there now; at most [`MAX_LAST`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<u32>,
    /// `true`: the answer goes on with new entries until it is closed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub follow: Option<bool>,
}

/// Most entries that [`LogQuery::last`] asks for.
pub const MAX_LAST: u32 = 1_000;

/// An entry of the activity log: a line of the answer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LogEntry {
    /// From 1, without gaps.
    pub sequence: u64,
    /// License time of the change.
    pub at: Timestamp,
    /// The kind of the change: the `type` in it.
    pub kind: String,
    /// The entry byte for byte as it is hashed, so that whoever keeps these lines can check the log: SHA-256 over a zero
    /// byte and this text is the leaf. A newer server may write kinds that this program does not know.
    pub entry: Box<RawValue>,
    /// The leaf of the log's tree (RFC 6962).
    pub leaf: Sha256Digest,
    /// One line for people.
    pub summary: String,
}

impl TryFrom<chain::LoggedEntry> for LogEntry {
    type Error = serde_json::Error;

    fn try_from(logged: chain::LoggedEntry) -> Result<Self, serde_json::Error> {
        let chain::LoggedEntry { entry, bytes, leaf, summary } = logged;
        let text = String::from_utf8(bytes).map_err(serde::de::Error::custom)?;
        Ok(Self {
            sequence: entry.sequence(),
            at: entry.at(),
            kind: entry.kind().to_owned(),
            entry: RawValue::from_string(text)?,
            leaf,
            summary,
        })
    }
}

/// `POST /api/v1/log/verify`: heads that the log must have had, besides the one that the server wrote.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct VerifyRequest {
    /// Heads that others hold: of checkpoints, leases or registrations.
    #[serde(default)]
    pub witnessed: Vec<LogHead>,
    /// Checkpoints that others hold. The request is refused when the server's log key did not sign one of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checkpoints: Vec<SignedNote>,
}

/// Most heads and checkpoints of one request.
pub const MAX_WITNESSED: usize = 1_000;

/// The result of checking the whole log.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LogCheck {
    /// Entries that were read.
    pub entries: u64,
    /// The head of the log.
    pub head: LogHead,
    /// Entries that a newer version wrote: they stand in their place, and this program cannot read them.
    #[serde(default)]
    pub newer: u64,
    /// The first thing that is wrong; absent when the log is whole.
    pub damage: Option<LogDamage>,
    /// What the comparison of the tables with the log found; absent from an older server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tables: Option<TablesCheck>,
}

/// The tables, held against what the log makes of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TablesCheck {
    /// Tables that were compared.
    pub tables: u32,
    /// Rows that the log makes in them.
    pub rows: u64,
    /// How many differences there are.
    pub differing: u64,
    /// The first of them.
    #[serde(default)]
    pub differences: Vec<Difference>,
    /// Why nothing, or not all, was compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skipped: Option<String>,
    /// Tables that are not made from the log: nothing proves what stands in them.
    #[serde(default)]
    pub unproven: Vec<String>,
}

/// A row that is not as the log says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// Its table.
    pub table: String,
    /// Its key.
    pub key: String,
    /// The column that differs; absent for a whole row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<String>,
    /// What the log says; absent if it makes no such row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logged: Option<String>,
    /// What the table says; absent if it has no such row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stored: Option<String>,
}

impl From<tables::TablesCheck> for TablesCheck {
    fn from(check: tables::TablesCheck) -> Self {
        let tables::TablesCheck { tables, rows, differing, differences, skipped, unproven } = check;
        let differences = differences.into_iter().map(|difference| {
            let tables::Difference { table, key, column, logged, stored } = difference;
            Difference { table, key, column, logged, stored }
        });
        Self { tables, rows, differing, differences: differences.collect(), skipped, unproven }
    }
}

/// Something that is wrong with the log.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LogDamage {
    /// The sequence number of the entry that is wrong or missing.
    pub sequence: u64,
    /// What was found, for people.
    pub what: String,
}

impl From<chain::LogCheck> for LogCheck {
    fn from(check: chain::LogCheck) -> Self {
        let chain::LogCheck { entries, head, damage, newer, tables } = check;
        let damage = damage.map(|chain::LogDamage { sequence, what }| LogDamage { sequence, what });
        Self { entries, head, newer, damage, tables: Some(tables.into()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sealpost_manifests::log::{Frontier, leaf_hash};
    use sealpost_site::changes::{Actor, Change};

    #[test]
    fn a_line_carries_the_bytes_that_were_hashed() {
        let change = Change::PullFailed { reason: "no \"route\"\u{7}".to_owned() };
        let at = "2027-01-15T08:00:02.123Z".parse().unwrap();
        let linked = chain::link(&mut Frontier::empty(), at, Actor::socket("alice"), change).unwrap();
        let entry = LogEntry::try_from(chain::logged(linked.bytes, linked.leaf).unwrap()).unwrap();
        let line = serde_json::to_string(&entry).unwrap();
        let read: LogEntry = serde_json::from_str(&line).unwrap();
        assert_eq!(leaf_hash(read.entry.get().as_bytes()), linked.leaf, "{line}");
        assert_eq!((read.sequence, read.kind.as_str()), (1, "pull_failed"));
    }
}
