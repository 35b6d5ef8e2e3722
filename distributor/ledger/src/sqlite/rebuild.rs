//! A ledger from its log alone: a new file, the same entries byte for byte, and every chained table made again from them.
//!
//! Invariant: the log is checked while it is copied, and a damaged one makes no ledger. What is not chained is lost:
//! the last contacts of computers, freshness, and the vendor's statement about the time. Of what computers said of
//! themselves comes back what their reports of installs say: without what they ran before, a halt led nobody back.
//! So the caller declares the rebuilt ledger as restored; its computers show what they hold, and go on.

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use sealpost_files::{PRIVATE, sync_parent};
use sealpost_manifests::ids::ClientId;
use sealpost_manifests::log::{Frontier, LogHead};
use sealpost_site::changes::chain::{Check, LinkedEntry, LogDamage, Next, ReadEntry, StoredEntry, read};
use sealpost_site::changes::installs::Installs;
use sealpost_site::changes::{ActivityEntry, Change, Note};
use sealpost_site::rows::ServerIdentity;

use super::connection::{open_read_only, open_writable};
use super::open_error::OpenError;
use super::values::text;
use super::{entries, notes, schema};
use crate::store::{StoreError, Walk};

/// What a rebuild made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rebuilt {
    /// The head of the log, which is the same as before.
    pub head: LogHead,
}

/// Why a ledger could not be rebuilt.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// The log itself is damaged.
    #[error(
        "the log is damaged at entry {}: {}; restore a backup with `distributor restore` instead", .0.sequence, .0.what
    )]
    Damaged(LogDamage),
    /// A file could not be read or written.
    #[error(transparent)]
    Open(#[from] OpenError),
}

impl From<rusqlite::Error> for RebuildError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Open(error.into())
    }
}

impl From<StoreError> for RebuildError {
    fn from(error: StoreError) -> Self {
        Self::Open(error.into())
    }
}

/// Makes the ledger `to`, which must not exist, from the log in the ledger `from`. `progress` hears after each entry how
/// many were taken.
///
/// # Errors
/// [`RebuildError`]; then what stands at `to` is no ledger.
pub fn rebuild(from: &Path, to: &Path, progress: &mut dyn FnMut(u64)) -> Result<Rebuilt, RebuildError> {
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::AlreadyExists => OpenError::Exists { path: to.to_owned() },
        _ => OpenError::File { path: to.to_owned(), source },
    };
    let source = open_read_only(from)?;
    schema::check(&source)?;
    OpenOptions::new().write(true).create_new(true).mode(PRIVATE).open(to).map_err(failed)?;
    let target = open_writable(to)?;
    target.execute_batch("BEGIN EXCLUSIVE")?;
    schema::create(&target)?;
    let mut log = Frontier::empty();
    let mut installs = Installs::default();
    let mut check = None;
    let mut failure = None;
    entries::walk(&source, &mut |stored| {
        let check = check.get_or_insert_with(|| Check::new(identity(&stored), Vec::new()));
        let step = match check.next(&stored) {
            Next::Stop => return Walk::Stop,
            Next::Continue => take(&target, &mut log, &mut installs, stored),
        };
        match step {
            Ok(()) => {
                progress(log.size());
                Walk::Continue
            }
            Err(error) => {
                failure = Some(error);
                Walk::Stop
            }
        }
    })?;
    if let Some(failure) = failure {
        return Err(failure.into());
    }
    let found = check.unwrap_or_else(|| Check::new(None, Vec::new())).finish();
    if let Some(damage) = found.damage {
        return Err(RebuildError::Damaged(damage));
    }
    let clients = enrolled(&target)?;
    for note in installs.notes(&clients) {
        notes::keep(&target, &note)?;
    }
    target.execute_batch("COMMIT")?;
    target.close().map_err(|(_, error)| error)?;
    sync_parent(to).map_err(failed)?;
    Ok(Rebuilt { head: found.head })
}

/// Whose log it is, by its first entry: a rebuild does not depend on the tables.
fn identity(first: &StoredEntry) -> Option<ServerIdentity> {
    match read(&first.bytes) {
        Ok(ReadEntry::Known(entry)) => match entry.change {
            Change::ServerInitialized { server_id, site_key } => Some(ServerIdentity { server_id, site_key }),
            _ => None,
        },
        _ => None,
    }
}

/// The clients of today.
fn enrolled(target: &rusqlite::Connection) -> Result<BTreeSet<ClientId>, StoreError> {
    let mut statement = target.prepare("SELECT client_id FROM clients")?;
    let clients = statement.query_map([], |row| text(row, 0))?;
    Ok(clients.collect::<rusqlite::Result<_>>()?)
}

/// Copies one entry, and applies it.
fn take(
    target: &rusqlite::Connection,
    log: &mut Frontier,
    installs: &mut Installs,
    stored: StoredEntry,
) -> Result<(), StoreError> {
    let sequence = stored.sequence;
    let entry: ActivityEntry = match read(&stored.bytes) {
        Ok(ReadEntry::Known(entry)) => *entry,
        Ok(ReadEntry::Newer(newer)) => return Err(StoreError::NewerEntry { sequence, kind: newer.kind }),
        Err(source) => return Err(StoreError::Entry { sequence, source }),
    };
    let linked = LinkedEntry::of_stored(log, entry, stored.bytes);
    entries::append(target, &linked)?;
    installs.take(&linked.entry.change);
    // License time never goes back behind what the log shows.
    notes::keep(target, &Note::TimeFloor { floor: linked.entry.at })
}
