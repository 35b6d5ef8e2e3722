//! A vendor, a server and computers, as values; and the commands that they cause.
//!
//! Invariant: times and nonces are the test's, so that a run can be repeated; keys and client ids are random. Nothing
//! here talks to a ledger: a test carries out the commands itself, and tells a [`Computer`] what it was answered.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use sealpost_keys::{PublicKey, SigningKey};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::document::SignedDocument;
use sealpost_manifests::grant::Grant;
use sealpost_manifests::ids::{
    ChannelName, ClientId, ComputerName, EnrollmentCode, Nonce, PackageName, Platform, SerialNumber, ServerId,
};
use sealpost_manifests::release::{PackageKind, ReleaseId, Severity};
use sealpost_manifests::trust::{KeyStatus, TrustDocument, TrustedKey};
use sealpost_manifests::version::{ReleaseCounter, Version};
use sealpost_manifests::wire::contact::{Contact, InstalledPackage};
use sealpost_manifests::wire::enroll::Enrollment;
use sealpost_manifests::wire::report::{InstallStep, Outcome, ReasonCode, Report};
use sealpost_site::changes::Actor;
use sealpost_site::commands::clients::{Enroll, EnrollOutcome, IssueSetup, Reserve};
use sealpost_site::commands::contact::{AnswerContact, ContactOutcome};
use sealpost_site::commands::licenses::AcceptGrant;
use sealpost_site::commands::pulls::{PullSucceeded, PulledVersions};
use sealpost_site::commands::releases::{ApproveRelease, RejectRelease, StageRelease, WithdrawRelease};
use sealpost_site::rows::ReleaseRow;

use crate::license::{registration, terms};

/// A day in seconds.
pub const DAY: i64 = 24 * 3600;
/// Packages whose releases the vendor's key signs.
pub const PACKAGES: [&str; 3] = ["acme-av", "acme-cad", "acme-sigs"];

/// The keys and the beginning of time of one test.
#[derive(Debug)]
pub struct World {
    /// The id in grants, enrollments and contacts that are meant for this server.
    pub server_id: ServerId,
    /// The key with which the server signs.
    pub site: SigningKey,
    /// The key with which the vendor signs grants and releases.
    pub vendor: SigningKey,
    /// When the test begins.
    pub start: Timestamp,
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}

impl World {
    /// A new vendor and a new server.
    #[must_use]
    pub fn new() -> Self {
        Self {
            server_id: ServerId::from_random([7; 16]),
            site: SigningKey::generate().unwrap(),
            vendor: SigningKey::generate().unwrap(),
            start: Timestamp::from_second(1_800_000_000).unwrap(),
        }
    }

    /// So many seconds after the beginning.
    #[must_use]
    pub fn at(&self, seconds: i64) -> Timestamp {
        self.start.checked_add(SignedDuration::from_secs(seconds)).unwrap()
    }

    // ── licenses ──

    /// A grant for this server, good for 366 days from the beginning.
    #[must_use]
    pub fn grant(&self, generation: u64, seats: u32) -> Grant {
        let registration = registration(&serial(1), &self.server_id, &self.site);
        Grant { generation, ..terms(&registration, seats, self.start) }
    }

    /// The vendor signs a grant, and an admin brings it.
    #[must_use]
    pub fn accept_grant(&self, grant: Grant) -> AcceptGrant {
        let document = SignedDocument::sign(&grant, &self.vendor).unwrap();
        AcceptGrant { actor: admin(), grant, document, asked_for: None }
    }

    // ── computers ──

    /// A computer with a key and a setup file.
    #[must_use]
    pub fn computer(&self, name: &str) -> Computer {
        let seed = Sha256Digest::of(name.as_bytes());
        let mut code = [0; 24];
        code.copy_from_slice(&seed.as_bytes()[..24]);
        Computer {
            name: computer_name(name),
            key: SigningKey::generate().unwrap().public(),
            code: EnrollmentCode::from_random(code),
            client_id: None,
            nonce: None,
            contacts: 0,
            lease: None,
            assignment: None,
            grant: None,
            packages: Vec::new(),
            reports: Vec::new(),
        }
    }

