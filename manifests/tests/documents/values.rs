//! One value of each document type and wire body, with every field filled: a field at its default would not be written,
//! and its name would not be frozen.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use sealpost_keys::note::SignedNote;
use sealpost_keys::{PublicKey, SealingPublicKey};
use sealpost_manifests::assignment::{Action, Assignment, PackageAssignment, Postpone, Start, Urgency, Why};
use sealpost_manifests::channels::{ChannelsDocument, Withdrawn};
use sealpost_manifests::contact_answer::{ContactFileAnswer, EnrollmentFileAnswer};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::document::SignedDocument;
use sealpost_manifests::grant::{Grant, LicenseModel, Registration, RegistrationReason};
use sealpost_manifests::ids::TargetName;
use sealpost_manifests::ids::{
    ChannelName, ClientId, ComputerName, EnrollmentCode, Nonce, PackageName, Platform, RelativePath,
    RequestId, SerialNumber, ServerId, Tag,
};
use sealpost_manifests::lease::{Entitlement, Lease};
use sealpost_manifests::log::{ConsistencyProof, LogHead};
use sealpost_manifests::order::{Epoch, HighestOrders, Order, Signer};
use sealpost_manifests::release::{
    Attachment, AttachmentKind, Blob, FileEntry, FileKind, PackageKind, Payload, ReleaseId, ReleaseManifest,
    Requirement, Security, Severity,
};
use sealpost_manifests::server_list::ServerList;
use sealpost_manifests::setup::{ServerEntry, ServerRole, SetupFile, SetupKind, SetupServer};
use sealpost_manifests::trust::{
    CounterReset, KeyStatus, KeyUse, LicensingContact, TrustDocument, TrustedKey,
};
use sealpost_manifests::version::{ReleaseCounter, Revision, Version};
use sealpost_manifests::wire::contact::{
    Contact, ContactAnswer, Drift, DriftKind, InstalledPackage, Postponed, PostponedBy,
};
use sealpost_manifests::wire::enroll::{Enrolled, Enrollment};
use sealpost_manifests::wire::problem::{Problem, ProblemCode};
use sealpost_manifests::wire::refresh::{
    DELTA_CONTAINER, DeltaWay, FilePatch, HeldMetadata, Hop, NewMetadata, RefreshAnswer, RefreshRequest,
    Route,
};
use sealpost_manifests::wire::report::{InstallStep, Outcome, ReasonCode, Report, TransferredBytes, Way};
use sealpost_manifests::word::Word;

use crate::golden;

/// A public key that signed the files in `golden/`; its secret half was thrown away.
pub(crate) fn golden_key() -> PublicKey {
    PublicKey::from_base64(std::fs::read_to_string(golden("signer.pub")).unwrap().trim()).unwrap()
}

/// A document with a signature by [`golden_key`].
pub(crate) fn golden_signed() -> SignedDocument {
    serde_json::from_slice(&std::fs::read(golden("grant.signed.json")).unwrap()).unwrap()
}

/// The checkpoint of the frozen log proof.
pub(crate) fn golden_note() -> SignedNote {
    let proof: serde_json::Value =
        serde_json::from_slice(&std::fs::read(golden("log_proof.v2.json")).unwrap()).unwrap();
    let (_, checkpoint) = proof["proof"].as_str().unwrap().split_once("\n\n").unwrap();
    SignedNote::parse(checkpoint).unwrap()
}

pub(crate) fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn signed_at() -> Timestamp {
    time("2026-11-20T08:00:00Z")
}

pub(crate) fn digest(text: &str) -> Sha256Digest {
    Sha256Digest::of(text.as_bytes())
}

pub(crate) fn package(name: &str) -> PackageName {
    PackageName::new(name).unwrap()
}

pub(crate) fn version(text: &str) -> Version {
    Version::new(text).unwrap()
}

pub(crate) fn release(name: &str, number: &str, platform: &str) -> ReleaseId {
    ReleaseId { package: package(name), version: version(number), platform: Platform::new(platform).unwrap() }
}

fn client_id() -> ClientId {
    ClientId::from_random([2; 16])
}

fn server_id() -> ServerId {
    ServerId::from_random([1; 16])
}

