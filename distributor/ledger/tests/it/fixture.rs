//! A vendor, a server and computers to try a ledger with; times and nonces are the test's.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use sealpost_keys::{PublicKey, SigningKey};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::document::SignedDocument;
use sealpost_manifests::grant::{Grant, LicenseModel};
use sealpost_manifests::ids::{
    ChannelName, ClientId, ComputerName, EnrollmentCode, Nonce, PackageName, Platform, SerialNumber, ServerId,
};
use sealpost_manifests::release::{PackageKind, ReleaseId, Severity};
use sealpost_manifests::version::{ReleaseCounter, Version};
use sealpost_manifests::wire::contact::{Contact, InstalledPackage};
use sealpost_manifests::wire::enroll::Enrollment;
use sealpost_manifests::wire::problem::ProblemCode;
use sealpost_manifests::wire::report::{InstallStep, Outcome, ReasonCode, Report};

use crate::domain::activity::Actor;
use crate::ports::ledger::{
    ActivityFilter, ContactOutcome, EnrollOutcome, Ledger, LedgerError, LicenseRow, PulledVersions,
    ReleaseRow, StagedRelease,
};

pub(super) const DAY: i64 = 24 * 3600;

/// The keys and the beginning of time of one test.
pub(in crate::ledger) struct World {
    pub(in crate::ledger) server_id: ServerId,
    pub(in crate::ledger) site: SigningKey,
    pub(in crate::ledger) vendor: SigningKey,
    pub(in crate::ledger) start: Timestamp,
}

/// A computer, as its agent knows itself.
#[derive(Clone)]
pub(in crate::ledger) struct Computer {
    pub(super) name: ComputerName,
    pub(super) key: PublicKey,
    pub(super) code: EnrollmentCode,
    pub(super) client_id: Option<ClientId>,
    pub(super) nonce: Option<Nonce>,
    pub(super) contacts: u8,
    pub(super) lease: Option<(u64, u64)>,
    pub(super) assignment: Option<(u64, u64)>,
    pub(super) grant: Option<Sha256Digest>,
    pub(super) packages: Vec<InstalledPackage>,
    pub(super) reports: Vec<Report>,
}

impl World {
    pub(in crate::ledger) fn new() -> Self {
        Self {
            server_id: ServerId::from_random([7; 16]),
            site: SigningKey::generate().unwrap(),
            vendor: SigningKey::generate().unwrap(),
            start: Timestamp::from_second(1_800_000_000).unwrap(),
        }
    }

    /// So many seconds after the beginning.
    pub(in crate::ledger) fn at(&self, seconds: i64) -> Timestamp {
        self.start.checked_add(SignedDuration::from_secs(seconds)).unwrap()
    }

    pub(super) fn grant(&self, generation: u64, seats: u32) -> Grant {
        Grant {
            vendor: "Acme".into(),
            serial: serial(1),
            server_id: self.server_id.clone(),
            site_key: self.site.public(),
            key_epoch: 1,
            epoch: 1,
            packages: Vec::new(),
            model: LicenseModel::Named,
            seats,
            generation,
            valid_until: self.at(366 * DAY),
            vendor_time: self.start,
        }
    }

    pub(super) async fn accept(&self, ledger: &dyn Ledger, grant: Grant) -> Result<LicenseRow, LedgerError> {
        let document = SignedDocument::sign(&grant, &self.vendor).unwrap();
        ledger.accept_grant(admin(), self.at(1), grant, document).await
    }

    pub(in crate::ledger) async fn unlock(&self, ledger: &dyn Ledger, seats: u32) {
        self.accept(ledger, self.grant(1, seats)).await.unwrap();
    }

