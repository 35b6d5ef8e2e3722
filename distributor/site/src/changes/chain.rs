//! The arithmetic of the activity log: linking an entry to the one before, and checking the whole of it from stored
//! bytes.
//!
//! Invariant: an entry is what its stored bytes say, and its hash is the hash of exactly these. The columns that stand
//! beside them only help to find entries; the check compares them too, because an edited column would hide an entry
//! from a search. What the chain alone cannot show is a cut at its end; a head that was seen elsewhere shows that.

use jiff::Timestamp;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::lease::LedgerHead;

use super::activity::{ActivityEntry, Change};
use super::summary;
use crate::rows::ServerIdentity;
use crate::rules::account::Actor;

/// The head of an empty log.
#[must_use]
pub fn empty_head() -> LedgerHead {
    LedgerHead { sequence: 0, hash: Sha256Digest::of(b"") }
}

/// An entry with the exact bytes that are hashed and stored.
#[derive(Debug, Clone)]
pub struct LinkedEntry {
    /// The entry.
    pub entry: ActivityEntry,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// SHA-256 of the bytes.
    pub hash: Sha256Digest,
}

impl LinkedEntry {
    /// The head of a log that ends with this entry.
    #[must_use]
    pub const fn head(&self) -> LedgerHead {
        LedgerHead { sequence: self.entry.sequence, hash: self.hash }
    }
}

/// Makes the entry that comes after `head`.
///
/// # Errors
/// When a value has no JSON form.
pub fn link(
    head: &LedgerHead,
    at: Timestamp,
    actor: Actor,
    change: Change,
) -> Result<LinkedEntry, serde_json::Error> {
    let entry =
        ActivityEntry { sequence: head.sequence.saturating_add(1), at, actor, change, previous: head.hash };
    let bytes = serde_json::to_vec(&entry)?;
    let hash = Sha256Digest::of(&bytes);
    Ok(LinkedEntry { entry, bytes, hash })
}

/// An entry as it was stored, trusted in nothing.
#[derive(Debug, Clone)]
pub struct StoredEntry {
    /// The place where it stands.
    pub sequence: u64,
    /// Its exact bytes.
    pub bytes: Vec<u8>,
    /// The hash that stands beside them; `None` if that cannot be read.
    pub hash: Option<Sha256Digest>,
    /// The columns by which it is found.
    pub found_by: FoundBy,
}

/// What entries are found by, beside their sequence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundBy {
    /// License time of the change, in whole microseconds: columns hold no more.
    pub at_micros: i64,
    /// The kind of its change.
    pub kind: String,
    /// The computer that it is about.
    pub computer: Option<String>,
}

impl FoundBy {
    /// What an entry is found by.
    #[must_use]
    pub fn of(entry: &ActivityEntry) -> Self {
        Self {
            at_micros: entry.at.as_microsecond(),
            kind: summary::kind(&entry.change).to_owned(),
            computer: summary::computer(entry).map(ToString::to_string),
        }
    }
}

/// An activity entry with its hash.
#[derive(Debug, Clone)]
pub struct LoggedEntry {
    /// The entry as it was written.
    pub entry: ActivityEntry,
    /// SHA-256 of its stored bytes.
    pub hash: Sha256Digest,
    /// One line for people.
    pub summary: String,
}

/// Result of checking the whole log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogCheck {
    /// Entries that were read.
    pub entries: u64,
    /// The newest entry.
    pub head: LedgerHead,
    /// The first thing that is wrong.
    pub damage: Option<LogDamage>,
}

/// Something that is wrong with the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogDamage {
    /// The sequence number of the entry that is wrong or missing.
    pub sequence: u64,
    /// What was found, for people.
    pub what: String,
}