fn computer_name() -> ComputerName {
    ComputerName::new("pc-17").unwrap()
}

pub(crate) fn serial() -> SerialNumber {
    SerialNumber::from_random([5; 19])
}

fn sealing_key() -> SealingPublicKey {
    SealingPublicKey::from_bytes([7; 32])
}

fn head(size: u64) -> LogHead {
    LogHead { size, root: digest(&format!("head {size}")) }
}

pub(crate) fn manifest() -> ReleaseManifest {
    let file = |path: &str, executable, content: &str| FileEntry {
        path: RelativePath::new(path).unwrap(),
        kind: FileKind::File { executable, length: content.len() as u64, sha256: digest(content) },
    };
    let release = release("acme-av-signatures", "27001", "any");
    ReleaseManifest {
        kind: PackageKind::Signatures,
        revision: Some(Revision(27001)),
        counter: ReleaseCounter(12),
        payload: Payload {
            tar: Blob { sha256: digest("tar"), length: 10_240 },
            encodings: BTreeMap::from([("gzip".to_owned(), Blob { sha256: digest("gz"), length: 321 })]),
        },
        files: vec![
            file("bin/load", true, "#!/bin/sh\n"),
            file("daily.ndb", false, "signatures"),
            FileEntry {
                path: RelativePath::new("latest.ndb").unwrap(),
                kind: FileKind::Symlink { target: "daily.ndb".to_owned() },
            },
        ],
        requires: vec![Requirement { package: package("acme-av"), counter: ReleaseCounter(3) }],
        severity: Severity::High,
        category: Some(Word::new("detection").unwrap()),
        security: Some(Security {
            fixes: vec!["CVE-2026-1234".to_owned()],
            advisory_url: Some("https://acme.example/advisories/7".to_owned()),
        }),
        supported_until: Some(time("2028-12-31T22:59:59Z")),
        notes: "Finds more.\n".to_owned(),
        attachments: vec![Attachment {
            kind: AttachmentKind::CycloneDx,
            target: release.attachment_target("sbom.cdx.json").unwrap(),
            blob: Blob { sha256: digest("sbom"), length: 4 },
        }],
        built_at: signed_at(),
        release,
    }
}

pub(crate) fn channels() -> ChannelsDocument {
    ChannelsDocument {
        package: package("acme-av"),
        channels: BTreeMap::from([(ChannelName::new("stable").unwrap(), version("5.2"))]),
        emptied: BTreeSet::new(),
        withdrawn: vec![Withdrawn {
            version: version("5.1"),
            reason: "loses logs".to_owned(),
            platforms: Vec::new(),
        }],
        mandatory: vec![version("5.0")],
        minimum_counter: Some(ReleaseCounter(2)),
        signed_at: signed_at(),
    }
}

pub(crate) fn trust() -> TrustDocument {
    TrustDocument {
        vendor: "ACME".to_owned(),
        keys: vec![
            TrustedKey {
                key_use: KeyUse::Release,
                package: Some(package("acme-av")),
                key: golden_key().to_base64(),
                status: KeyStatus::Retired,
                digests: BTreeSet::from([digest("manifest")]),
            },
            TrustedKey {
                key_use: KeyUse::Seal,
                package: None,
                key: sealing_key().to_string(),
                status: KeyStatus::Active,
                digests: BTreeSet::new(),
            },
        ],
        counter_resets: vec![CounterReset {
            package: package("acme-av"),
            counter: ReleaseCounter(3),
            number: 1,
        }],
        licensing_contact: Some(LicensingContact {
            name: "Licensing".to_owned(),
            mail: "licenses@acme.example".to_owned(),
            phone: "+49 89 0000000".to_owned(),
            url: "https://acme.example/licenses".to_owned(),
        }),
        signed_at: signed_at(),
    }
}

pub(crate) fn grant() -> Grant {
    Grant {
        vendor: "ACME".to_owned(),
        serial: serial(),
        server_id: server_id(),
        site_key: golden_key(),
        key_epoch: 1,
        epoch: Epoch::of(2, 0),
        packages: vec![package("acme-av")],
        model: LicenseModel::Named,
        seats: 50,
        generation: 2,
        not_after: time("2027-11-21T22:59:59Z"),
        vendor_time: signed_at(),
        ends_at: None,
        request_id: Some(RequestId::from_random([6; 16])),
    }
}

