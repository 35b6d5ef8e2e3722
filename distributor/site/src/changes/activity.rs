//! What happened: every change of state as a typed, serializable [`Change`], and the [`ActivityEntry`] that chains it.
//!
//! Invariant: the ledger's tables are projections of the changes, in order. Whoever replays the changes gets the
//! tables. Names are in the past tense, because an entry is only written together with its effect.
//! Entries last: from format version 2 on every program reads them for ever, fields are only added, and optional.
//! A change carries its consequences (which releases are superseded, which name leaves a list), so that a projection
//! calls no rule.
//! Left out on purpose: ordinary contacts (they are notes, see [`note`](super::note)).

use jiff::Timestamp;
use sealpost_keys::{PublicKey, SealingPublicKey, TokenDigest};
use sealpost_manifests::assignment::PackageAssignment;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::document::SignedDocument;
use sealpost_manifests::grant::{LicenseModel, RegistrationReason};
use sealpost_manifests::ids::{
    ChannelName, ClientId, ComputerName, EraId, PackageName, Platform, RequestId, SerialNumber, ServerId,
    SetupId,
};
use sealpost_manifests::lease::Entitlement;
use sealpost_manifests::log::LogHead;
use sealpost_manifests::order::{Epoch, HighestOrders, Order};
use sealpost_manifests::release::{PackageKind, ReleaseId, Severity};
use sealpost_manifests::setup::ServerEntry;
use sealpost_manifests::version::ReleaseCounter;
use sealpost_manifests::wire::contact::Drift;
use sealpost_manifests::wire::problem::ProblemCode;
use sealpost_manifests::wire::report::Report;
use serde::{Deserialize, Serialize};

use crate::rules::account::{Account, Actor, TokenId};
use crate::rules::release::Supersession;
use crate::rules::reports::ReportEffect;
use crate::rules::restore::RestoreCause;

/// The format version of the entries that this program writes, and the highest that it reads. Version 1 was never used
/// by a site.
pub const ENTRY_VERSION: u32 = 2;

/// What can be said of an entry that a newer version wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewerEntry {
    /// Its format version.
    pub version: u32,
    /// Its sequence number.
    pub sequence: u64,
    /// License time of the change.
    pub at: Timestamp,
    /// The kind of its change.
    pub kind: String,
}

