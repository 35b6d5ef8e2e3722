//! What happened: every change of state as a typed, serializable [`Change`].
//!
//! Invariant: the ledger's tables are projections of the changes, in order: a replay gives the tables. A change carries its
//! consequences (superseded releases, names that leave a list): a projection calls no rule. Entries last: from format version 2
//! on every program reads them for ever, fields are only added, and optional. Left out on purpose: ordinary contacts ([`note`](super::note)).

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
use sealpost_manifests::word::Word;
use serde::{Deserialize, Serialize};

use super::parts::{
    AccountChanged, Approval, DeliveryOf, DeliveryStep, DisplacedComputer, ProposalEnded, ProposalMade,
    Recreated, ReleaseDeferred, ReleaseRetry, ReleaseTest, ServerOperation, StagedRollout, TokenConfirmed,
    TokenOwner, TokenRevoked, TokenUsed, is_false,
};
pub use super::parts::{ENTRY_VERSION, NewerEntry};
use super::seats::{
    ComputerAdmitted, ComputerKnocked, CopyResolved, CopySeen, EnrolledBy, InstallTried, ScheduleChanged,
};
use crate::rules::account::TokenId;
use crate::rules::release::Supersession;
use crate::rules::reports::ReportEffect;
use crate::rules::restore::RestoreCause;
use crate::rules::rollouts::groups::GroupName;
use crate::rules::rollouts::progress::OpenReason;
use crate::rules::rollouts::settings::SettingChange;
use crate::rules::rollouts::share::Threshold;
use crate::rules::rollouts::strategy::Strategy;

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
        /// When that one made its last contact.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        last_contact: Option<Timestamp>,
        /// What it proved.
        #[serde(default, skip_serializing_if = "EnrolledBy::is_code")]
        by: EnrolledBy,
    },
    /// A computer unknown here asked to be enrolled; it takes no seat and waits in a bounded list. Written before keys were noted.
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
        /// What it does to the rollouts that the computer has to do with.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        deliveries: Vec<DeliveryStep>,
    },
    /// A client reported a step of an install.
    StepReported {
        /// The client.
        client_id: ClientId,
        /// The report as it was sent.
        report: Report,
        /// What it does to the state of its package on the computer.
        effect: ReportEffect,
        /// What it does to the rollout that it belongs to.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        delivery: Option<DeliveryStep>,
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
    /// The ledger found, or was told, that it is behind what it answered: no new license until the vendor confirms.
    LedgerRestored {
        /// The time from here on.
        era: EraId,
        /// What showed it.
        cause: RestoreCause,
        /// The epoch that the vendor has to raise.
        epoch: Epoch,
        /// After it no client is resumed.
        resumes_until: Timestamp,
        /// The era that the cause speaks of, if this ledger never had it: its loss is known from now on.
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
        /// Whether computers pass through it on their way to newer ones.
        #[serde(default, skip_serializing_if = "is_false")]
        mandatory: bool,
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
        /// How it goes out ring by ring; absent: to every computer at once.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        staged: Option<StagedRollout>,
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
        /// Its rollout cannot be resumed.
        #[serde(default, skip_serializing_if = "is_false")]
        aborted: bool,
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
        /// Why, for whoever reads the log later; empty in entries of before it was asked for.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        comment: String,
    },
    /// A person has seen that the ledger was restored, cut or rewritten, and said what came of it. It confirms nothing.
    RestoreAcknowledged {
        /// The time that began with the restore.
        era: EraId,
        /// What was found.
        comment: String,
    },
    /// A person lets computers try a release again that they refused or went back from.
    ReleaseRetried(ReleaseRetry),
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
    /// A token for admins was made, or found in the file and taken over. Written before the token is stored.
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
        /// Whose it is, if it is one of an account.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        owner: Option<TokenOwner>,
    },
    /// A token was used for the first time.
    AdminTokenUsed(TokenUsed),
    /// A token was revoked: it is refused from now on.
    AdminTokenRevoked(TokenRevoked),
    /// An admin is about to do something at the server that changes no table: see [`ServerOperation`].
    ServerOperated {
        /// What.
        operation: ServerOperation,
    },
    /// A server listens again after a time in which none ran over this ledger, as far as that knows.
    ServerStarted {
        /// The last sign of life of the server before.
        last_sign: Timestamp,
    },
    /// The vendor made a release one through which computers pass on their way, or made it an ordinary one again.
    ReleaseMandatoryChanged {
        /// Package, version and platform.
        release: ReleaseId,
        /// Its manifest's digest.
        manifest: Sha256Digest,
        /// Whether computers pass through it.
        mandatory: bool,
    },
    /// Settings of the site were changed.
    SettingsChanged {
        /// Each changed setting with its new value.
        changes: Vec<SettingChange>,
        /// Why, for whoever reads the log later.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        comment: String,
    },
    /// Computers were listed in a group by name, or taken from its list.
    GroupMembersChanged {
        /// The group.
        group: GroupName,
        /// Listed from now on.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        added: Vec<ComputerName>,
        /// Not listed any more.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        removed: Vec<ComputerName>,
        /// Why, for whoever reads the log later; may be empty.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        comment: String,
    },
    /// A ring of a rollout opened: its computers get the release from now on.
    RingOpened {
        /// The rollout.
        rollout: u64,
        /// What it rolls out.
        release: ReleaseId,
        /// Which ring, from 0.
        ring: u32,
        /// Its name.
        name: Word,
        /// Up to which place it takes computers, if it takes a number of them.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        below: Option<Threshold>,
        /// Why now.
        reason: OpenReason,
        /// Why, in the words of the person who opened it.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        comment: String,
    },
    /// A rollout is complete: its release replaces older ones.
    RolloutCompleted {
        /// Its number.
        rollout: u64,
        /// What it rolled out.
        release: ReleaseId,
        /// The manifest of that.
        manifest: Sha256Digest,
        /// What it does to other approved releases.
        #[serde(flatten)]
        supersession: Supersession,
    },
    /// A person stopped a rollout for a while.
    RolloutPaused {
        /// Its number.
        rollout: u64,
        /// What it rolls out.
        release: ReleaseId,
        /// Why, for whoever reads the log later.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        comment: String,
    },
    /// A person let a paused or halted rollout go on.
    RolloutResumed {
        /// Its number.
        rollout: u64,
        /// What it rolls out.
        release: ReleaseId,
        /// The manifest of that.
        manifest: Sha256Digest,
        /// Failures of each ring that halt it no more.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        forgiven: Vec<u64>,
        /// The attempt of computers that are told it from now on, if they were told to go back from it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        attempt: Option<u32>,
        /// Why, for whoever reads the log later.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        comment: String,
        /// What it does to other approved releases.
        #[serde(flatten)]
        supersession: Supersession,
    },
    /// A person changed how a running rollout goes on.
    RolloutEdited {
        /// Its number.
        rollout: u64,
        /// What it rolls out.
        release: ReleaseId,
        /// The name of the strategy that was chosen.
        strategy: Word,
        /// The strategy; its rings that are open are those of before.
        plan: Strategy,
        /// Computers wait for no window, no person and no product.
        #[serde(default, skip_serializing_if = "is_false")]
        emergency: bool,
        /// Why, for whoever reads the log later.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        comment: String,
    },
    /// A release was loaded on the server by the site's own program, or an admin let it through without that.
    ReleaseTestLoaded(ReleaseTest),
    /// What became of a rollout on computers that were silent for too long, or run it without having reported it.
    DeliveriesChanged {
        /// The rollout.
        rollout: u64,
        /// Which computers.
        computers: Vec<DeliveryOf>,
    },
    /// An account was added.
    AccountAdded(AccountChanged),
    /// An account was disabled: its tokens are refused from now on.
    AccountDisabled(AccountChanged),
    /// A disabled account was enabled again.
    AccountEnabled(AccountChanged),
    /// A token that was made at the server became one of its account.
    AdminTokenConfirmed(TokenConfirmed),
    /// Something needs two people, and one asked for it.
    ProposalMade(ProposalMade),
    /// What waited for a second person waits no more.
    ProposalEnded(ProposalEnded),
    /// A decision about a release was put off.
    ReleaseDeferred(ReleaseDeferred),
    /// A computer without a code asked to be enrolled, and waits.
    ComputerKnocked(ComputerKnocked),
    /// An admin admitted a computer by its key.
    ComputerAdmitted(ComputerAdmitted),
    /// One of the computers that use the identity of a client showed itself.
    CopySeen(CopySeen),
    /// An admin said which of them goes on.
    CopyResolved(CopyResolved),
    /// An install on a computer was planned, planned anew, or called off.
    ScheduleChanged(ScheduleChanged),
    /// An install over ssh began or ended.
    InstallTried(InstallTried),
}