/// Of a serial number that ends before the year of its grant is over.
pub(crate) fn grant_with_end() -> Grant {
    let end = time("2027-03-31T21:59:59Z");
    Grant { not_after: end, ends_at: Some(end), ..grant() }
}

/// Named after the key that signs it.
pub(crate) fn registration_of(site_key: &PublicKey) -> Registration {
    Registration {
        request_id: RequestId::from_random([6; 16]),
        serial: serial(),
        server_id: server_id(),
        site_key: site_key.clone(),
        sealing_key: sealing_key(),
        reason: RegistrationReason::Restored,
        epoch: Epoch::of(1, 3),
        ledger_head: head(77),
        used: BTreeMap::from([(serial(), 41)]),
    }
}

pub(crate) fn registration() -> Registration {
    registration_of(&golden_key())
}

pub(crate) fn lease() -> Lease {
    Lease {
        client_id: client_id(),
        client_key: golden_key(),
        computer_name: computer_name(),
        channel: ChannelName::new("stable").unwrap(),
        server_id: server_id(),
        signer: Signer::SiteKey,
        epoch: Epoch::of(1, 3),
        sequence: 9,
        issued_at: signed_at(),
        entitlements: vec![Entitlement {
            serial: serial(),
            model: LicenseModel::Named,
            packages: vec![package("acme-av")],
            grant: digest("grant"),
            not_after: time("2026-12-20T08:00:00Z"),
        }],
        ledger_head: head(77),
    }
}

pub(crate) fn assignment() -> Assignment {
    Assignment {
        client_id: client_id(),
        server_id: server_id(),
        signer: Signer::Standby(digest("certificate")),
        epoch: Epoch::of(1, 3),
        sequence: 10,
        issued_at: signed_at(),
        expires_at: time("2026-12-20T08:00:00Z"),
        metadata_as_of: time("2026-11-20T07:00:00Z"),
        packages: vec![PackageAssignment {
            action: Action::Rollback,
            release: release("acme-av", "5.2", "linux-x86_64"),
            manifest: digest("manifest"),
            download_from: Some(time("2026-11-20T18:00:00Z")),
            install_from: Some(time("2026-11-20T22:00:00Z")),
            install_until: Some(time("2026-11-21T04:00:00Z")),
            deadline: Some(time("2026-11-21T08:00:00Z")),
            start: Start::ByPerson,
            postpone: None,
            urgency: Urgency::Critical,
            why: Some(Why { code: Word::new("approved").unwrap(), text: "fixes CVE-2026-1234".to_owned() }),
            rollout: 4,
            ring: Some("pilot".to_owned()),
            attempt: 1,
        }],
    }
}

pub(crate) fn setup() -> SetupFile {
    SetupFile {
        kind: SetupKind::Reserved,
        computer_name: Some(computer_name()),
        issued_at: signed_at(),
        servers: vec![SetupServer {
            server: ServerEntry {
                role: ServerRole::Primary,
                addresses: vec!["primary.example".to_owned(), "192.0.2.7".to_owned()],
                port: 16770,
                server_id: server_id(),
                site_key: golden_key(),
                ca_spki_sha256: vec![digest("spki"), digest("next spki")],
            },
            enrollment_code: Some(EnrollmentCode::from_random([8; 24])),
            code_expires_at: Some(time("2026-12-04T08:00:00Z")),
        }],
        root_sha256: digest("root"),
    }
}

/// For any computer: without a name and without a code.
pub(crate) fn knock_setup() -> SetupFile {
    let mut setup = SetupFile { kind: SetupKind::Knock, computer_name: None, ..setup() };
    for listed in &mut setup.servers {
        (listed.enrollment_code, listed.code_expires_at) = (None, None);
    }
    setup
}

pub(crate) fn enrollment() -> Enrollment {
    Enrollment {
        computer_name: computer_name(),
        client_key: golden_key(),
        sealing_key: sealing_key(),
        server_id: server_id(),
        platform: Platform::new("linux-x86_64").unwrap(),
        agent_version: "0.1.0".to_owned(),
    }
}