/// One change of state.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Change {
    /// The first entry of every log: binds it to its server.
    ServerInitialized {
        /// The server's id.
        server_id: ServerId,
        /// Its site key.
        site_key: PublicKey,
    },
    /// The server asked the vendor to unlock a serial number, online or by a code.
    SerialRegistered {
        /// The serial number.
        serial: SerialNumber,
        /// Why it asked.
        reason: RegistrationReason,
        /// The request that the vendor answers once.
        request_id: RequestId,
    },
    /// A grant was accepted: seats are unlocked.
    GrantAccepted {
        /// The serial number.
        serial: SerialNumber,
        /// Its generation.
        generation: u64,
        /// Its epoch; the server's is the highest of all its grants.
        epoch: Epoch,
        /// How many seats.
        seats: u32,
        /// How they are counted.
        model: LicenseModel,
        /// Until when new licenses can be given.
        not_after: Timestamp,
        /// The grant itself.
        grant: SignedDocument,
        /// Whether its epoch confirms a restored ledger.
        #[serde(default, skip_serializing_if = "is_false")]
        confirms: bool,
    },
    /// A computer name took a seat of a serial number, for good.
    SeatReserved {
        /// The name.
        name: ComputerName,
        /// The channel that it follows.
        channel: ChannelName,
        /// The serial number whose seat it is.
        serial: SerialNumber,
    },
    /// A setup file was issued. Earlier codes of the name are void.
    SetupIssued {
        /// The name.
        name: ComputerName,
        /// The enrollment code is derived from it under a secret of the server, so that the log holds no code.
        setup: SetupId,
        /// After it the code is accepted no more.
        expires_at: Timestamp,
    },
    /// A computer bound its key to its reservation.
    ClientEnrolled {
        /// The client.
        client_id: ClientId,
        /// Its name.
        name: ComputerName,
        /// Its key.
        client_key: PublicKey,
        /// The key to which the server seals what it sends by file.
        sealing_key: SealingPublicKey,
        /// What it can run.
        platform: Platform,
        /// The agent's version.
        agent_version: String,
        /// The setup whose code it proved.
        setup: SetupId,
        /// The client that held the name before, if it enrolled again.
        replaces: Option<ClientId>,
    },
    /// A computer unknown here asked to be enrolled; it takes no seat and waits in a bounded list.
    UnknownComputerSeen {
        /// The name that it gave.
        name: ComputerName,
        /// The IP address that it came from.
        source: String,
        /// The name that left the full list for it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        drops: Option<ComputerName>,
    },
    /// A lease was issued.
    LeaseIssued {
        /// The client that it is for.
        client_id: ClientId,
        /// Its place among the client's leases.
        order: Order,
        /// The seats that it names, each with its grant and end.
        entitlements: Vec<Entitlement>,
    },
    /// A client's assignment changed.
    AssignmentChanged {
        /// The client that it is for.
        client_id: ClientId,
        /// Its place among the client's assignments.
        order: Order,
        /// Its end.
        expires_at: Timestamp,
        /// As of when the vendor's metadata is to be judged.
        metadata_as_of: Timestamp,
        /// What it should run from now on.
        packages: Vec<PackageAssignment>,
    },
    /// A client reported a step of an install.
    StepReported {
        /// The client.
        client_id: ClientId,
        /// The report as it was sent.
        report: Report,
        /// What it does to the state of its package on the computer.
        effect: ReportEffect,
    },
    /// Two computers use one identity; an admin decides.
    ForkDetected {
        /// The client.
        client_id: ClientId,
    },
    /// A client holds two heads of this log of which the later one does not extend the earlier one.
    LogForkReported {
        /// The client.
        client_id: ClientId,
        /// The head that it witnessed.
        held: LogHead,
        /// The head that was not shown to extend it.
        seen: LogHead,
    },
    /// The ledger found, or was told, that it is older than what it answered: it issues no new license until the vendor
    /// confirms with a raised epoch.
    LedgerRestored {
        /// The time from here on.
        era: EraId,
        /// What showed it.
        cause: RestoreCause,
        /// The epoch that the vendor has to raise.
        epoch: Epoch,
        /// After it no client is resumed.
        resumes_until: Timestamp,
        /// The era that the cause speaks of, if this ledger never had it. Its loss is known from now on, so that the next
        /// client that comes from it shows nothing new.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        lost_era: Option<EraId>,
    },
    /// A client showed what this server signed for it, and goes on from there.
    ClientResumed {
        /// The client.
        client_id: ClientId,
        /// Its name.
        name: ComputerName,
        /// The time in which it was resumed.
        era: EraId,
        /// How far it had come: contacts that this server answered before. Whoever shows the highest wins.
        contacts: u64,
        /// The highest order of each document type that it showed; everything new starts above.
        shown: HighestOrders,
        /// What digests its machine and boot, for people.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        instance: Option<Sha256Digest>,
        /// Until when it is served, should the vendor not confirm.
        provisional_until: Timestamp,
        /// What is made again because the ledger lost it; absent when nothing was lost.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        recreated: Option<Recreated>,
        /// The resumption of the same client that it takes the place of.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        displaces: Option<DisplacedComputer>,
    },
    /// The vendor reset the release counter of a package.
    CounterReset {
        /// The package.
        package: PackageName,
        /// The highest counter that counts.
        counter: ReleaseCounter,
        /// The number of the reset.
        number: u64,
        /// Manifests of the releases above it, which count no more.
        voided: Vec<Sha256Digest>,
    },
    /// A pull brought new metadata.
    MetadataPulled {
        /// Version of the timestamp role.
        timestamp_version: u64,
        /// Version of the snapshot role.
        snapshot_version: u64,
        /// Version of the root role.
        root_version: u64,
    },
    /// A pull failed. Written when the reason changes, not at every try.
    PullFailed {
        /// The reason that was given.
        reason: String,
    },
    /// A release was fetched, verified and stored, with its deltas.
    ReleaseStaged {
        /// Package, version and platform.
        release: ReleaseId,
        /// Its manifest's digest.
        manifest: Sha256Digest,
        /// Program or signatures.
        kind: PackageKind,
        /// Its counter.
        counter: ReleaseCounter,
        /// How urgent the vendor holds it.
        severity: Severity,
        /// The channels that point to it.
        channels: Vec<ChannelName>,
        /// The minisign key that signed the manifest.
        signer: PublicKey,
        /// Bytes of the payload as downloaded.
        payload_bytes: u64,
    },
    /// A release was refused at staging, with every problem found.
    ReleaseRefused {
        /// Package, version and platform.
        release: ReleaseId,
        /// The manifest's digest.
        manifest: Sha256Digest,
        /// Every problem.
        problems: Vec<String>,
    },
    /// The channels of a staged release changed.
    ReleaseChannelsChanged {
        /// Its manifest's digest.
        manifest: Sha256Digest,
        /// The channels that point to it now, together with those that it was approved for.
        channels: Vec<ChannelName>,
        /// What it does to other approved releases, and to itself.
        #[serde(flatten)]
        supersession: Supersession,
    },
    /// A delta between two releases was made.
    DeltaMade {
        /// The manifest of the base release.
        base: Sha256Digest,
        /// The manifest of the target release.
        target: Sha256Digest,
        /// Its bytes.
        bytes: u64,
    },
    /// A person approved the manifest that was shown to them.
    ReleaseApproved {
        /// Package, version and platform.
        release: ReleaseId,
        /// The digest that was reviewed.
        manifest: Sha256Digest,
        /// For whom, by whom, and why.
        approval: Approval,
        /// The rollout that begins.
        rollout: u64,
        /// What it does to other approved releases.
        #[serde(flatten)]
        supersession: Supersession,
    },
    /// A person rejected a release.
    ReleaseRejected {
        /// Package, version and platform.
        release: ReleaseId,
        /// Its manifest's digest.
        manifest: Sha256Digest,
        /// The reason that was given.
        reason: String,
    },
    /// The vendor withdrew a release.
    ReleaseWithdrawn {
        /// Package, version and platform.
        release: ReleaseId,
        /// Its manifest's digest.
        manifest: Sha256Digest,
        /// The vendor's reason.
        reason: String,
        /// What it does to other approved releases.
        #[serde(flatten)]
        supersession: Supersession,
    },
    /// Requests were refused; counted per (code, source, minute).
    Refused {
        /// The stable code.
        code: ProblemCode,
        /// IP address, computer name or client id.
        source: String,
        /// The minute, as a timestamp.
        minute: Timestamp,
        /// How many requests.
        count: u64,
        /// The computer that they were about, where the requests proved or said it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        computer: Option<ComputerName>,
    },
    /// The ways to this server changed: its computers learn them with their next contacts.
    ServerListChanged {
        /// Rises with each list.
        sequence: u64,
        /// In order of preference.
        ways: Vec<ServerEntry>,
    },
    /// A person stopped a release: it goes to nobody from now on.
    ReleaseHalted {
        /// Package, version and platform.
        release: ReleaseId,
        /// Its manifest's digest.
        manifest: Sha256Digest,
        /// The reason that was given.
        reason: String,
        /// Whether computers that run it are told to go back to what they ran before.
        #[serde(default, skip_serializing_if = "is_false")]
        rollback: bool,
        /// The vendor withdrew it before, and it stays withdrawn.
        #[serde(default, skip_serializing_if = "is_false")]
        withdrawn: bool,
        /// What it does to other approved releases.
        #[serde(flatten)]
        supersession: Supersession,
    },
    /// A person took back a rejection or a halt: the release waits for a decision again.
    ReleaseReconsidered {
        /// Package, version and platform.
        release: ReleaseId,
        /// Its manifest's digest.
        manifest: Sha256Digest,
        /// The attempt of computers that are told it from now on.
        attempt: u32,
    },
    /// A person has seen that the ledger was restored, cut or rewritten, and said what came of it. It confirms nothing.
    RestoreAcknowledged {
        /// The time that began with the restore.
        era: EraId,
        /// What was found.
        comment: String,
    },
    /// A person lets computers try a release again that they refused or went back from.
    ReleaseRetried {
        /// Package, version and platform.
        release: ReleaseId,
        /// Its manifest's digest.
        manifest: Sha256Digest,
        /// Which computers, each with its next attempt.
        computers: Vec<NextAttempt>,
    },
    /// A person moved a computer to another channel.
    ChannelChanged {
        /// The name.
        name: ComputerName,
        /// The channel that it follows from now on.
        channel: ChannelName,
    },
    /// A computer says that installed packages are not as they were signed, or are so again.
    DriftReported {
        /// The client.
        client_id: ClientId,
        /// All that differs now, one entry for each package; empty when all are as they were signed.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        drift: Vec<Drift>,
    },
    /// A token for admins who come over the network was made, or found in the file and taken over. Written before the token
    /// is stored, so that no token works without it.
    AdminTokenMade {
        /// Which token.
        token: TokenId,
        /// By what it is recognized.
        digest: TokenDigest,
        /// Its name.
        name: String,
        /// Its end; absent for one that is good until it is revoked.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ends_at: Option<Timestamp>,
        /// It was made by a program that wrote no entries about tokens.
        #[serde(default, skip_serializing_if = "is_false")]
        found: bool,
    },
    /// A token was used for the first time.
    AdminTokenUsed {
        /// Which token.
        token: TokenId,
        /// Its name.
        name: String,
        /// The IP address that it came from.
        source: String,
    },
    /// A token was revoked: it is refused from now on.
    AdminTokenRevoked {
        /// Which token.
        token: TokenId,
        /// Its name.
        name: String,
    },
    /// An admin did something at the server that changes no table and no release: see [`ServerOperation`]. Written before
    /// it is done.
    ServerOperated {
        /// What.
        operation: ServerOperation,
    },
}