/// Reads a stored entry for a list. [`Check`] is what finds edits.
///
/// # Errors
/// When its bytes are no entry.
pub fn read(bytes: &[u8], hash: Sha256Digest) -> Result<LoggedEntry, serde_json::Error> {
    let entry: ActivityEntry = serde_json::from_slice(bytes)?;
    let summary = summary::summary(&entry);
    Ok(LoggedEntry { entry, hash, summary })
}

/// Checks a log entry by entry, from its first.
#[derive(Debug)]
pub struct Check {
    server: Option<ServerIdentity>,
    written: Option<LedgerHead>,
    written_seen: bool,
    previous: LedgerHead,
    entries: u64,
    damage: Option<LogDamage>,
}

/// Whether the check wants more entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Give it the next entry.
    Continue,
    /// It has found damage.
    Stop,
}

impl Check {
    /// `server` is whose log it should be; `written` is the head that a running server wrote, if one runs.
    #[must_use]
    pub fn new(server: Option<ServerIdentity>, written: Option<LedgerHead>) -> Self {
        let written_seen = written.as_ref().is_none_or(|written| written.sequence == 0);
        Self { server, written, written_seen, previous: empty_head(), entries: 0, damage: None }
    }

    /// Looks at the next entry.
    pub fn next(&mut self, stored: &StoredEntry) -> Next {
        self.entries += 1;
        let sequence = self.previous.sequence.saturating_add(1);
        let what = damage(stored, &self.previous)
            .or_else(|| (self.entries == 1).then(|| self.first_entry_damage(&stored.bytes)).flatten());
        if let Some(what) = what {
            self.damage = Some(LogDamage { sequence, what });
            return Next::Stop;
        }
        self.previous =
            LedgerHead { sequence: stored.sequence, hash: stored.hash.unwrap_or(self.previous.hash) };
        self.written_seen |= self.written.as_ref() == Some(&self.previous);
        Next::Continue
    }

    /// The result. `newest` is the newest entry as it stands, which is the answer's head if there is damage.
    #[must_use]
    pub fn finish(mut self, newest: LedgerHead) -> LogCheck {
        if self.damage.is_none() && self.entries == 0 {
            let what = "the log is empty; its first entry binds it to its server".to_owned();
            self.damage = Some(LogDamage { sequence: 1, what });
        }
        if let (None, false, Some(written)) = (&self.damage, self.written_seen, &self.written) {
            let what = format!(
                "the log does not hold the entry {} that this server wrote; entries were cut off or replaced",
                written.sequence
            );
            let sequence = self.previous.sequence.saturating_add(1).min(written.sequence);
            self.damage = Some(LogDamage { sequence, what });
        }
        let head = if self.damage.is_none() { self.previous } else { newest };
        LogCheck { entries: self.entries, head, damage: self.damage }
    }

    fn first_entry_damage(&self, bytes: &[u8]) -> Option<String> {
        let entry: Option<ActivityEntry> = serde_json::from_slice(bytes).ok();
        let Some(Change::ServerInitialized { server_id, .. }) = entry.map(|entry| entry.change) else {
            return Some("the first entry does not bind the log to a server".to_owned());
        };
        let same = self.server.as_ref().is_some_and(|server| server.server_id == server_id);
        (!same).then(|| format!("the first entry binds the log to server {server_id}, which is another one"))
    }
}