pub(crate) fn enrolled() -> Enrolled {
    Enrolled {
        client_id: client_id(),
        client_key: golden_key(),
        computer_name: computer_name(),
        server_id: server_id(),
        enrolled_at: signed_at(),
    }
}

pub(crate) fn contact() -> Contact {
    let order = |sequence| Order { epoch: Epoch::of(1, 3), sequence };
    let highest = [("lease", order(9)), ("assignment", order(10))]
        .map(|(name, order)| (Word::new(name).unwrap(), order));
    Contact {
        client_id: client_id(),
        server_id: server_id(),
        previous: Some(Nonce::from_random([3; 16])),
        next: Nonce::from_random([4; 16]),
        receipt: Some("receipt".to_owned()),
        sent_at: signed_at(),
        agent_version: "0.1.0".to_owned(),
        platform: Platform::new("linux-x86_64").unwrap(),
        highest: HighestOrders::from(highest),
        held_head: Some(head(77)),
        forked_head: Some(head(78)),
        grants: vec![digest("grant")],
        instance: Some(digest("machine and boot")),
        hostname: Some("PC-17".to_owned()),
        packages: vec![InstalledPackage {
            release: release("acme-av", "5.2", "linux-x86_64"),
            kind: PackageKind::Program,
            counter: ReleaseCounter(3),
            manifest: digest("manifest"),
        }],
        reports: vec![Report {
            id: 6,
            at: time("2026-11-20T07:59:00Z"),
            release: release("acme-av", "5.2", "linux-x86_64"),
            manifest: digest("manifest"),
            rollout: 4,
            attempt: 1,
            step: InstallStep::TestLoad,
            outcome: Outcome::Refused,
            reason: ReasonCode::HookFailed,
            detail: "exit status 2".to_owned(),
            ring: None,
            way: None,
            bytes: None,
            duration_ms: None,
        }],
        drift: Vec::new(),
        tags: Vec::new(),
        postponed: Vec::new(),
        new_key: None,
    }
}

pub(crate) fn contact_with_drift() -> Contact {
    let drift = |name, kind| Drift { package: package(name), kind };
    let kinds = [("acme-av", DriftKind::Missing), ("acme-cad", DriftKind::Link)];
    Contact { drift: kinds.map(|(name, kind)| drift(name, kind)).to_vec(), ..contact() }
}

/// With what a person may put off.
pub(crate) fn assignment_with_postpone() -> Assignment {
    let mut assignment = assignment();
    assignment.packages[0].postpone = Some(Postpone { times: 3, until: time("2026-11-21T06:00:00Z") });
    assignment
}

/// With what groups and rollouts ask for.
pub(crate) fn contact_of_rollout() -> Contact {
    let postponed = |name, by, times| Postponed {
        package: package(name),
        manifest: digest("manifest"),
        by,
        until: time("2026-11-20T10:00:00Z"),
        times,
    };
    let mut contact = contact_with_drift();
    contact.tags = ["site:berlin", "laptop"].map(|tag| Tag::new(tag).unwrap()).to_vec();
    contact.postponed =
        vec![postponed("acme-av", PostponedBy::Person, 2), postponed("acme-cad", PostponedBy::Product, 14)];
    contact.reports.push(Report {
        id: 7,
        step: InstallStep::Download,
        outcome: Outcome::Ok,
        reason: ReasonCode::ByDelta,
        ring: Some("pilot".to_owned()),
        way: Some(Way::Delta),
        bytes: Some(TransferredBytes { metadata: 5_120, manifest: 2_048, payload: 104_857_600 }),
        duration_ms: Some(42_000),
        ..contact.reports[0].clone()
    });
    contact
}

/// With the key that one of two copies goes on with.
pub(crate) fn contact_of_copy() -> Contact {
    Contact { new_key: Some(golden_key()), ..contact_of_rollout() }
}

pub(crate) fn server_list() -> ServerList {
    let way = setup().servers.remove(0).server;
    let before = ServerEntry {
        addresses: vec!["old.example".to_owned()],
        port: 16771,
        ca_spki_sha256: vec![digest("spki")],
        ..way.clone()
    };
    ServerList {
        server_id: server_id(),
        signer: Signer::SiteKey,
        epoch: Epoch::of(1, 0),
        sequence: 3,
        issued_at: signed_at(),
        servers: vec![way, before],
    }
}

