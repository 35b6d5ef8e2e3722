//! One command inside the writer's transaction: it reads, decides by `domain/`, and records changes.
//!
//! Invariant: [`Step::record`] is the only way to a chained table: it appends the entry's exact bytes and applies the
//! same change, so that the log and the tables cannot say different things.

use jiff::Timestamp;
use rusqlite::{Connection, params};
use sealpost_keys::PublicKey;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::document::DocumentError;
use sealpost_manifests::ids::ServerId;
use sealpost_manifests::lease::LedgerHead;
use sealpost_manifests::wire::problem::Problem;

use super::projections;
use super::values::{integer, micros};
use crate::domain::activity::{ActivityEntry, Actor, Change};
use crate::domain::summary;
use crate::domain::time_floor::TimeFloor;
use crate::ledger::LedgerSettings;

/// Whose ledger this is.
#[derive(Debug, Clone)]
pub(super) struct ServerIdentity {
    pub(super) server_id: ServerId,
    pub(super) site_key: PublicKey,
}

/// Why a command was not carried out; nothing of it stays.
#[derive(Debug, thiserror::Error)]
pub(super) enum CommandError {
    /// A rule says no.
    #[error(transparent)]
    Refused(#[from] Problem),
    /// The database failed.
    #[error("the database failed")]
    Database(#[from] rusqlite::Error),
    /// A value has no JSON form.
    #[error("a value cannot be written as JSON")]
    Json(#[from] serde_json::Error),
    /// A stored document cannot be read.
    #[error("a stored document cannot be read")]
    Document(#[from] DocumentError),
}

/// What a command that was carried out answers.
#[derive(Debug)]
pub(super) enum Ruling<T> {
    /// The answer; what was recorded is kept.
    Done(T),
    /// No; but what was recorded is kept, because the refusal itself is worth knowing.
    NotedRefusal(Problem),
}

/// A command's result.
pub(super) type StepResult<T> = Result<Ruling<T>, CommandError>;

/// The head of an empty log.
pub(super) fn empty_head() -> LedgerHead {
    LedgerHead { sequence: 0, hash: Sha256Digest::of(b"") }
}

/// What a command works with.
pub(super) struct Step<'a> {
    pub(super) connection: &'a Connection,
    /// License time.
    pub(super) now: Timestamp,
    pub(super) server: &'a ServerIdentity,
    pub(super) settings: &'a LedgerSettings,
    pub(super) head: &'a mut LedgerHead,
    pub(super) floor: &'a mut TimeFloor,
}

impl Step<'_> {
    /// Appends an entry, and applies its change.
    pub(super) fn record(&mut self, actor: Actor, change: Change) -> Result<(), CommandError> {
        *self.head = append(self.connection, self.head, self.now, actor, change)?;
        Ok(())
    }

    /// Writes what is there already, to see whether the disk takes it.
    pub(super) fn write_anything(&self) -> StepResult<()> {
        self.connection.prepare_cached("UPDATE clock SET floor = floor")?.execute([])?;
        Ok(Ruling::Done(()))
    }
}

/// Appends an entry after `head`, applies its change, and answers the new head.
pub(super) fn append(
    connection: &Connection,
    head: &LedgerHead,
    at: Timestamp,
    actor: Actor,
    change: Change,
) -> Result<LedgerHead, CommandError> {
    let entry =
        ActivityEntry { sequence: head.sequence.saturating_add(1), at, actor, change, previous: head.hash };
    let bytes = serde_json::to_vec(&entry)?;
    let hash = Sha256Digest::of(&bytes);
    connection
        .prepare_cached(
            "INSERT INTO activity (sequence, at, kind, computer, entry, hash) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![
            integer(entry.sequence),
            micros(entry.at),
            summary::kind(&entry.change),
            summary::computer(&entry).map(AsRef::<str>::as_ref),
            bytes,
            hash.to_string(),
        ])?;
    projections::apply(connection, &entry)?;
    Ok(LedgerHead { sequence: entry.sequence, hash })
}