    /// Its enrollment, as it is inside the signature.
    #[must_use]
    pub fn enrollment(&self, computer: &Computer) -> Enrollment {
        Enrollment {
            computer_name: computer.name.clone(),
            enrollment_code: computer.code.clone(),
            client_key: computer.key.clone(),
            server_id: self.server_id.clone(),
            platform: platform(),
            agent_version: "0.1.0".into(),
        }
    }

    /// It enrolls; each time the server offers another client id.
    #[must_use]
    pub fn enroll(&self, computer: &Computer) -> Enroll {
        let new_id = ClientId::from_random(sealpost_keys::token::random_bytes().unwrap());
        Enroll { source: "192.0.2.7".into(), enrollment: self.enrollment(computer), new_id }
    }

    /// Its next contact, as it is inside the signature.
    #[must_use]
    pub fn contact(&self, computer: &Computer) -> Contact {
        let next = computer.contacts + 1;
        Contact {
            client_id: computer.client_id.clone().unwrap(),
            server_id: self.server_id.clone(),
            previous: computer.nonce.clone(),
            next: Nonce::from_random([next; 16]),
            sent_at: self.start,
            agent_version: "0.1.1".into(),
            platform: platform(),
            lease: computer.lease,
            assignment: computer.assignment,
            grant: computer.grant,
            packages: computer.packages.clone(),
            reports: computer.reports.clone(),
        }
    }

    /// It contacts the server.
    #[must_use]
    pub fn answer(&self, computer: &Computer) -> AnswerContact {
        AnswerContact { contact: self.contact(computer) }
    }

    // ── releases ──

    /// A pull finds the vendor's metadata fresh, in this version.
    #[must_use]
    pub const fn pulled(&self, version: u64) -> PullSucceeded {
        PullSucceeded { versions: PulledVersions { root: 1, timestamp: version, snapshot: version } }
    }

    /// A release comes out of staging: version `{counter}.0`, signed by the vendor.
    #[must_use]
    pub fn staged(&self, package: &str, counter: u64, channels: &[&str]) -> StageRelease {
        let release = ReleaseId {
            package: PackageName::new(package).unwrap(),
            version: Version::new(format!("{counter}.0")).unwrap(),
            platform: platform(),
        };
        StageRelease {
            manifest: Sha256Digest::of(release.to_string().as_bytes()),
            release,
            kind: PackageKind::Program,
            counter: ReleaseCounter(counter),
            severity: Severity::High,
            channels: channels.iter().map(|name| channel(name)).collect(),
            signer: self.vendor.public(),
            payload_bytes: 1_000,
        }
    }

    /// The vendor's trust document: its key signs the releases of [`PACKAGES`].
    #[must_use]
    pub fn trust(&self) -> TrustDocument {
        let key = TrustedKey { key: self.vendor.public(), status: KeyStatus::Active };
        let release_keys: BTreeMap<_, _> =
            PACKAGES.iter().map(|name| (PackageName::new(name).unwrap(), vec![key.clone()])).collect();
        TrustDocument { vendor: "Acme".into(), release_keys, license_keys: vec![key] }
    }

    /// An admin approves a manifest.
    #[must_use]
    pub fn approve(&self, manifest: Sha256Digest) -> ApproveRelease {
        ApproveRelease { actor: admin(), manifest, trust: Some(Arc::new(self.trust())) }
    }
}

/// A computer, as its agent knows itself.
#[derive(Debug, Clone)]
pub struct Computer {
    /// The name that its setup file is for.
    pub name: ComputerName,
    /// The public half of its key: the tests sign nothing as a computer.
    pub key: PublicKey,
    /// The code of its setup file.
    pub code: EnrollmentCode,
    /// Its id, once enrolled.
    pub client_id: Option<ClientId>,
    /// The last nonce that was answered.
    pub nonce: Option<Nonce>,
    /// How many contacts were answered.
    pub contacts: u8,
    /// (epoch, sequence) of its lease.
    pub lease: Option<(u64, u64)>,
    /// (epoch, sequence) of its assignment.
    pub assignment: Option<(u64, u64)>,
    /// Digest of its grant.
    pub grant: Option<Sha256Digest>,
    /// What it says at its next contact that it runs.
    pub packages: Vec<InstalledPackage>,
    /// What it reports at its next contact.
    pub reports: Vec<Report>,
}