pub(crate) fn contact_answer() -> ContactFileAnswer {
    let (signed, contact) = (golden_signed(), contact());
    let answer = ContactAnswer {
        grants: vec![signed.clone()],
        lease: Some(signed.clone()),
        assignment: Some(signed.clone()),
        server_list: Some(signed),
        checkpoint: Some(golden_note()),
        consistency: Some(ConsistencyProof::new(vec![digest("left"), digest("right")]).unwrap()),
        receipt: Some("receipt".to_owned()),
        access_token: "never in a file".to_owned(),
        token_valid_secs: 900,
        acknowledged_report: 6,
        notice: Some("two computers use this identity".to_owned()),
        waits: Vec::new(),
    };
    ContactFileAnswer {
        refused: Some(Problem::new(ProblemCode::NoSeatFree, "all 10 seats are taken", "buy more")),
        ..ContactFileAnswer::of(&contact, answer, time("2026-11-20T08:00:00Z"))
    }
}

pub(crate) fn enrollment_answer() -> EnrollmentFileAnswer {
    let (signed, enrolled) = (golden_signed(), enrolled());
    let one = |name: &str| [(name.to_owned(), "{}".to_owned())].into();
    EnrollmentFileAnswer {
        server_id: enrolled.server_id,
        computer_name: enrolled.computer_name,
        client_key: enrolled.client_key,
        issued_at: enrolled.enrolled_at,
        enrolled: signed.clone(),
        grants: vec![signed.clone()],
        log_key: signed,
        metadata: one("1.root.json"),
        targets: one(&format!("{}.trust.json", digest("trust"))),
    }
}

pub(crate) fn refresh_request() -> RefreshRequest {
    let roles =
        [("snapshot", 12), ("targets", 3), ("acme-av", 7)].map(|(role, version)| (role.to_owned(), version));
    RefreshRequest {
        metadata: Some(HeldMetadata { root: 1, timestamp: Some(40), roles: roles.into() }),
        documents: ["trust.json", "acme-av.channels", "acme-av_2.1_any.manifest.minisig"]
            .map(|name| TargetName::new(name).unwrap())
            .into(),
        held: vec![Sha256Digest::of(b"trust.json")],
        ..RefreshRequest::default()
    }
}

/// Of a client that reads deltas of metadata, and asks for ways.
pub(crate) fn refresh_request_with_routes() -> RefreshRequest {
    let [older, newer] = ["2.0", "2.1"].map(digest);
    RefreshRequest {
        routes: vec![Route { from: Some(older), to: newer }, Route { from: None, to: newer }],
        container: Some(DELTA_CONTAINER),
        ..refresh_request()
    }
}

pub(crate) fn refresh_answer() -> RefreshAnswer {
    let file = |name: &str, text: &str| (name.to_owned(), text.to_owned());
    let name = format!("{}.acme-av.channels", Sha256Digest::of(b"channels"));
    RefreshAnswer {
        metadata: Some(NewMetadata {
            root: 1,
            timestamp: 41,
            files: [file("timestamp.json", "{}"), file("13.snapshot.json", "{}")].into(),
            patches: BTreeMap::new(),
        }),
        documents: [file(&name, "{}")].into(),
        ways: Vec::new(),
    }
}

pub(crate) fn refresh_answer_with_ways() -> RefreshAnswer {
    let RefreshAnswer { metadata, documents, .. } = refresh_answer();
    let patch = FilePatch { from: 7, delta: "1VNMAg==".to_owned() };
    let patches = BTreeMap::from([("8.acme-av.json".to_owned(), patch)]);
    let [older, between, newer] = ["2.0", "2.0.1", "2.1"].map(digest);
    let hop = |to, bytes| Hop { to, bytes };
    RefreshAnswer {
        metadata: metadata.map(|metadata| NewMetadata { patches, ..metadata }),
        documents,
        ways: vec![
            DeltaWay { from: Some(older), hops: vec![hop(between, 2_100), hop(newer, 900)] },
            DeltaWay { from: None, hops: vec![hop(newer, 1_048_576)] },
        ],
    }
}
