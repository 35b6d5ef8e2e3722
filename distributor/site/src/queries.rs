//! What may be asked of a ledger: each question is a type that names the type of its answer.
//!
//! Invariant: every list is bounded by its question, whatever a caller wants; what needs all of them pages.
//! Facts of commands are asked for in the same way; those questions stand beside their commands.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use sealpost_keys::{PublicKey, SealingPublicKey};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::{ChannelName, ClientId, ComputerName, PackageName, SerialNumber};
use sealpost_manifests::license_time::VendorStatement;
use sealpost_manifests::log::{Frontier, NodeId};

use crate::changes::chain::LoggedEntry;
use crate::rows::{
    ClientLineRow, ClientRow, ComputersRow, CopiesRow, DeliveryRow, DeltaReleaseRow, EndingsRow, FailingRow,
    FleetRow, HolderRow, LeftBehindRow, LicenseRow, LogForkRow, PullRow, RecipientRow, RefusalRow,
    RefusedGrantRow, ReleaseRow, RevisionRow, ScheduleRow, ServerIdentity, ServersLearnedRow, SetupRow,
    TryingRow, WaitingRow,
};
use crate::rules::account::ByAccount;
use crate::rules::enrollment::SetupState;
use crate::rules::explain::ExplainFacts;
use crate::rules::held::HeldRelease;
use crate::rules::leaving::Named;
use crate::rules::release::{KnownRelease, ReleaseState};
use crate::rules::restore::RestoreState;
use crate::rules::rollouts::groups::GroupName;
use crate::rules::rollouts::progress::Rollout;
use crate::rules::setups::CodeState;
use crate::rules::troubles::{Bounds, Trouble};

/// Most rows of one page.
pub const MAX_PAGE: u32 = 1_000;

/// License time as it was noted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoredTime {
    /// It is not before this.
    pub floor: Option<Timestamp>,
    /// The newest statement of the vendor, which bounds the floor.
    pub statement: Option<VendorStatement>,
}

/// One question.
pub trait Query: Send + Sync + 'static {
    /// What is answered.
    type Answer: Send + 'static;
    /// What was attempted when it fails: "cannot …".
    const ATTEMPTED: &'static str;
}

/// Bounds what a caller wants of a page: 1 to [`MAX_PAGE`].
#[must_use]
pub fn page_limit(wanted: Option<u32>) -> u32 {
    wanted.unwrap_or(MAX_PAGE).clamp(1, MAX_PAGE)
}