impl Computer {
    /// An admin issues its setup file.
    #[must_use]
    pub fn issue_setup(&self) -> IssueSetup {
        let code_sha256 = code_digest(&self.code);
        IssueSetup { actor: admin(), name: self.name.clone(), code_sha256 }
    }

    /// Its enrollment was answered.
    pub fn enrolled(&mut self, outcome: &EnrollOutcome) {
        self.client_id = Some(outcome.enrolled.client_id.clone());
        self.grant = Some(outcome.grant.digest());
    }

    /// Its contact with the nonce `next` was answered.
    pub fn answered(&mut self, next: Nonce, outcome: &ContactOutcome) {
        self.nonce = Some(next);
        self.contacts += 1;
        if let Some(lease) = &outcome.lease {
            self.lease = Some((lease.epoch, lease.sequence));
        }
        if let Some(assignment) = &outcome.assignment {
            self.assignment = Some((assignment.epoch, assignment.sequence));
        }
        if let Some(grant) = &outcome.grant {
            self.grant = Some(grant.digest());
        }
    }
}

/// The admin of the tests.
#[must_use]
pub fn admin() -> Actor {
    Actor::socket("alice")
}

/// The admin takes a seat for a name on channel `stable`.
#[must_use]
pub fn reserve(name: &str) -> Reserve {
    reserve_for(name, "stable")
}

/// The admin takes a seat for a name on a channel.
#[must_use]
pub fn reserve_for(name: &str, channel_name: &str) -> Reserve {
    Reserve { actor: admin(), name: computer_name(name), channel: channel(channel_name) }
}

/// The admin rejects a manifest.
#[must_use]
pub fn reject(manifest: Sha256Digest, reason: &str) -> RejectRelease {
    RejectRelease { actor: admin(), manifest, reason: reason.to_owned() }
}

/// The vendor withdraws a manifest.
#[must_use]
pub fn withdraw(manifest: Sha256Digest, reason: &str) -> WithdrawRelease {
    WithdrawRelease { manifest, reason: reason.to_owned() }
}

/// One of the vendor's serial numbers.
#[must_use]
pub fn serial(id: u8) -> SerialNumber {
    SerialNumber::from_random([id; 19])
}

/// A channel by its name.
#[must_use]
pub fn channel(name: &str) -> ChannelName {
    ChannelName::new(name).unwrap()
}

/// A computer's name, spelled in any way.
#[must_use]
pub fn computer_name(name: &str) -> ComputerName {
    ComputerName::new(name).unwrap()
}

/// The platform of every computer and release here.
#[must_use]
pub fn platform() -> Platform {
    Platform::new("linux-x86_64").unwrap()
}

/// The digest by which a server knows an enrollment code.
#[must_use]
pub fn code_digest(code: &EnrollmentCode) -> Sha256Digest {
    Sha256Digest::of(code.as_str().as_bytes())
}

/// A report about a step of installing a release.
#[must_use]
pub fn report(id: u64, row: &ReleaseRow, step: InstallStep, outcome: Outcome) -> Report {
    Report {
        id,
        at: Timestamp::from_second(1_800_000_100).unwrap(),
        release: row.release.clone(),
        manifest: row.manifest,
        rollout: row.rollout.unwrap_or(0),
        attempt: 1,
        step,
        outcome,
        reason: ReasonCode::Done,
        detail: String::new(),
    }
}

/// A release as the computer that runs it names it.
#[must_use]
pub fn installed(row: &ReleaseRow) -> InstalledPackage {
    InstalledPackage {
        release: row.release.clone(),
        kind: row.kind,
        counter: row.counter,
        manifest: row.manifest,
    }
}