    pub(in crate::ledger) fn computer(&self, name: &str) -> Computer {
        let seed = Sha256Digest::of(name.as_bytes());
        let mut code = [0; 24];
        code.copy_from_slice(&seed.as_bytes()[..24]);
        Computer {
            name: ComputerName::new(name).unwrap(),
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

    /// A seat is reserved for it, and its setup file issued.
    pub(in crate::ledger) async fn reserved(&self, ledger: &dyn Ledger, name: &str) -> Computer {
        let computer = self.computer(name);
        ledger.reserve(admin(), self.at(2), computer.name.clone(), channel("stable")).await.unwrap();
        ledger
            .issue_setup(admin(), self.at(2), computer.name.clone(), code_digest(&computer.code))
            .await
            .unwrap();
        computer
    }

    /// It is enrolled.
    pub(in crate::ledger) async fn enrolled(&self, ledger: &dyn Ledger, name: &str) -> Computer {
        let mut computer = self.reserved(ledger, name).await;
        let outcome = self.enroll(ledger, &computer).await.unwrap();
        computer.client_id = Some(outcome.enrolled.client_id);
        computer.grant = Some(outcome.grant.digest());
        computer
    }

    pub(super) fn enrollment(&self, computer: &Computer) -> Enrollment {
        Enrollment {
            computer_name: computer.name.clone(),
            enrollment_code: computer.code.clone(),
            client_key: computer.key.clone(),
            server_id: self.server_id.clone(),
            platform: platform(),
            agent_version: "0.1.0".into(),
        }
    }

    pub(super) async fn enroll(
        &self,
        ledger: &dyn Ledger,
        computer: &Computer,
    ) -> Result<EnrollOutcome, LedgerError> {
        let candidate = ClientId::from_random(random_id());
        ledger.enroll("192.0.2.7".into(), self.at(3), self.enrollment(computer), candidate).await
    }

    /// The next contact of a computer, not sent.
    pub(super) fn contact(&self, computer: &Computer) -> Contact {
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

    /// Contacts, and remembers what the answer brought.
    pub(in crate::ledger) async fn contacts(
        &self,
        ledger: &dyn Ledger,
        computer: &mut Computer,
        seconds: i64,
    ) -> ContactOutcome {
        let contact = self.contact(computer);
        let outcome = ledger.contact(self.at(seconds), contact.clone()).await.unwrap();
        computer.nonce = Some(contact.next);
        computer.contacts += 1;
        if let Some(lease) = &outcome.lease {
            computer.lease = Some((lease.epoch, lease.sequence));
        }
        if let Some(assignment) = &outcome.assignment {
            computer.assignment = Some((assignment.epoch, assignment.sequence));
        }
        if let Some(grant) = &outcome.grant {
            computer.grant = Some(grant.digest());
        }
        outcome
    }

    pub(in crate::ledger) async fn pulled(&self, ledger: &dyn Ledger, seconds: i64) {
        ledger.pull_succeeded(self.at(seconds), versions(1)).await.unwrap();
    }

    pub(super) fn staged(&self, package: &str, counter: u64, channels: &[&str]) -> StagedRelease {
        let release = ReleaseId {
            package: PackageName::new(package).unwrap(),
            version: Version::new(format!("{counter}.0")).unwrap(),
            platform: platform(),
        };
        StagedRelease {
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

    /// Staged and approved.
    pub(in crate::ledger) async fn approved(
        &self,
        ledger: &dyn Ledger,
        package: &str,
        counter: u64,
        channels: &[&str],
    ) -> ReleaseRow {
        let staged = self.staged(package, counter, channels);
        ledger.stage(self.at(5), staged.clone()).await.unwrap();
        ledger.approve(admin(), self.at(6), staged.manifest).await.unwrap()
    }
}

pub(in crate::ledger) fn admin() -> Actor {
    Actor::Admin { name: "alice".into() }
}

pub(super) fn serial(id: u8) -> SerialNumber {
    SerialNumber::from_random([id; 19])
}

pub(in crate::ledger) fn channel(name: &str) -> ChannelName {
    ChannelName::new(name).unwrap()
}

pub(super) fn platform() -> Platform {
    Platform::new("linux-x86_64").unwrap()
}

pub(super) fn versions(version: u64) -> PulledVersions {
    PulledVersions { root: 1, timestamp: version, snapshot: version }
}

pub(super) fn code_digest(code: &EnrollmentCode) -> Sha256Digest {
    Sha256Digest::of(code.as_str().as_bytes())
}

pub(super) fn random_id() -> [u8; 16] {
    sealpost_keys::token::random_bytes().unwrap()
}

pub(super) fn report(id: u64, row: &ReleaseRow, step: InstallStep, outcome: Outcome) -> Report {
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

pub(super) fn installed(row: &ReleaseRow) -> InstalledPackage {
    InstalledPackage {
        release: row.release.clone(),
        kind: row.kind,
        counter: row.counter,
        manifest: row.manifest,
    }
}

/// The code of a refusal; anything else is a failed test.
pub(in crate::ledger) fn refused<T: std::fmt::Debug>(result: Result<T, LedgerError>) -> ProblemCode {
    match result {
        Err(LedgerError::Refused(problem)) => {
            assert!(!problem.message.is_empty() && !problem.hint.is_empty(), "{problem:?} says too little");
            problem.code
        }
        other => panic!("expected a refusal, got {other:?}"),
    }
}

/// Types of all entries, oldest first.
pub(in crate::ledger) async fn kinds(ledger: &dyn Ledger) -> Vec<&'static str> {
    let entries = ledger.activity(ActivityFilter::default()).await.unwrap();
    entries.iter().map(|logged| crate::domain::summary::kind(&logged.entry.change)).collect()
}

/// The log holds, and nothing was added to it since.
pub(super) async fn unchanged(ledger: &dyn Ledger, sequence: u64) {
    assert_eq!(ledger.head().await.unwrap().sequence, sequence, "something was logged");
}

/// The whole chain holds.
pub(in crate::ledger) async fn sound(ledger: &Arc<dyn Ledger>) {
    let check = ledger.verify_log().await.unwrap();
    assert_eq!(check.damage, None);
    assert_eq!(check.entries, ledger.head().await.unwrap().sequence);
}
