//! The ledger: the one place where state changes. Today SQLite; a PostgreSQL ledger has to pass the same contract tests.
//!
//! Each command is decided and applied in one transaction by pure rules of `domain/`, with its activity entries; the
//! future resolves only after the change is on disk. A refusal changes nothing. Each command is safe to send again.

use std::future::Future;
use std::pin::Pin;

use jiff::Timestamp;
use sealpost_keys::PublicKey;
use sealpost_manifests::assignment::Assignment;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::document::SignedDocument;
use sealpost_manifests::grant::{Grant, LicenseModel};
use sealpost_manifests::ids::{ChannelName, ClientId, ComputerName, Platform, SerialNumber, ServerId};
use sealpost_manifests::lease::{Lease, LedgerHead};
use sealpost_manifests::release::{PackageKind, ReleaseId, Severity};
use sealpost_manifests::version::ReleaseCounter;
use sealpost_manifests::wire::contact::{Contact, InstalledPackage};
use sealpost_manifests::wire::enroll::{Enrolled, Enrollment};
use sealpost_manifests::wire::problem::{Problem, ProblemCode};
use sealpost_manifests::wire::report::Report;
use serde::{Deserialize, Serialize};

use crate::domain::activity::{ActivityEntry, Actor};
pub use crate::domain::contact::ClientState;
use crate::domain::explain::Explanation;
pub use crate::domain::release::ReleaseState;

/// A boxed future, so that the port is object-safe.
pub type LedgerFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, LedgerError>> + Send + 'a>>;

/// Why a command or query gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// A rule says no; nothing changed.
    #[error(transparent)]
    Refused(#[from] Problem),
    /// The ledger could not do it; nothing changed. Retrying is safe.
    #[error("the ledger could not {attempted}")]
    Failed {
        /// What was attempted.
        attempted: &'static str,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The ledger is shutting down.
    #[error("the ledger is closed; the server is shutting down")]
    Closed,
}

/// What a contact answers; unsigned: the caller signs after the commit (Ed25519 is deterministic, so a retry gets the
/// same bytes).
#[derive(Debug, Clone)]
pub struct ContactOutcome {
    /// Exact document text of the lease to send, if there is one.
    pub lease: Option<Lease>,
    /// Exact document of the assignment to send, if there is one.
    pub assignment: Option<Assignment>,
    /// The grant to send, if the client does not hold it.
    pub grant: Option<SignedDocument>,
    /// Reports up to this id are on disk.
    pub acknowledged_report: u64,
    /// For the person at the computer.
    pub notice: Option<String>,
    /// Whether this was a retry of the last contact.
    pub retry: bool,
    /// The client's name, for the log.
    pub name: ComputerName,
}

/// What enrollment answers; unsigned as above.
#[derive(Debug, Clone)]
pub struct EnrollOutcome {
    /// What to sign.
    pub enrolled: Enrolled,
    /// The grant to send with it.
    pub grant: SignedDocument,
}

/// A release as it comes out of staging.
#[derive(Debug, Clone)]
pub struct StagedRelease {
    /// Which.
    pub release: ReleaseId,
    /// Digest of the manifest's exact bytes.
    pub manifest: Sha256Digest,
    /// Program or signatures.
    pub kind: PackageKind,
    /// Its counter.
    pub counter: ReleaseCounter,
    /// How urgent.
    pub severity: Severity,
    /// Channels that point to it.
    pub channels: Vec<ChannelName>,
    /// Who signed it.
    pub signer: PublicKey,
    /// Payload bytes as downloaded.
    pub payload_bytes: u64,
}

/// A release as the site sees it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ReleaseRow {
    /// Which.
    pub release: ReleaseId,
    /// Its manifest's digest: what is approved.
    pub manifest: Sha256Digest,
    /// Program or signatures.
    pub kind: PackageKind,
    /// Its counter.
    pub counter: ReleaseCounter,
    /// How urgent.
    pub severity: Severity,
    /// Its state.
    pub state: ReleaseState,
    /// Its channels.
    pub channels: Vec<ChannelName>,
    /// Who signed it; absent when it was refused.
    pub signer: Option<PublicKey>,
    /// Payload bytes.
    pub payload_bytes: u64,
    /// When it was staged or refused.
    pub staged_at: Timestamp,
    /// When and by whom it was decided.
    pub decided: Option<(Timestamp, Actor)>,
    /// Why it was rejected, refused or withdrawn.
    pub reason: Option<String>,
    /// Its rollout, once approved.
    pub rollout: Option<u64>,
    /// Clients whose assignment names it.
    pub assigned: u64,
    /// Clients that reported that they run it.
    pub installed: u64,
    /// Clients that rolled back from it or refused it.
    pub failed: u64,
    /// Deltas to it: (base manifest, bytes).
    pub deltas: Vec<(Sha256Digest, u64)>,
}

