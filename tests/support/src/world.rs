//! A vendor, a server and computers, as values; and the commands that they cause.
//!
//! Invariant: times and nonces are the test's, so that a run can be repeated; keys and client ids are random. Nothing
//! here talks to a ledger: a test carries out the commands itself, and tells a [`Computer`] what it was answered.

mod computer;
pub mod people;
mod values;

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use sealpost_keys::SigningKey;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::document::SignedDocument;
use sealpost_manifests::grant::{Grant, RegistrationReason};
use sealpost_manifests::ids::{ClientId, Nonce, PackageName, RequestId, ServerId};
use sealpost_manifests::license_time::VendorStatement;
use sealpost_manifests::order::Epoch;
use sealpost_manifests::release::{PackageKind, ReleaseId, Severity};
use sealpost_manifests::setup::{ServerEntry, ServerRole};
use sealpost_manifests::trust::{KeyStatus, KeyUse, TrustDocument, TrustedKey};
use sealpost_manifests::version::{ReleaseCounter, Version};
use sealpost_manifests::wire::contact::Contact;
use sealpost_manifests::wire::enroll::Enrollment;
use sealpost_site::commands::clients::Enroll;
use sealpost_site::commands::contact::AnswerContact;
use sealpost_site::commands::licenses::{AcceptGrant, RegisterSerial};
use sealpost_site::commands::pulls::{PullSucceeded, PulledVersions};
use sealpost_site::commands::releases::{ApproveRelease, StageRelease};
use sealpost_site::rules::enrollment::Proof;
use sealpost_site::rules::restore::NamedHead;
use sealpost_site::rules::rollouts::strategy::everyone_now;
use sealpost_site::rules::test_load::Wanted;

pub use self::computer::{Computer, SETUP_DAYS};
pub use self::values::{
    DAY, admin, channel, computer_name, era, installed, platform, reconsider, reject, report, reserve,
    reserve_for, reserve_of, serial, setup_id, token_commands, withdraw,
};
use crate::license::{registration, terms};

