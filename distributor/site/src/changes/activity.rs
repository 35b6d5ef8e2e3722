//! What happened: every change of state as a typed, serializable [`Change`], and the [`ActivityEntry`] that chains it.
//!
//! Invariant: the ledger's tables are projections of the changes, in order. Whoever replays the changes gets the
//! tables. Names are in the past tense, because an entry is only written together with its effect.
//! A change carries its consequences (which releases are superseded, which name leaves a list), so that a projection
//! calls no rule.
//! Left out on purpose: ordinary contacts (they are notes, see [`note`](super::note)).

use jiff::Timestamp;
use sealpost_keys::PublicKey;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::document::SignedDocument;
use sealpost_manifests::grant::LicenseModel;
use sealpost_manifests::ids::{ChannelName, ClientId, ComputerName, Platform, SerialNumber, ServerId};
use sealpost_manifests::release::{PackageKind, ReleaseId, Severity};
use sealpost_manifests::version::ReleaseCounter;
use sealpost_manifests::wire::problem::ProblemCode;
use sealpost_manifests::wire::report::Report;
use serde::{Deserialize, Serialize};

use crate::rules::account::Actor;
use crate::rules::assignment::AssignedRelease;
use crate::rules::release::Supersession;
use crate::rules::reports::ReportEffect;

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
    /// A registration code was made for a serial number.
    SerialRegistered {
        /// The serial number.
        serial: SerialNumber,
    },
    /// A grant was accepted: seats are unlocked.
    GrantAccepted {
        /// The serial number.
        serial: SerialNumber,
        /// Its generation.
        generation: u64,
        /// How many seats.
        seats: u32,
        /// How they are counted.
        model: LicenseModel,
        /// Until when new licenses can be given.
        valid_until: Timestamp,
        /// The grant itself.
        grant: SignedDocument,
    },
    /// A computer name took a seat, for good.
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
        /// SHA-256 of the enrollment code's canonical text.
        code_sha256: Sha256Digest,
    },
    /// A computer bound its key to its reservation.
    ClientEnrolled {
        /// The client.
        client_id: ClientId,
        /// Its name.
        name: ComputerName,
        /// Its key.
        client_key: PublicKey,
        /// What it can run.
        platform: Platform,
        /// The agent's version.
        agent_version: String,
        /// The code that it used.
        code_sha256: Sha256Digest,
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
        /// Its sequence.
        sequence: u64,
        /// The end of the lease.
        not_after: Timestamp,
    },
    /// A client's assignment changed.
    AssignmentChanged {
        /// The client that it is for.
        client_id: ClientId,
        /// Its sequence.
        sequence: u64,
        /// What it should run from now on.
        releases: Vec<AssignedRelease>,
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
    },
}

/// One entry of the activity log, as it is hashed and stored.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ActivityEntry {
    /// From 1, without gaps.
    pub sequence: u64,
    /// License time of the change.
    pub at: Timestamp,
    /// Who did it.
    pub actor: Actor,
    /// The change itself.
    pub change: Change,
    /// SHA-256 of the entry before; of nothing for the first.
    pub previous: Sha256Digest,
}