/// Something that an admin does at a server, and that is no other change. An open set: what a newer program wrote is kept
/// as its word.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum ServerOperation {
    /// The certificate was to be renewed, or a new CA to be announced.
    RenewCertificate,
    /// The certificate that waited was to be presented.
    SwitchCertificate,
    /// The ways of before were to be served no more.
    FinishAddresses,
    /// What nothing needs was to be removed.
    CleanStorage,
    /// A backup, which holds the server's keys, was to be made.
    MakeBackup,
    /// A newer program's word.
    Other(String),
}

impl ServerOperation {
    /// The word in an entry.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::RenewCertificate => "renew_certificate",
            Self::SwitchCertificate => "switch_certificate",
            Self::FinishAddresses => "finish_addresses",
            Self::CleanStorage => "clean_storage",
            Self::MakeBackup => "make_backup",
            Self::Other(word) => word,
        }
    }
}

impl From<String> for ServerOperation {
    fn from(word: String) -> Self {
        let known = [
            Self::RenewCertificate,
            Self::SwitchCertificate,
            Self::FinishAddresses,
            Self::CleanStorage,
            Self::MakeBackup,
        ];
        known.into_iter().find(|known| known.as_str() == word).unwrap_or(Self::Other(word))
    }
}

impl From<ServerOperation> for String {
    fn from(operation: ServerOperation) -> Self {
        operation.as_str().to_owned()
    }
}