/// Declares a question with its answer.
macro_rules! query {
    ($(#[$doc:meta])* $name:ident $fields:tt -> $answer:ty, $attempted:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone)]
        pub struct $name $fields

        impl Query for $name {
            type Answer = $answer;
            const ATTEMPTED: &'static str = $attempted;
        }
    };
}
pub(crate) use query;

query! {
    /// Rollouts, the newest first, with what became of their computers.
    Rollouts {
        /// Only those with a lower number.
        pub before: Option<u64>,
        /// Only those that are running, paused or halted.
        pub open: bool,
        /// Most rows.
        pub limit: u32,
    } -> Vec<Rollout>, "list rollouts"
}

query! {
    /// A rollout, with what became of its computers.
    RolloutByNumber {
        /// Its number.
        pub number: u64,
    } -> Option<Rollout>, "read a rollout"
}

query! {
    /// What became of a rollout on each computer that was told, by name.
    DeliveriesOf {
        /// The rollout.
        pub rollout: u64,
        /// Only after this name.
        pub after: Option<ComputerName>,
        /// Most rows; a name that was enrolled anew meanwhile has several, which come together.
        pub limit: u32,
    } -> Vec<DeliveryRow>, "list the computers of a rollout"
}

query! {
    /// Computers that asked to be enrolled and wait, the first first.
    Waiting {
        /// Only those that came after the one of this entry.
        pub after: Option<u64>,
        /// Most rows.
        pub limit: u32,
    } -> Vec<WaitingRow>, "list the computers that wait"
}

query! {
    /// The computers that use the identity of a name's client, the first first; `None` if nobody enrolled under the name.
    CopiesOf {
        /// The name.
        pub name: ComputerName,
    } -> Option<CopiesRow>, "read the copies of a computer"
}

query! {
    /// The name of a client that was replaced by the copy of it which an admin kept; `None` of any other.
    GivenUpCopy {
        /// Its id.
        pub client_id: ClientId,
    } -> Option<ComputerName>, "look whether a copy was given up"
}

query! {
    /// Installs that are planned, by name.
    Schedules {
        /// Only after this name.
        pub after: Option<ComputerName>,
        /// Most rows.
        pub limit: u32,
    } -> Vec<ScheduleRow>, "list the installs that are planned"
}

query! {
    /// The names that hold a seat.
    ReservedNames {
        /// Only after this name.
        pub after: Option<ComputerName>,
        /// Most rows.
        pub limit: u32,
    } -> Vec<ComputerName>, "list the names that hold a seat"
}

query! {
    /// Those of some names that hold a seat.
    ReservedAmong {
        /// The names.
        pub names: BTreeSet<ComputerName>,
    } -> BTreeSet<ComputerName>, "look up who holds a seat"
}

query! {
    /// The computers that a group lists by name.
    GroupMembers {
        /// The group.
        pub group: GroupName,
        /// Only after this name.
        pub after: Option<ComputerName>,
        /// Most rows.
        pub limit: u32,
    } -> Vec<ComputerName>, "list the computers of a group"
}

query! {
    /// The newest setup file of each name that had one, by name.
    Setups {
        /// Only those that stand so.
        pub state: Option<CodeState>,
        /// License time, which says whose code has ended.
        pub now: Timestamp,
        /// Only after this name.
        pub after: Option<ComputerName>,
        /// Most rows.
        pub limit: u32,
    } -> Vec<SetupRow>, "list the setup files"
}

query! {
    /// Whose ledger it is; `None` before the first entry.
    Server {} -> Option<ServerIdentity>, "read whose ledger it is"
}

query! {
    /// The log's tree, as far as it takes to go on with it.
    Log {} -> Frontier, "read the head of the log"
}

query! {
    /// Hashes of complete nodes of the log's tree, in the order in which they are asked for; `None` for one that the log
    /// does not have.
    LogNodes {
        /// Which nodes; a proof needs at most two for each level.
        pub nodes: Vec<NodeId>,
    } -> Vec<Option<Sha256Digest>>, "read the log's tree"
}

query! {
    /// The stored bytes of one entry.
    LogEntry {
        /// Its sequence number.
        pub sequence: u64,
    } -> Option<Vec<u8>>, "read a log entry"
}

query! {
    /// What was noted of license time.
    LicenseTime {} -> StoredTime, "read the time floor"
}

query! {
    /// Every grant that counts, with its counts, by serial number. The vendor issues few serial numbers.
    Licenses {} -> Vec<LicenseRow>, "list licenses"
}

query! {
    /// Stored grants that do not count, or beside which something else stands than they say, by serial number.
    RefusedGrants {} -> Vec<RefusedGrantRow>, "check the grants"
}

query! {
    /// Reservations sorted by name.
    Clients {
        /// Only after this name.
        pub after: Option<ComputerName>,
        /// Only those with which all of this is wrong; every one when empty.
        pub with: Vec<Trouble>,
        /// When something counts as wrong.
        pub bounds: Bounds,
        /// At most so many; see [`page_limit`].
        pub limit: u32,
    } -> Vec<ClientRow>, "list clients"
}

impl Clients {
    /// A page of every reservation.
    #[must_use]
    pub const fn all(after: Option<ComputerName>, limit: u32) -> Self {
        let bounds = Bounds { heard: Timestamp::MIN, decided: Timestamp::MIN };
        Self { after, with: Vec::new(), bounds, limit }
    }
}

query! {
    /// Every reservation in a few words, sorted by name.
    ClientLines {
        /// Only after this name.
        pub after: Option<ComputerName>,
        /// At most so many; see [`page_limit`].
        pub limit: u32,
    } -> Vec<ClientLineRow>, "list computers"
}

query! {
    /// One reservation in a few words.
    ClientLineByName {
        /// The name.
        pub name: ComputerName,
    } -> Option<ClientLineRow>, "read a computer"
}

query! {
    /// One reservation by its name.
    ClientByName {
        /// The name.
        pub name: ComputerName,
    } -> Option<ClientRow>, "read a client"
}

query! {
    /// What admission needs of a client: the hot path of downloads.
    HolderById {
        /// The client.
        pub client_id: ClientId,
    } -> Option<HolderRow>, "read a client"
}

query! {
    /// The key of a client. A client id never gets another key: who enrolls again gets another id.
    ClientKey {
        /// The client.
        pub client_id: ClientId,
    } -> Option<PublicKey>, "read a client's key"
}

query! {
    /// The key to which answers by file are sealed for a client.
    ClientSealingKey {
        /// The client.
        pub client_id: ClientId,
    } -> Option<SealingPublicKey>, "read a client's sealing key"
}

query! {
    /// Which setup a name has.
    SetupOf {
        /// The name.
        pub name: ComputerName,
    } -> SetupState, "look for a setup"
}

query! {
    /// What the sentences about one computer are made of; `None` for a name that holds no reservation.
    ExplainClient {
        /// The name.
        pub name: ComputerName,
    } -> Option<ExplainFacts>, "explain a client"
}

query! {
    /// What decides who gets a release, sorted by name.
    Recipients {
        /// Only after this name.
        pub after: Option<ComputerName>,
        /// Only those that said last that they run the release with this manifest.
        pub running: Option<Sha256Digest>,
        /// At most so many; see [`page_limit`].
        pub limit: u32,
    } -> Vec<RecipientRow>, "list computers"
}

query! {
    /// Enrolled computers that were sent an assignment of one of these releases, or reported last about one, and do not say
    /// that they run it; sorted by name. What is halted is in nobody's assignment any more, and these may have it all the
    /// same.
    Trying {
        /// The releases' manifests.
        pub manifests: Vec<Sha256Digest>,
        /// Only after this name.
        pub after: Option<ComputerName>,
        /// At most so many; see [`page_limit`].
        pub limit: u32,
    } -> Vec<TryingRow>, "list who may try a release"
}

query! {
    /// Releases with their counts, newest counter first within their package.
    Releases {
        /// Only in this state.
        pub state: Option<ReleaseState>,
        /// Only after the release with this manifest.
        pub after: Option<Sha256Digest>,
        /// At most so many; see [`page_limit`].
        pub limit: u32,
    } -> Vec<ReleaseRow>, "list releases"
}

query! {
    /// One release with its counts.
    ReleaseByManifest {
        /// Its manifest's digest.
        pub manifest: Sha256Digest,
    } -> Option<ReleaseRow>, "read a release"
}

query! {
    /// Releases without counts, in the order of their manifests.
    KnownReleases {
        /// Only after the release with this manifest.
        pub after: Option<Sha256Digest>,
        /// At most so many; see [`page_limit`].
        pub limit: u32,
    } -> Vec<KnownRelease>, "list releases"
}

query! {
    /// Revisions of signature packages that arrived here, in the order of their manifests.
    Revisions {
        /// Only after the release with this manifest.
        pub after: Option<Sha256Digest>,
        /// At most so many; see [`page_limit`].
        pub limit: u32,
    } -> Vec<RevisionRow>, "list revisions"
}

query! {
    /// Staged releases whose newest test-load did not pass, in the order of their manifests.
    HeldReleases {
        /// Only after the release with this manifest.
        pub after: Option<Sha256Digest>,
        /// At most so many; see [`page_limit`].
        pub limit: u32,
    } -> Vec<HeldRelease>, "list releases that did not load"
}

query! {
    /// Staged releases of a package that its program, as it is configured, has not loaded, and that no admin let through, in the
    /// order of their counters.
    Untested {
        /// The package.
        pub package: PackageName,
        /// The digest of the program's settings.
        pub program: Sha256Digest,
        /// At most so many; see [`page_limit`].
        pub limit: u32,
    } -> Vec<KnownRelease>, "list releases that were not loaded yet"
}

query! {
    /// One release without counts.
    KnownReleaseOf {
        /// Its manifest's digest.
        pub manifest: Sha256Digest,
    } -> Option<KnownRelease>, "read a release"
}

query! {
    /// Releases between which deltas may be of use: those that are staged or approved, or in use somewhere, in the order
    /// of their manifests.
    DeltaReleases {
        /// Only after the release with this manifest.
        pub after: Option<Sha256Digest>,
        /// At most so many; see [`page_limit`].
        pub limit: u32,
    } -> Vec<DeltaReleaseRow>, "list releases for deltas"
}

query! {
    /// Every release that is approved now: what goes to clients, sorted by package, counter and manifest.
    ApprovedReleases {} -> Vec<KnownRelease>, "list approved releases"
}

query! {
    /// How many releases are in each state.
    ReleaseCounts {} -> Vec<(ReleaseState, u64)>, "count releases"
}

query! {
    /// Where the ledger stands after restores.
    Restores {} -> RestoreState, "read whether the ledger was restored"
}

query! {
    /// Computers whose witnessed heads of the log do not fit each other.
    LogForks {} -> Vec<LogForkRow>, "list forks of the log"
}

query! {
    /// Manifests of releases above a counter that the vendor reset.
    VoidedReleases {} -> BTreeSet<Sha256Digest>, "list releases that count no more"
}

query! {
    /// The last pull.
    LastPull {} -> PullRow, "read the last pull"
}

query! {
    /// The newest server list, and which enrolled computers did not learn it yet; `None` before the first.
    ServersLearned {} -> Option<ServersLearnedRow>, "read who learned the ways to this server"
}

query! {
    /// Enrolled computers that never said that they hold a server list of this sequence or a later one, and that the server
    /// has not heard since: what the lists from this one on name, they do not know. After a restore only lists of a higher
    /// epoch than the restored one count: those of before may be of the part that was lost, where the same sequence
    /// named other ways.
    LeftBehind {
        /// The first list that names it.
        pub sequence: u64,
        /// Who contacted the server, or enrolled, after this time knows it.
        pub since: Timestamp,
    } -> LeftBehindRow, "read who was left behind"
}

query! {
    /// Leases and setup codes that end first.
    Endings {
        /// Codes that ended before are passed over.
        pub now: Timestamp,
    } -> EndingsRow, "read when leases and setup files end"
}

query! {
    /// Names that hold a seat of one serial number and none of the others: how many, and the first of them.
    HeldAlone {
        /// The one.
        pub serial: SerialNumber,
        /// The others.
        pub others: BTreeSet<SerialNumber>,
    } -> ComputersRow, "list who holds a seat of one serial number alone"
}

query! {
    /// How many computers say that packages are not as they were signed, and the first of them by name.
    Drifted {} -> ComputersRow, "list changed computers"
}

query! {
    /// How many computers say that a product of theirs could not be started, and the first of them by name.
    NotStarted {} -> ComputersRow, "list stopped products"
}

query! {
    /// Which computers gave up what is approved, and which are refused as copies of others; of each the first by name.
    Failing {} -> FailingRow, "list failed computers"
}

query! {
    /// How the computers of the site stand.
    Fleet {
        /// When something counts as wrong.
        pub bounds: Bounds,
    } -> FleetRow, "list silent and outdated computers"
}

query! {
    /// The newest refusals of the log, the newest first; at most [`MAX_PAGE`] lines.
    Refusals {} -> Vec<RefusalRow>, "list refusals"
}

query! {
    /// Who follows which channel: reserved computers, of each channel the first by name.
    Followers {} -> BTreeMap<ChannelName, Named>, "list who follows which channel"
}

query! {
    /// Entries of the activity log, oldest first.
    #[derive(Default)]
    Activity {
        /// Only after this sequence number.
        pub after: u64,
        /// Only of this computer.
        pub client: Option<ComputerName>,
        /// Only changes of this `type`, for example `release_approved`.
        pub kind: Option<String>,
        /// Only changes of one of these types; of any when empty.
        pub kinds: Vec<String>,
        /// Only changes that name one of these releases, by its manifest; any when empty.
        pub releases: Vec<Sha256Digest>,
        /// Only what this admin did.
        pub by: Option<ByAccount>,
        /// Only what tells of something that went wrong; see [`is_failure`](crate::changes::summary::is_failure).
        pub only: Only,
        /// Only from this time on.
        pub since: Option<Timestamp>,
        /// Only up to this time.
        pub until: Option<Timestamp>,
        /// Which end of the log a page is of.
        pub end: LogEnd,
        /// At most so many; see [`page_limit`]. `None` means a whole page.
        pub limit: Option<u32>,
    } -> Vec<LoggedEntry>, "read the activity log"
}

/// Which entries of the log are wanted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Only {
    /// All.
    #[default]
    Everything,
    /// All but those that say only that a release has no hook for a step.
    WithoutAbsentHooks,
    /// Those that tell of something that went wrong.
    Failures,
}

/// Which end of the log a page is of; its entries stand oldest first in both.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LogEnd {
    /// The first entries that are wanted.
    #[default]
    Oldest,
    /// The last entries that are wanted.
    Newest,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_caller_gets_more_than_a_page() {
        assert_eq!(page_limit(None), MAX_PAGE);
        assert_eq!(page_limit(Some(u32::MAX)), MAX_PAGE);
        assert_eq!(page_limit(Some(0)), 1);
        assert_eq!(page_limit(Some(7)), 7);
    }
}