/// A reservation with its computer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ClientRow {
    /// The name that holds the seat.
    pub name: ComputerName,
    /// Its channel.
    pub channel: ChannelName,
    /// Its state.
    pub state: ClientState,
    /// When the seat was taken.
    pub reserved_at: Timestamp,
    /// Its id, once enrolled.
    pub client_id: Option<ClientId>,
    /// Its key, once enrolled.
    pub client_key: Option<PublicKey>,
    /// What it can run.
    pub platform: Option<Platform>,
    /// Its agent.
    pub agent_version: Option<String>,
    /// Last contact (`Last Refresh`).
    pub last_contact: Option<Timestamp>,
    /// Until when its lease is good.
    pub lease_until: Option<Timestamp>,
    /// What it runs.
    pub installed: Vec<InstalledPackage>,
    /// What it should run, with the manifests' digests.
    pub assigned: Vec<(ReleaseId, Sha256Digest)>,
    /// Its last report per package.
    pub last_reports: Vec<Report>,
    /// `V 0.0 (0000)` until first contact.
    pub display_version: String,
}

/// One grant, as counted here.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LicenseRow {
    /// Serial.
    pub serial: SerialNumber,
    /// Licenses.
    pub licenses: u32,
    /// Used = reserved + active.
    pub used: u32,
    /// Active.
    pub active: u32,
    /// Reserved.
    pub reserved: u32,
    /// How seats are counted.
    pub model: LicenseModel,
    /// The grant's generation.
    pub generation: u64,
    /// Until when new licenses can be given.
    pub valid_until: Timestamp,
}

/// Last pull.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct PullRow {
    /// When the vendor's metadata was last found fresh.
    pub metadata_as_of: Option<Timestamp>,
    /// When a pull was last tried.
    pub tried_at: Option<Timestamp>,
    /// Why the last try failed, if it did.
    pub failure: Option<String>,
}

/// Which entries of the activity log.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ActivityFilter {
    /// Only after this sequence number.
    #[serde(default)]
    pub after: u64,
    /// Only of this computer (by name).
    #[serde(default)]
    pub client: Option<ComputerName>,
    /// Only changes of this `type`, for example `release_approved`.
    #[serde(default)]
    pub kind: Option<String>,
    /// Only from this time on.
    #[serde(default)]
    pub since: Option<Timestamp>,
    /// At most so many (bounded by the ledger to 1,000).
    #[serde(default)]
    pub limit: Option<u32>,
}

/// An activity entry with its hash.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LoggedEntry {
    /// The entry.
    #[serde(flatten)]
    pub entry: ActivityEntry,
    /// Its hash.
    pub hash: Sha256Digest,
    /// One line for people.
    pub summary: String,
}

/// Result of checking the whole chain.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LogCheck {
    /// Entries that were read.
    pub entries: u64,
    /// The newest entry.
    pub head: LedgerHead,
    /// The first thing that is wrong, with its sequence number.
    pub damage: Option<(u64, String)>,
}

