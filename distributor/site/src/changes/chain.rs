//! The activity log as a Merkle tree (RFC 6962): what an entry adds to it, how stored entries are read, and the check of
//! the whole log from stored bytes.
//!
//! Invariant: an entry is what its stored bytes say, and its leaf is the hash of exactly these. The columns that stand
//! beside them only help to find entries; the check compares them too, because an edited column would hide an entry
//! from a search. The hashes of inner nodes are stored with the entry that completes them, so that a proof is a few
//! look-ups. What the tree alone cannot show is a cut at its end; a head that was seen elsewhere shows that.
//! An entry of a kind or format that this program does not know was written by a newer version, and is not damage.

use jiff::Timestamp;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::log::{Frontier, LogHead, NodeId, leaf_hash};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::activity::{Change, ENTRY_VERSION, NewerEntry};
use super::entry::ActivityEntry;
use super::summary;
use super::tables::TablesCheck;
use crate::rows::ServerIdentity;
use crate::rules::account::Actor;

/// An entry with the exact bytes that are hashed and stored.
#[derive(Debug, Clone)]
pub struct LinkedEntry {
    /// The entry.
    pub entry: ActivityEntry,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// The leaf: SHA-256 of a zero byte and the bytes.
    pub leaf: Sha256Digest,
    /// Hashes of the inner nodes that it completes, from level 1 upward.
    pub nodes: Vec<Sha256Digest>,
}

impl LinkedEntry {
    /// An entry that was written before, as it goes into a log again.
    #[must_use]
    pub fn of_stored(log: &mut Frontier, entry: ActivityEntry, bytes: Vec<u8>) -> Self {
        let (leaf, nodes) = add(log, &bytes);
        Self { entry, bytes, leaf, nodes }
    }
}

/// Makes the entry that comes after all others, and adds it to the tree.
///
/// # Errors
/// When a value has no JSON form.
pub fn link(
    log: &mut Frontier,
    at: Timestamp,
    actor: Actor,
    change: Change,
) -> Result<LinkedEntry, serde_json::Error> {
    let entry =
        ActivityEntry { version: ENTRY_VERSION, sequence: log.size().saturating_add(1), at, actor, change };
    let bytes = serde_json::to_vec(&entry)?;
    let (leaf, nodes) = add(log, &bytes);
    Ok(LinkedEntry { entry, bytes, leaf, nodes })
}

/// Adds an entry's bytes to the tree: its leaf, and the inner nodes that it completes.
fn add(log: &mut Frontier, bytes: &[u8]) -> (Sha256Digest, Vec<Sha256Digest>) {
    let leaf = leaf_hash(bytes);
    let completed = log.append(leaf);
    let nodes = completed.into_iter().filter(|node| node.id.level > 0).map(|node| node.hash).collect();
    (leaf, nodes)
}

/// Where the hash of a complete node is stored: the sequence of the entry that completes it, and its place among the
/// nodes of that entry; `None` is the leaf itself.
#[must_use]
pub fn place_of(node: NodeId) -> (u64, Option<usize>) {
    let sequence = node.index.saturating_add(1) << node.level;
    (sequence, usize::from(node.level).checked_sub(1))
}

/// An entry as it was stored, trusted in nothing.
#[derive(Debug, Clone)]
pub struct StoredEntry {
    /// The place where it stands.
    pub sequence: u64,
    /// Its exact bytes.
    pub bytes: Vec<u8>,
    /// The leaf that stands beside them; `None` if that cannot be read.
    pub leaf: Option<Sha256Digest>,
    /// The inner nodes that stand beside them; `None` if those cannot be read.
    pub nodes: Option<Vec<Sha256Digest>>,
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

/// An entry that was read from its bytes.
#[derive(Debug, Clone)]
pub enum ReadEntry {
    /// Of a format and kind that this program knows.
    Known(Box<ActivityEntry>),
    /// Written by a newer version of this program.
    Newer(NewerEntry),
}

impl ReadEntry {
    /// Its sequence number.
    #[must_use]
    pub const fn sequence(&self) -> u64 {
        match self {
            Self::Known(entry) => entry.sequence,
            Self::Newer(entry) => entry.sequence,
        }
    }

    /// License time of the change.
    #[must_use]
    pub const fn at(&self) -> Timestamp {
        match self {
            Self::Known(entry) => entry.at,
            Self::Newer(entry) => entry.at,
        }
    }

    /// The kind of its change.
    #[must_use]
    pub fn kind(&self) -> &str {
        match self {
            Self::Known(entry) => summary::kind(&entry.change),
            Self::Newer(entry) => &entry.kind,
        }
    }

    /// The change, if this program knows its kind.
    #[must_use]
    pub const fn change(&self) -> Option<&Change> {
        match self {
            Self::Known(entry) => Some(&entry.change),
            Self::Newer(_) => None,
        }
    }

