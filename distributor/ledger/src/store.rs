//! The port between the ledger and what keeps its tables.
//!
//! A store decides nothing. It reads what is asked ([`Read`], one question each), appends entries and applies exactly
//! what they say, and keeps notes, the latest of each key. Writing goes through one [`WriteStore`] at a time; any number
//! of [`ReadStore`]s read at once, each seeing what was committed before it asks.

use std::sync::Arc;

use sealpost_site::changes::Note;
use sealpost_site::changes::chain::{EntryFlaw, LinkedEntry, StoredEntry};
use sealpost_site::changes::tables::TablesCheck;
use sealpost_site::commands::NoFacts;
use sealpost_site::commands::clients::{
    LoadAdmission, LoadChannels, LoadEnrollment, LoadSchedule, LoadSeats, LoadSetups,
};
use sealpost_site::commands::configuration::LoadConfiguration;
use sealpost_site::commands::contact::LoadContact;
use sealpost_site::commands::licenses::LoadHeldGrant;
use sealpost_site::commands::pulls::LoadPull;
use sealpost_site::commands::releases::{LoadCounterReset, LoadDelta, LoadRelease};
use sealpost_site::commands::restores::{LoadAcknowledgement, LoadRestore};
use sealpost_site::commands::rollouts::{LoadAdvance, LoadRollout};
use sealpost_site::commands::servers::LoadServerList;
use sealpost_site::commands::settings::{LoadMembers, LoadPlan};
use sealpost_site::commands::starts::LoadStart;
use sealpost_site::commands::undoing::LoadRetry;
use sealpost_site::queries::{
    Activity, ApprovedReleases, ClientByName, ClientKey, ClientLineByName, ClientLines, ClientSealingKey,
    Clients, CopiesOf, DeliveriesOf, DeltaReleases, Drifted, Endings, ExplainClient, Failing, Fleet,
    Followers, GivenUpCopy, GroupMembers, HeldAlone, HeldReleases, HolderById, KnownReleaseOf, KnownReleases,
    LastPull, LeftBehind, LicenseTime, Licenses, Log, LogEntry, LogForks, LogNodes, NotStarted, Query,
    Recipients, Refusals, RefusedGrants, ReleaseByManifest, ReleaseCounts, Releases, ReservedAmong,
    ReservedNames, Restores, Revisions, RolloutByNumber, Rollouts, Schedules, Server, ServersLearned,
    SetupOf, Setups, Trying, Untested, VoidedReleases, Waiting,
};

use crate::grants::TrustedGrants;