/// Packages whose releases the vendor's key signs.
pub const PACKAGES: [&str; 3] = ["acme-av", "acme-cad", "acme-sigs"];
/// The settings of the program that loads releases on the server, where a test has one.
pub const TEST_PROGRAM: &str = "scan";

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
        let site = SigningKey::generate().unwrap();
        Self {
            server_id: ServerId::of_site_key(&site.public()),
            site,
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

    /// A grant of serial number 1 for this server in the vendor's first epoch, good for 366 days from the beginning.
    #[must_use]
    pub fn grant(&self, generation: u64, seats: u32) -> Grant {
        self.grant_of(1, generation, seats)
    }

    /// A grant of one of the serial numbers.
    #[must_use]
    pub fn grant_of(&self, id: u8, generation: u64, seats: u32) -> Grant {
        let registration = registration(&serial(id), &self.server_id, &self.site);
        Grant { generation, ..terms(&registration, seats, self.start) }
    }

    /// A grant with which the vendor confirms a restored ledger, in this epoch; it answers [`World::asks_to_confirm`].
    #[must_use]
    pub fn confirming(&self, epoch: u32, generation: u64, seats: u32) -> Grant {
        let request_id = Some(confirming_request(epoch));
        Grant { epoch: Epoch::of(epoch, 0), request_id, ..self.grant(generation, seats) }
    }

    /// The registration that tells the vendor of a restore, which it answers with this epoch.
    #[must_use]
    pub fn asks_to_confirm(&self, epoch: u32) -> RegisterSerial {
        RegisterSerial {
            actor: admin(),
            serial: serial(1),
            reason: RegistrationReason::Restored,
            request_id: confirming_request(epoch),
        }
    }

    /// The vendor signs a grant, and an admin brings it.
    #[must_use]
    pub fn accept_grant(&self, grant: Grant) -> AcceptGrant {
        let document = SignedDocument::sign(&grant, &self.vendor).unwrap();
        AcceptGrant { actor: admin(), grant, document, asked_for: None }
    }

    /// A way to its server.
    #[must_use]
    pub fn way(&self, address: &str, port: u16) -> ServerEntry {
        ServerEntry {
            role: ServerRole::Primary,
            addresses: vec![address.to_owned()],
            port,
            server_id: self.server_id.clone(),
            site_key: self.site.public(),
            ca_spki_sha256: vec![Sha256Digest::of(b"the site's CA")],
        }
    }

    // ── computers ──

    /// A computer with keys and the first setup file of its name.
    #[must_use]
    pub fn computer(&self, name: &str) -> Computer {
        Computer::new(name)
    }

    /// Its enrollment, as it is inside the signature.
    #[must_use]
    pub fn enrollment(&self, computer: &Computer) -> Enrollment {
        Enrollment {
            computer_name: computer.name.clone(),
            client_key: computer.key.clone(),
            sealing_key: computer.sealing_key,
            server_id: self.server_id.clone(),
            platform: platform(),
            agent_version: "0.1.0".into(),
        }
    }

    /// It enrolls, and proves the code of its setup file; each time the server offers another client id.
    #[must_use]
    pub fn enroll(&self, computer: &Computer) -> Enroll {
        let new_id = ClientId::from_random(sealpost_keys::token::random_bytes().unwrap());
        Enroll {
            source: "192.0.2.7".into(),
            enrollment: self.enrollment(computer),
            proof: Proof::Setup(computer.setup.clone()),
            copy: None,
            new_id,
        }
    }

    /// It asks to be enrolled, and has no code.
    #[must_use]
    pub fn knock(&self, computer: &Computer) -> Enroll {
        Enroll { proof: Proof::None, ..self.enroll(computer) }
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
            // What the receipt says goes with what is shown.
            receipt: None,
            sent_at: self.start,
            agent_version: "0.1.1".into(),
            platform: platform(),
            highest: computer.highest(),
            held_head: computer.held_head,
            forked_head: computer.forked_head,
            grants: computer.grants.iter().copied().collect(),
            instance: computer.instance,
            hostname: computer.hostname.clone(),
            packages: computer.packages.clone(),
            reports: computer.reports.clone(),
            drift: computer.drift.clone(),
            tags: computer.tags.clone(),
            postponed: computer.postponed.clone(),
            new_key: None,
        }
    }

    /// It contacts the server, and shows nothing.
    #[must_use]
    pub fn answer(&self, computer: &Computer) -> AnswerContact {
        AnswerContact {
            contact: self.contact(computer),
            shown: None,
            head: NamedHead::OfThisLog,
            came_by: None,
        }
    }

    /// It contacts the server, and shows what it holds: `new_era` begins if that shows a loss.
    #[must_use]
    pub fn answer_shown(&self, computer: &Computer, new_era: u8) -> AnswerContact {
        AnswerContact {
            contact: self.contact(computer),
            shown: computer.shown(new_era),
            head: NamedHead::OfThisLog,
            came_by: None,
        }
    }

    // ── releases ──

    /// A pull finds the vendor's metadata fresh, in this version, signed at the beginning and good for a year.
    #[must_use]
    pub fn pulled(&self, version: u64) -> PullSucceeded {
        PullSucceeded {
            versions: PulledVersions { root: 1, timestamp: version, snapshot: version },
            statement: VendorStatement::new(self.start, self.at(366 * DAY)),
            corrected_to: None,
        }
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
            mandatory: false,
        }
    }

    /// The vendor's trust document: its key signs the releases of [`PACKAGES`].
    #[must_use]
    pub fn trust(&self) -> TrustDocument {
        let listed = |key_use, package: Option<&str>| TrustedKey {
            key_use,
            package: package.map(|name| PackageName::new(name).unwrap()),
            key: self.vendor.public().to_base64(),
            status: KeyStatus::Active,
            digests: Default::default(),
        };
        let release_keys = PACKAGES.iter().map(|name| listed(KeyUse::Release, Some(*name)));
        TrustDocument {
            vendor: "Acme".into(),
            keys: release_keys.chain([listed(KeyUse::License, None)]).collect(),
            counter_resets: Vec::new(),
            licensing_contact: None,
            signed_at: self.start,
        }
    }

    /// An admin approves a manifest for every computer at once.
    #[must_use]
    pub fn approve(&self, manifest: Sha256Digest) -> ApproveRelease {
        ApproveRelease {
            actor: admin(),
            manifest,
            channels: None,
            trust: Some(Arc::new(self.trust())),
            comment: String::new(),
            strategy: Some(everyone_now()),
            emergency: false,
            test_load: Wanted::Nothing,
            despite_deferral: false,
            confirms: None,
        }
    }
}

fn confirming_request(epoch: u32) -> RequestId {
    RequestId::from_random([u8::try_from(epoch).unwrap(); 16])
}