/// The port. `now` is the caller's license time; randomness comes in as candidate ids.
pub trait Ledger: Send + Sync + 'static {
    /// This server's id.
    fn server_id(&self) -> ServerId;

    // ── licensing ──
    /// Notes that a registration code was made.
    fn register_serial(&self, actor: Actor, now: Timestamp, serial: SerialNumber) -> LedgerFuture<'_, ()>;
    /// Accepts a verified grant: for this server and site key, generation not lower (the same one again is fine).
    fn accept_grant(
        &self,
        actor: Actor,
        now: Timestamp,
        grant: Grant,
        document: SignedDocument,
    ) -> LedgerFuture<'_, LicenseRow>;
    /// Takes a seat for a name; the same name again answers the same and takes no second seat.
    fn reserve(
        &self,
        actor: Actor,
        now: Timestamp,
        name: ComputerName,
        channel: ChannelName,
    ) -> LedgerFuture<'_, ClientRow>;
    /// Notes a new enrollment code for a reserved name.
    fn issue_setup(
        &self,
        actor: Actor,
        now: Timestamp,
        name: ComputerName,
        code_sha256: Sha256Digest,
    ) -> LedgerFuture<'_, ()>;
    /// Enrolls a computer; `candidate` is used when this is the first time.
    fn enroll(
        &self,
        source: String,
        now: Timestamp,
        enrollment: Enrollment,
        candidate: ClientId,
    ) -> LedgerFuture<'_, EnrollOutcome>;
    /// One contact whose signature was verified with the client's key.
    fn contact(&self, now: Timestamp, contact: Contact) -> LedgerFuture<'_, ContactOutcome>;
    /// Counts a refusal; aggregated per (code, source, minute), flushed by the ledger.
    fn count_refusal(&self, now: Timestamp, code: ProblemCode, source: String);

    // ── updates ──
    /// Notes a pull that found the vendor's metadata fresh.
    fn pull_succeeded(&self, now: Timestamp, versions: PulledVersions) -> LedgerFuture<'_, ()>;
    /// Notes a pull that failed.
    fn pull_failed(&self, now: Timestamp, reason: String) -> LedgerFuture<'_, ()>;
    /// A release passed staging. Again with other channels: its channels are updated.
    fn stage(&self, now: Timestamp, release: StagedRelease) -> LedgerFuture<'_, ReleaseRow>;
    /// A release did not pass staging.
    fn refuse_release(
        &self,
        now: Timestamp,
        release: ReleaseId,
        manifest: Sha256Digest,
        problems: Vec<String>,
    ) -> LedgerFuture<'_, ()>;
    /// The vendor withdrew a release.
    fn withdraw(&self, now: Timestamp, manifest: Sha256Digest, reason: String) -> LedgerFuture<'_, ()>;
    /// A delta was made.
    fn delta_made(
        &self,
        now: Timestamp,
        base: Sha256Digest,
        target: Sha256Digest,
        bytes: u64,
    ) -> LedgerFuture<'_, ()>;
    /// Approves the manifest that was shown. Again: the same answer.
    fn approve(&self, actor: Actor, now: Timestamp, manifest: Sha256Digest) -> LedgerFuture<'_, ReleaseRow>;
    /// Rejects a release that is not approved yet.
    fn reject(
        &self,
        actor: Actor,
        now: Timestamp,
        manifest: Sha256Digest,
        reason: String,
    ) -> LedgerFuture<'_, ReleaseRow>;

    // ── queries ──
    /// Every grant with its counts.
    fn licenses(&self) -> LedgerFuture<'_, Vec<LicenseRow>>;
    /// License time is not before this: what was stored of it, and what the vendor signed.
    fn time_floor(&self) -> LedgerFuture<'_, Timestamp>;
    /// Reservations sorted by name, after `after`, at most `limit`.
    fn clients(&self, after: Option<ComputerName>, limit: u32) -> LedgerFuture<'_, Vec<ClientRow>>;
    /// One by name.
    fn client(&self, name: ComputerName) -> LedgerFuture<'_, Option<ClientRow>>;
    /// One by id: the hot path of admission.
    fn client_by_id(&self, client_id: ClientId) -> LedgerFuture<'_, Option<ClientRow>>;
    /// For each package that concerns a computer: what it runs, what it should run, why not yet.
    fn explain(&self, now: Timestamp, name: ComputerName) -> LedgerFuture<'_, Vec<Explanation>>;
    /// Whether an enrollment code (by digest) belongs to a reserved name and may read root, metadata and trust.json.
    fn enrollment_code_known(&self, name: ComputerName, code_sha256: Sha256Digest) -> LedgerFuture<'_, bool>;
    /// Every release, newest counter first within its package.
    fn releases(&self) -> LedgerFuture<'_, Vec<ReleaseRow>>;
    /// One by manifest digest.
    fn release(&self, manifest: Sha256Digest) -> LedgerFuture<'_, Option<ReleaseRow>>;
    /// The last pull.
    fn last_pull(&self) -> LedgerFuture<'_, PullRow>;
    /// Activity, oldest first.
    fn activity(&self, filter: ActivityFilter) -> LedgerFuture<'_, Vec<LoggedEntry>>;
    /// Whether it can do its work: it reads, and where the last write failed, it can write again.
    fn check_health(&self) -> LedgerFuture<'_, ()>;
    /// The newest entry.
    fn head(&self) -> LedgerFuture<'_, LedgerHead>;
    /// Re-computes the whole chain from the stored bytes.
    fn verify_log(&self) -> LedgerFuture<'_, LogCheck>;
    /// Wakes whenever entries were committed: carries the newest sequence number.
    fn subscribe(&self) -> tokio::sync::watch::Receiver<u64>;
    /// Commits what waits, flushes counted refusals, and stops.
    fn close(&self) -> LedgerFuture<'_, ()>;
}

/// Versions of the top-level roles after a pull.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PulledVersions {
    /// Root.
    pub root: u64,
    /// Timestamp.
    pub timestamp: u64,
    /// Snapshot.
    pub snapshot: u64,
}