    /// One line for people.
    #[must_use]
    pub fn summary(&self) -> String {
        match self {
            Self::Known(entry) => summary::summary(entry),
            Self::Newer(entry) => summary::newer(entry),
        }
    }
}

/// Reads an entry from its bytes.
///
/// # Errors
/// When they are no entry of any version.
pub fn read(bytes: &[u8]) -> Result<ReadEntry, serde_json::Error> {
    #[derive(Deserialize)]
    struct Kind {
        #[serde(rename = "type")]
        kind: String,
    }
    #[derive(Deserialize)]
    struct Header {
        version: u32,
        sequence: u64,
        at: Timestamp,
        change: Kind,
    }
    let header: Header = serde_json::from_slice(bytes)?;
    let known = header.version <= ENTRY_VERSION && summary::KINDS.contains(&header.change.kind.as_str());
    if !known || has_unknown_actor(bytes)? {
        let Header { version, sequence, at, change } = header;
        return Ok(ReadEntry::Newer(NewerEntry { version, sequence, at, kind: change.kind }));
    }
    serde_json::from_slice(bytes).map(|entry| ReadEntry::Known(Box::new(entry)))
}

/// Whether the actor is of a kind that this program does not know.
fn has_unknown_actor(bytes: &[u8]) -> Result<bool, serde_json::Error> {
    #[derive(Deserialize)]
    struct Parts<'a> {
        #[serde(borrow)]
        actor: &'a RawValue,
    }
    let parts: Parts<'_> = serde_json::from_slice(bytes)?;
    // What is no object at all is no entry; what is one, and no actor that is known here, is a newer one.
    serde_json::from_str::<std::collections::BTreeMap<String, IgnoredAny>>(parts.actor.get())?;
    Ok(serde_json::from_str::<Actor>(parts.actor.get()).is_err())
}

/// An activity entry with its exact bytes.
#[derive(Debug, Clone)]
pub struct LoggedEntry {
    /// The entry as it was read.
    pub entry: ReadEntry,
    /// The bytes that are hashed.
    pub bytes: Vec<u8>,
    /// The leaf of the log's tree.
    pub leaf: Sha256Digest,
    /// One line for people.
    pub summary: String,
}

/// Reads a stored entry for a list. [`Check`] is what finds edits.
///
/// # Errors
/// When its bytes are no entry.
pub fn logged(bytes: Vec<u8>, leaf: Sha256Digest) -> Result<LoggedEntry, serde_json::Error> {
    let entry = read(&bytes)?;
    let summary = entry.summary();
    Ok(LoggedEntry { entry, bytes, leaf, summary })
}

/// Why a stored entry is not believed.
#[derive(Debug, thiserror::Error)]
pub enum EntryFlaw {
    /// Its bytes are not those whose hash stands in the tree, or the columns do not say what it says.
    #[error("the log was edited: {0}")]
    Edited(String),
    /// Its bytes are no entry.
    #[error("it is no entry")]
    Unreadable(#[from] serde_json::Error),
}

/// Reads a stored entry that something is decided from or that is shown: its bytes must be those of its leaf, and the
/// columns by which it was found must say what it says.
///
/// # Errors
/// [`EntryFlaw`]. One that was edited is never one that is not there.
pub fn believed(stored: StoredEntry) -> Result<LoggedEntry, EntryFlaw> {
    let StoredEntry { sequence, bytes, leaf, found_by, .. } = stored;
    let Some(leaf) = leaf.filter(|leaf| *leaf == leaf_hash(&bytes)) else {
        let what = format!("the stored hash of entry {sequence} is not the hash of its bytes");
        return Err(EntryFlaw::Edited(what));
    };
    let logged = logged(bytes, leaf)?;
    let fits = match &logged.entry {
        ReadEntry::Known(entry) => found_by == FoundBy::of(entry),
        // Which computer it is about is not known here.
        ReadEntry::Newer(entry) => {
            (found_by.at_micros, &found_by.kind) == (entry.at.as_microsecond(), &entry.kind)
        }
    };
    if logged.entry.sequence() != sequence || !fits {
        let what = format!("the columns by which entry {sequence} is found do not say what it says");
        return Err(EntryFlaw::Edited(what));
    }
    Ok(logged)
}

/// Result of checking the whole log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogCheck {
    /// Entries that were read.
    pub entries: u64,
    /// The head of the log.
    pub head: LogHead,
    /// The first thing that is wrong.
    pub damage: Option<LogDamage>,
    /// Entries that a newer version wrote: their place in the log was checked, and their content is not known.
    pub newer: u64,
    /// What the comparison of the tables with the log found.
    pub tables: TablesCheck,
}

/// Something that is wrong with the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogDamage {
    /// The sequence number of the entry that is wrong or missing.
    pub sequence: u64,
    /// What was found, for people.
    pub what: String,
}