/// Why a store could not read or write.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database failed.
    #[error("the database failed")]
    Database(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Something that other records name is not there.
    #[error(
        "the ledger does not hold the {what} that it must hold; run `distributor log verify`, and restore the server's \
         home from a backup if it finds damage"
    )]
    Missing {
        /// What is missing.
        what: &'static str,
    },
    /// An entry was written by a newer version of this program.
    #[error(
        "the log entry {sequence} is of the kind {kind}, which a newer version of this program wrote; update this program"
    )]
    NewerEntry {
        /// Its sequence number.
        sequence: u64,
        /// Its kind.
        kind: String,
    },
    /// The bytes of an entry are no entry.
    #[error("the log entry {sequence} cannot be read; run `distributor log verify`")]
    Entry {
        /// Its sequence number.
        sequence: u64,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// An entry is not the one that was written.
    #[error("the log entry {sequence} is not believed; run `distributor log verify`")]
    Edited {
        /// Its sequence number.
        sequence: u64,
        /// What is wrong with it.
        #[source]
        source: EntryFlaw,
    },
    /// A value has no JSON form.
    #[error("a value cannot be written as JSON")]
    Json(#[from] serde_json::Error),
    /// A stored document cannot be read.
    #[error("a stored document cannot be read")]
    Document(#[from] sealpost_manifests::document::DocumentError),
}

/// Answers one kind of question.
pub trait Read<Q: Query> {
    /// Answers it.
    ///
    /// # Errors
    /// [`StoreError`]. A value that cannot be read is an error, never a default: a corrupt record is not a missing one.
    fn read(&mut self, query: &Q) -> Result<Q::Answer, StoreError>;
}

/// Everything that may be asked.
pub trait ReadStore:
    Send
    + Read<NoFacts>
    + Read<LoadHeldGrant>
    + Read<LoadSeats>
    + Read<LoadSetups>
    + Read<LoadSchedule>
    + Read<LoadAdmission>
    + Read<LoadEnrollment>
    + Read<LoadContact>
    + Read<LoadPull>
    + Read<LoadRelease>
    + Read<LoadDelta>
    + Read<LoadRestore>
    + Read<LoadAcknowledgement>
    + Read<LoadCounterReset>
    + Read<LoadServerList>
    + Read<LoadStart>
    + Read<LoadChannels>
    + Read<LoadRetry>
    + Read<Server>
    + Read<Log>
    + Read<LogNodes>
    + Read<LogEntry>
    + Read<LogForks>
    + Read<LicenseTime>
    + Read<Restores>
    + Read<Licenses>
    + Read<RefusedGrants>
    + Read<ClientLines>
    + Read<ClientLineByName>
    + Read<Clients>
    + Read<ClientByName>
    + Read<ReservedNames>
    + Read<ReservedAmong>
    + Read<HolderById>
    + Read<ClientKey>
    + Read<ClientSealingKey>
    + Read<SetupOf>
    + Read<Setups>
    + Read<Waiting>
    + Read<CopiesOf>
    + Read<GivenUpCopy>
    + Read<Schedules>
    + Read<ExplainClient>
    + Read<Recipients>
    + Read<Trying>
    + Read<Releases>
    + Read<ReleaseByManifest>
    + Read<KnownReleases>
    + Read<Revisions>
    + Read<HeldReleases>
    + Read<Untested>
    + Read<KnownReleaseOf>
    + Read<DeltaReleases>
    + Read<ApprovedReleases>
    + Read<ReleaseCounts>
    + Read<VoidedReleases>
    + Read<LastPull>
    + Read<Endings>
    + Read<HeldAlone>
    + Read<ServersLearned>
    + Read<LeftBehind>
    + Read<Drifted>
    + Read<NotStarted>
    + Read<Failing>
    + Read<Fleet>
    + Read<Refusals>
    + Read<Followers>
    + Read<Activity>
    + Read<LoadPlan>
    + Read<LoadMembers>
    + Read<LoadConfiguration>
    + Read<LoadAdvance>
    + Read<LoadRollout>
    + Read<Rollouts>
    + Read<RolloutByNumber>
    + Read<DeliveriesOf>
    + Read<GroupMembers>
{
    /// Gives every stored entry, from the first, to `each`, until that says [`Walk::Stop`].
    ///
    /// # Errors
    /// [`StoreError`].
    fn entries(&mut self, each: &mut dyn FnMut(StoredEntry) -> Walk) -> Result<(), StoreError>;

    /// The same, all of one moment; and when `each` wanted every entry, the tables are compared with what the log makes.
    ///
    /// # Errors
    /// [`StoreError`].
    fn audit(&mut self, each: &mut dyn FnMut(&StoredEntry) -> Walk) -> Result<TablesCheck, StoreError>;
}

/// Whether a walk goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Walk {
    /// Give the next entry.
    Continue,
    /// Enough.
    Stop,
}

/// The one connection that writes.
///
/// Order of calls: `begin`, then for each command `savepoint`, any number of `append` and `note`, and `keep` or `undo`;
/// `note` also stands outside of a savepoint, between `begin` and `commit`; then `commit`; `roll_back` at any time after `begin`.
pub trait WriteStore: ReadStore {
    /// Begins a transaction.
    ///
    /// # Errors
    /// [`StoreError`].
    fn begin(&mut self) -> Result<(), StoreError>;

    /// Marks where the next command begins.
    ///
    /// # Errors
    /// [`StoreError`].
    fn savepoint(&mut self) -> Result<(), StoreError>;

    /// Appends an entry's exact bytes, and applies its change to the tables.
    ///
    /// # Errors
    /// [`StoreError`].
    fn append(&mut self, entry: &LinkedEntry) -> Result<(), StoreError>;

    /// Keeps a note; the latest of its key wins.
    ///
    /// # Errors
    /// [`StoreError`].
    fn note(&mut self, note: &Note) -> Result<(), StoreError>;

    /// Keeps what was written since the savepoint.
    ///
    /// # Errors
    /// [`StoreError`].
    fn keep(&mut self) -> Result<(), StoreError>;

    /// Undoes what was written since the savepoint.
    ///
    /// # Errors
    /// [`StoreError`].
    fn undo(&mut self) -> Result<(), StoreError>;

    /// Commits: at return everything is on disk.
    ///
    /// # Errors
    /// [`StoreError`].
    fn commit(&mut self) -> Result<(), StoreError>;

    /// Undoes the whole transaction; nothing if there is none.
    ///
    /// # Errors
    /// [`StoreError`].
    fn roll_back(&mut self) -> Result<(), StoreError>;

    /// Whether a transaction is open. A store may end it by itself after an error (SQLite does so when the disk is full,
    /// also inside a savepoint); then everything since `begin` is undone.
    fn in_transaction(&self) -> bool;
}

/// A store that is open: its writer, and as many readers as are wanted.
pub trait Store: Send {
    /// Takes it apart into its writer and so many readers. Whatever they answer of grants is what `grants` lets count.
    ///
    /// # Errors
    /// [`StoreError`].
    fn split(self: Box<Self>, readers: usize, grants: &Arc<TrustedGrants>) -> Result<Split, StoreError>;
}

/// The parts of a store.
pub struct Split {
    /// The one that writes.
    pub writer: Box<dyn WriteStore>,
    /// Those that read.
    pub readers: Vec<Box<dyn ReadStore>>,
}

impl std::fmt::Debug for Split {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Split").field("readers", &self.readers.len()).finish_non_exhaustive()
    }
}