/// What is wrong with an entry that comes after `previous`.
fn damage(stored: &StoredEntry, previous: &LedgerHead) -> Option<String> {
    let expected = previous.sequence.saturating_add(1);
    if stored.sequence != expected {
        return Some(format!("entry {expected} is missing; the next one is {}", stored.sequence));
    }
    if stored.hash != Some(Sha256Digest::of(&stored.bytes)) {
        return Some(format!("entry {expected} was edited: its stored hash is not the hash of its bytes"));
    }
    let Ok(entry) = serde_json::from_slice::<ActivityEntry>(&stored.bytes) else {
        return Some(format!("entry {expected} cannot be read"));
    };
    if entry.sequence != expected {
        return Some(format!("in place {expected} stands entry {}: entries were moved", entry.sequence));
    }
    if entry.previous != previous.hash {
        return Some(format!("entry {expected} does not follow the one before it: one of them was replaced"));
    }
    if stored.found_by != FoundBy::of(&entry) {
        return Some(format!("the columns by which entry {expected} is found were edited"));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use sealpost_keys::{KeyId, PublicKey};
    use sealpost_manifests::ids::ServerId;

    fn server() -> ServerIdentity {
        ServerIdentity {
            server_id: ServerId::from_random([7; 16]),
            site_key: PublicKey::new(KeyId::from_bytes([1; 8]), [1; 32]),
        }
    }

    fn log(entries: u64) -> Vec<StoredEntry> {
        let server = server();
        let mut head = empty_head();
        let mut stored = Vec::new();
        for number in 0..entries {
            let change = match number {
                0 => Change::ServerInitialized {
                    server_id: server.server_id.clone(),
                    site_key: server.site_key.clone(),
                },
                _ => Change::PullFailed { reason: format!("failure {number}") },
            };
            let at = Timestamp::from_second(i64::try_from(number).unwrap()).unwrap();
            let linked = link(&head, at, Actor::Server, change).unwrap();
            head = linked.head();
            stored.push(StoredEntry {
                sequence: linked.entry.sequence,
                found_by: FoundBy::of(&linked.entry),
                bytes: linked.bytes,
                hash: Some(linked.hash),
            });
        }
        stored
    }

    fn check(log: &[StoredEntry], written: Option<LedgerHead>) -> LogCheck {
        let mut check = Check::new(Some(server()), written);
        for entry in log {
            if check.next(entry) == Next::Stop {
                break;
            }
        }
        check.finish(empty_head())
    }

    fn damaged_at(log: &[StoredEntry]) -> Option<u64> {
        check(log, None).damage.map(|damage| damage.sequence)
    }

    #[test]
    fn every_edit_gap_and_move_is_found_where_it_is() {
        let good = log(5);
        assert_eq!(damaged_at(&good), None);
        let edit = |change: &dyn Fn(&mut Vec<StoredEntry>)| {
            let mut log = good.clone();
            change(&mut log);
            damaged_at(&log)
        };
        assert_eq!(edit(&|log| log[2].bytes.push(b' ')), Some(3));
        assert_eq!(edit(&|log| log[2].hash = None), Some(3));
        assert_eq!(edit(&|log| drop(log.remove(2))), Some(3));
        assert_eq!(edit(&|log| drop(log.remove(0))), Some(1));
        assert_eq!(edit(&|log| log.swap(2, 3)), Some(3));
        assert_eq!(edit(&|log| log[2].found_by.kind = "delta_made".to_owned()), Some(3));
        assert_eq!(edit(&|log| log[2].found_by.at_micros += 1), Some(3));
        assert_eq!(edit(&|log| log[2].found_by.computer = Some("pc".to_owned())), Some(3));
        assert_eq!(edit(&|log| log.clear()), Some(1));
        // The same said in other bytes, with a hash to match: only the next entry shows it.
        let rehashed = edit(&|log| {
            log[2].bytes.push(b' ');
            log[2].hash = Some(Sha256Digest::of(&log[2].bytes));
        });
        assert_eq!(rehashed, Some(4));
    }

    #[test]
    fn a_cut_end_is_found_by_who_saw_a_later_head() {
        let whole = log(5);
        let newest = LedgerHead { sequence: 5, hash: whole[4].hash.unwrap() };
        assert_eq!(check(&whole, Some(newest.clone())).damage, None);
        let damage = check(&whole[..3], Some(newest)).damage.unwrap();
        assert_eq!(damage.sequence, 4);
        assert!(damage.what.contains("cut off"));
    }

    #[test]
    fn a_log_of_another_server_is_found() {
        let mut check = Check::new(None, None);
        assert_eq!(check.next(&log(1)[0]), Next::Stop);
    }
}
