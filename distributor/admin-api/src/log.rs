//! `/api/v1/log`.

use jiff::Timestamp;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::ComputerName;
use sealpost_manifests::lease::LedgerHead;
use sealpost_site::changes::Actor;
use sealpost_site::changes::chain;
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};

/// `GET /api/v1/log`: which entries.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct LogQuery {
    /// Only entries after this sequence number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
    /// Only of this computer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<ComputerName>,
    /// Only of this `type`, for example `release_approved`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Only from this time on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// `true`: the answer goes on with new entries until it is closed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub follow: Option<bool>,
}

/// An entry of the activity log: a line of the answer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LogEntry {
    /// From 1, without gaps.
    pub sequence: u64,
    /// License time of the change.
    pub at: Timestamp,
    /// Who did it.
    pub actor: Actor,
    /// What changed; its `type` names the kind. Byte for byte as it is hashed, so that whoever keeps these lines can
    /// check the chain: the line without `hash` and `summary` is what was hashed. A newer server may write kinds that
    /// this program does not know.
    pub change: Box<RawValue>,
    /// Hash of the entry before.
    pub previous: Sha256Digest,
    /// Its own hash.
    pub hash: Sha256Digest,
    /// One line for people.
    pub summary: String,
}

impl TryFrom<chain::LoggedEntry> for LogEntry {
    type Error = serde_json::Error;

    fn try_from(logged: chain::LoggedEntry) -> Result<Self, serde_json::Error> {
        let chain::LoggedEntry { entry, hash, summary } = logged;
        Ok(Self {
            sequence: entry.sequence,
            at: entry.at,
            actor: entry.actor,
            change: to_raw_value(&entry.change)?,
            previous: entry.previous,
            hash,
            summary,
        })
    }
}

/// `GET /api/v1/log/verify`: the result of checking the whole log.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LogCheck {
    /// Entries that were read.
    pub entries: u64,
    /// The newest entry.
    pub head: LedgerHead,
    /// The first thing that is wrong; absent when the log is whole.
    pub damage: Option<LogDamage>,
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
        let chain::LogCheck { entries, head, damage } = check;
        let damage = damage.map(|chain::LogDamage { sequence, what }| LogDamage { sequence, what });
        Self { entries, head, damage }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sealpost_manifests::digest::Sha256Digest;
    use sealpost_site::changes::Change;

    #[test]
    fn a_line_without_hash_and_summary_is_what_was_hashed() {
        let change = Change::PullFailed { reason: "no \"route\"\u{7}".to_owned() };
        let at = "2027-01-15T08:00:02.123Z".parse().unwrap();
        let linked = chain::link(&chain::empty_head(), at, Actor::socket("alice"), change).unwrap();
        let entry = LogEntry::try_from(chain::read(&linked.bytes, linked.hash).unwrap()).unwrap();
        let line = serde_json::to_string(&entry).unwrap();
        let (hashed, _) = line.split_once(",\"hash\":").unwrap();
        assert_eq!(Sha256Digest::of(format!("{hashed}}}").as_bytes()), linked.hash, "{line}");
        let read: LogEntry = serde_json::from_str(&line).unwrap();
        assert_eq!(read.change.get(), entry.change.get());
    }
}