/// The check of a whole log, one entry after the other.
#[derive(Debug)]
pub struct Check {
    server: Option<ServerIdentity>,
    witnessed: Witnessed,
    log: Frontier,
    entries: u64,
    newer: u64,
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
    /// `server` is whose log it should be; `witnessed` are heads that the log is known to have had: the one that a
    /// running server wrote, and those that others hold.
    #[must_use]
    pub fn new(server: Option<ServerIdentity>, witnessed: Vec<LogHead>) -> Self {
        let witnessed = Witnessed::new(witnessed);
        Self { server, witnessed, log: Frontier::empty(), entries: 0, newer: 0, damage: None }
    }

    /// Looks at the next entry.
    pub fn next(&mut self, stored: &StoredEntry) -> Next {
        self.entries += 1;
        let sequence = self.log.size().saturating_add(1);
        let what = self
            .entry_damage(stored, sequence)
            .or_else(|| (self.entries == 1).then(|| self.first_entry_damage(&stored.bytes)).flatten())
            .or_else(|| self.witnessed.differs(self.log.head()));
        if let Some(what) = what {
            self.damage = Some(LogDamage { sequence, what });
            return Next::Stop;
        }
        Next::Continue
    }

    /// The result, without anything about the tables.
    #[must_use]
    pub fn finish(mut self) -> LogCheck {
        if self.damage.is_none() && self.entries == 0 {
            let what = "the log is empty; its first entry binds it to its server".to_owned();
            self.damage = Some(LogDamage { sequence: 1, what });
        }
        if let (None, Some(seen)) = (&self.damage, self.witnessed.beyond()) {
            let sequence = self.log.size().saturating_add(1);
            let what = format!(
                "the log ends at entry {}, and it had {} entries when its head was seen, which it does not extend: the rest \
                 was cut off, or other entries stand in the place of some of these; which is the first that differs is not \
                 known",
                self.log.size(),
                seen.size
            );
            self.damage = Some(LogDamage { sequence, what });
        }
        LogCheck {
            entries: self.entries,
            head: self.log.head(),
            damage: self.damage,
            newer: self.newer,
            tables: TablesCheck::default(),
        }
    }

    /// What is wrong with an entry that should be number `expected`; adds it to the tree.
    fn entry_damage(&mut self, stored: &StoredEntry, expected: u64) -> Option<String> {
        if stored.sequence != expected {
            return Some(format!("entry {expected} is missing; the next one is {}", stored.sequence));
        }
        let (leaf, nodes) = add(&mut self.log, &stored.bytes);
        if stored.leaf != Some(leaf) {
            return Some(format!(
                "entry {expected} was edited: its stored hash is not the hash of its bytes"
            ));
        }
        let Ok(entry) = read(&stored.bytes) else {
            return Some(format!("entry {expected} cannot be read"));
        };
        if entry.sequence() != expected {
            return Some(format!(
                "in place {expected} stands entry {}: entries were moved",
                entry.sequence()
            ));
        }
        if stored.nodes.as_ref() != Some(&nodes) {
            return Some(format!(
                "the hashes beside entry {expected} do not follow from the entries up to it: one of them was replaced"
            ));
        }
        match &entry {
            ReadEntry::Newer(_) => self.newer += 1,
            ReadEntry::Known(entry) if stored.found_by != FoundBy::of(entry) => {
                return Some(format!("the columns by which entry {expected} is found were edited"));
            }
            ReadEntry::Known(_) => {}
        }
        None
    }

    fn first_entry_damage(&self, bytes: &[u8]) -> Option<String> {
        let entry = read(bytes).ok();
        let Some(Change::ServerInitialized { server_id, .. }) = entry.as_ref().and_then(ReadEntry::change)
        else {
            return Some("the first entry does not bind the log to a server".to_owned());
        };
        let same = self.server.as_ref().is_some_and(|server| server.server_id == *server_id);
        (!same).then(|| format!("the first entry binds the log to server {server_id}, which is another one"))
    }
}

/// Heads that a log must have had.
#[derive(Debug)]
pub(super) struct Witnessed(Vec<LogHead>);

impl Witnessed {
    pub(super) fn new(mut heads: Vec<LogHead>) -> Self {
        heads.retain(|head| head.size > 0);
        heads.sort_by_key(|head| std::cmp::Reverse(head.size));
        Self(heads)
    }

    /// What a head of the log says against those that were seen of its size.
    pub(super) fn differs(&mut self, head: LogHead) -> Option<String> {
        // Several may have seen the same size.
        while let Some(seen) = self.0.pop_if(|seen| seen.size == head.size) {
            if seen != head {
                let size = seen.size;
                return Some(format!(
                    "the log was replaced: up to entry {size} it is not the one whose head was seen"
                ));
            }
        }
        None
    }

    /// The largest head that the log has not come to.
    pub(super) fn beyond(&self) -> Option<&LogHead> {
        self.0.first()
    }
}

#[cfg(test)]
mod tests;