/// A computer that is to try a release again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NextAttempt {
    /// The client.
    pub client_id: ClientId,
    /// Its name.
    pub name: ComputerName,
    /// Above every attempt before.
    pub attempt: u32,
}

/// A decision of people for a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// The channels that it was approved for.
    pub channels: Vec<ChannelName>,
    /// Who approved, in this order.
    pub approvals: Vec<Account>,
    /// Why, for whoever reads the log later.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub comment: String,
}

/// What a resumed client's lease makes again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recreated {
    /// Its key.
    pub client_key: PublicKey,
    /// What it can run.
    pub platform: Platform,
    /// The agent's version.
    pub agent_version: String,
    /// The channel that it follows.
    pub channel: ChannelName,
    /// Serial numbers whose seats the name holds by its lease and not by the ledger.
    pub serials: Vec<SerialNumber>,
    /// The size of the log's head in its lease: of two lost clients of one name, the one with the larger is the later.
    pub head: u64,
    /// The client that held the name in this ledger, if another did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<ClientId>,
}

/// An earlier resumption of the same client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DisplacedComputer {
    /// How far that computer had come.
    pub contacts: u64,
    /// Its machine and boot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<Sha256Digest>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
const fn is_false(flag: &bool) -> bool {
    !*flag
}

/// One entry of the activity log, as it is hashed and stored: a leaf of the log's Merkle tree.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ActivityEntry {
    /// [`ENTRY_VERSION`] of the program that wrote it.
    pub version: u32,
    /// From 1, without gaps.
    pub sequence: u64,
    /// License time of the change.
    pub at: Timestamp,
    /// Who did it.
    pub actor: Actor,
    /// The change itself.
    pub change: Change,
}
