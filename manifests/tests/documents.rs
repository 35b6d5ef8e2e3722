//! Every document format has a frozen file in `golden/`: what is written today must be these bytes, and what was
//! written yesterday must stay readable. A test that fails here means that a format changed: raise its version and
//! add a file, never edit one.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::path::PathBuf;

use sealpost_keys::{PublicKey, SigningKey};
use sealpost_manifests::assignment::{Assignment, PackageAssignment, Urgency};
use sealpost_manifests::channels::{ChannelsDocument, Withdrawn};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::document::{self, Document, DocumentError, SignedDocument};
use sealpost_manifests::grant::{Grant, LicenseModel, Registration, verify_registration};
use sealpost_manifests::ids::{
    ChannelName, ClientId, ComputerName, EnrollmentCode, Nonce, PackageName, Platform, RelativePath,
    SerialNumber, ServerId,
};
use sealpost_manifests::lease::{Lease, LedgerHead};
use sealpost_manifests::release::{
    Blob, FileEntry, FileKind, PackageKind, Payload, ReleaseId, ReleaseManifest, Requirement, Severity,
};
use sealpost_manifests::setup::{SetupFile, SetupServer};
use sealpost_manifests::text_code;
use sealpost_manifests::trust::{KeyStatus, TrustDocument, TrustedKey};
use sealpost_manifests::version::{ReleaseCounter, Revision, Version};
use sealpost_manifests::wire::contact::{Contact, ContactAnswer, ContactRequest, InstalledPackage};
use sealpost_manifests::wire::enroll::{EnrollAnswer, EnrollRequest, Enrolled, Enrollment};
use sealpost_manifests::wire::problem::{Problem, ProblemCode};
use sealpost_manifests::wire::report::{InstallStep, Outcome, ReasonCode, Report};
use sealpost_manifests::wire::sync::{RegisterAnswer, RegisterRequest};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A public key that signed the files in `golden/`; its secret half was thrown away.
fn golden_key() -> PublicKey {
    PublicKey::from_base64(std::fs::read_to_string(golden("signer.pub")).unwrap().trim()).unwrap()
}

fn golden(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

/// What is written equals the frozen bytes, and the frozen bytes read as the same value. With
/// `SEALPOST_WRITE_GOLDEN=1` a *missing* file is written; an existing one never is.
fn assert_frozen<T: Document + PartialEq + Debug>(value: &T) {
    let path = golden(&format!("{}.v{}.json", T::TYPE, T::VERSION));
    let text = document::write(value).unwrap();
    if std::env::var_os("SEALPOST_WRITE_GOLDEN").is_some() && !path.exists() {
        std::fs::write(&path, &text).unwrap();
    }
    let frozen = std::fs::read_to_string(&path).unwrap();
    assert_eq!(text, frozen, "the {} format changed", T::TYPE);
    assert_eq!(&document::read::<T>(frozen.as_bytes()).unwrap(), value);
}

fn time(text: &str) -> jiff::Timestamp {
    text.parse().unwrap()
}

fn digest(text: &str) -> Sha256Digest {
    Sha256Digest::of(text.as_bytes())
}

fn release(package: &str, version: &str, platform: &str) -> ReleaseId {
    ReleaseId {
        package: PackageName::new(package).unwrap(),
        version: Version::new(version).unwrap(),
        platform: Platform::new(platform).unwrap(),
    }
}

fn manifest() -> ReleaseManifest {
    let file = |path: &str, executable, content: &str| FileEntry {
        path: RelativePath::new(path).unwrap(),
        kind: FileKind::File { executable, length: content.len() as u64, sha256: digest(content) },
    };
    ReleaseManifest {
        release: release("acme-av-signatures", "27001", "any"),
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
        requires: vec![Requirement {
            package: PackageName::new("acme-av").unwrap(),
            counter: ReleaseCounter(3),
        }],
        severity: Severity::High,
        notes: "Finds more.\n".to_owned(),
        built_at: time("2026-11-20T08:00:00Z"),
    }
}

fn grant() -> Grant {
    Grant {
        vendor: "ACME".to_owned(),
        serial: SerialNumber::from_random([5; 19]),
        server_id: ServerId::from_random([1; 16]),
        site_key: golden_key(),
        key_epoch: 1,
        epoch: 1,
        packages: vec![PackageName::new("acme-av").unwrap()],
        model: LicenseModel::Named,
        seats: 50,
        generation: 2,
        valid_until: time("2027-11-21T08:00:00Z"),
        vendor_time: time("2026-11-20T08:00:00Z"),
    }
}

#[test]
fn every_document_is_written_as_its_frozen_file() {
    assert_frozen(&manifest());
    assert_frozen(&ChannelsDocument {
        package: PackageName::new("acme-av").unwrap(),
        channels: BTreeMap::from([(ChannelName::new("stable").unwrap(), Version::new("5.2").unwrap())]),
        withdrawn: vec![Withdrawn { version: Version::new("5.1").unwrap(), reason: "loses logs".to_owned() }],
        mandatory: vec![Version::new("5.0").unwrap()],
    });
    assert_frozen(&TrustDocument {
        vendor: "ACME".to_owned(),
        release_keys: BTreeMap::from([(
            PackageName::new("acme-av").unwrap(),
            vec![TrustedKey { key: golden_key(), status: KeyStatus::Active }],
        )]),
        license_keys: vec![TrustedKey { key: golden_key(), status: KeyStatus::Retired }],
    });
    assert_frozen(&grant());
    assert_frozen(&Registration {
        serial: SerialNumber::from_random([5; 19]),
        server_id: ServerId::from_random([1; 16]),
        site_key: golden_key(),
    });
    assert_frozen(&Lease {
        client_id: ClientId::from_random([2; 16]),
        client_key: golden_key(),
        computer_name: ComputerName::new("pc-17").unwrap(),
        server_id: ServerId::from_random([1; 16]),
        epoch: 1,
        sequence: 9,
        issued_at: time("2026-11-20T08:00:00Z"),
        not_after: time("2026-12-20T08:00:00Z"),
        model: LicenseModel::Named,
        packages: vec![],
        grant: digest("grant"),
        ledger_head: LedgerHead { sequence: 77, hash: digest("head") },
    });
    assert_frozen(&Assignment {
        client_id: ClientId::from_random([2; 16]),
        server_id: ServerId::from_random([1; 16]),
        epoch: 1,
        sequence: 10,
        issued_at: time("2026-11-20T08:00:00Z"),
        expires_at: time("2026-12-20T08:00:00Z"),
        metadata_as_of: time("2026-11-20T07:00:00Z"),
        packages: vec![PackageAssignment {
            release: release("acme-av", "5.2", "linux-x86_64"),
            manifest: digest("manifest"),
            not_before: None,
            deadline: Some(time("2026-11-21T08:00:00Z")),
            urgency: Urgency::Normal,
            rollout: 4,
            attempt: 1,
        }],
    });
    assert_frozen(&SetupFile {
        computer_name: ComputerName::new("pc-17").unwrap(),
        enrollment_code: EnrollmentCode::from_random([8; 24]),
        servers: vec![SetupServer {
            addresses: vec!["primary.example".to_owned(), "192.0.2.7".to_owned()],
            port: 16770,
            server_id: ServerId::from_random([1; 16]),
            site_key: golden_key(),
            ca_spki_sha256: digest("spki"),
        }],
        root_sha256: digest("root"),
    });
    assert_frozen(&Enrollment {
        computer_name: ComputerName::new("pc-17").unwrap(),
        enrollment_code: EnrollmentCode::from_random([8; 24]),
        client_key: golden_key(),
        server_id: ServerId::from_random([1; 16]),
        platform: Platform::new("linux-x86_64").unwrap(),
        agent_version: "0.1.0".to_owned(),
    });
    assert_frozen(&Enrolled {
        client_id: ClientId::from_random([2; 16]),
        client_key: golden_key(),
        computer_name: ComputerName::new("pc-17").unwrap(),
        server_id: ServerId::from_random([1; 16]),
        enrolled_at: time("2026-11-20T08:00:00Z"),
    });
    assert_frozen(&contact());
}

fn contact() -> Contact {
    Contact {
        client_id: ClientId::from_random([2; 16]),
        server_id: ServerId::from_random([1; 16]),
        previous: Some(Nonce::from_random([3; 16])),
        next: Nonce::from_random([4; 16]),
        sent_at: time("2026-11-20T08:00:00Z"),
        agent_version: "0.1.0".to_owned(),
        platform: Platform::new("linux-x86_64").unwrap(),
        lease: Some((1, 9)),
        assignment: Some((1, 10)),
        grant: Some(digest("grant")),
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
        }],
    }
}

/// A body that is sent over the wire, without a signature of its own: the same rule as for documents.
fn assert_wire<T: Serialize + DeserializeOwned>(name: &str, value: &T) {
    let path = golden(&format!("wire/{name}.json"));
    let text = serde_json::to_string(value).unwrap();
    if std::env::var_os("SEALPOST_WRITE_GOLDEN").is_some() && !path.exists() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &text).unwrap();
    }
    let frozen = std::fs::read_to_string(&path).unwrap();
    assert_eq!(text, frozen, "the body {name} changed");
    let read: T = serde_json::from_str(&frozen).unwrap();
    assert_eq!(serde_json::to_string(&read).unwrap(), frozen);
}

#[test]
fn every_wire_body_is_written_as_its_frozen_file() {
    let signed: SignedDocument =
        serde_json::from_slice(&std::fs::read(golden("grant.signed.json")).unwrap()).unwrap();
    assert_wire("enroll-request", &EnrollRequest { client_key: golden_key(), enrollment: signed.clone() });
    assert_wire("enroll-answer", &EnrollAnswer { enrolled: signed.clone(), grant: signed.clone() });
    assert_wire(
        "contact-request",
        &ContactRequest { client_id: ClientId::from_random([2; 16]), contact: signed.clone() },
    );
    let quiet = ContactAnswer {
        lease: None,
        assignment: None,
        grant: None,
        access_token: "token".to_owned(),
        token_valid_secs: 900,
        acknowledged_report: 6,
        notice: None,
    };
    assert_wire("contact-answer-quiet", &quiet);
    let full = ContactAnswer {
        lease: Some(signed.clone()),
        assignment: Some(signed.clone()),
        grant: Some(signed.clone()),
        notice: Some("two computers use this identity".to_owned()),
        ..quiet
    };
    assert_wire("contact-answer-full", &full);
    assert_wire(
        "register-request",
        &RegisterRequest { site_key: golden_key(), registration: signed.clone() },
    );
    assert_wire("register-answer", &RegisterAnswer { grant: signed });
    assert_wire("problem", &Problem::new(ProblemCode::NoSeatFree, "all 10 seats are taken", "buy more"));
    // Codes are for ever: the whole list is frozen, and it may only grow at its end.
    assert_wire("problem-codes", &ProblemCode::ALL.to_vec());
}

/// A code that a newer server sends is still an error that can be shown.
#[test]
fn an_unknown_problem_code_is_read_as_unknown() {
    let text = r#"{"code":"from_the_future","message":"m","hint":"h"}"#;
    let problem: Problem = serde_json::from_str(text).unwrap();
    assert_eq!(problem.code, ProblemCode::Unknown);
}

/// A signature that was made once, by a key that is gone: verification must accept it for ever.
#[test]
fn a_document_that_was_signed_long_ago_still_verifies() {
    let path = golden("grant.signed.json");
    if std::env::var_os("SEALPOST_WRITE_GOLDEN").is_some() && !path.exists() {
        let key = SigningKey::generate().unwrap();
        std::fs::write(golden("signer.pub"), key.public().to_base64()).unwrap();
        let signed = SignedDocument::sign(&grant(), &key).unwrap();
        std::fs::write(golden("grant.unlock-code.txt"), text_code::encode(&signed)).unwrap();
        std::fs::write(&path, serde_json::to_string(&signed).unwrap()).unwrap();
    }
    let signed: SignedDocument = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    assert_eq!(*signed.verify::<Grant>(&[golden_key()]).unwrap(), grant());

    let code = std::fs::read_to_string(golden("grant.unlock-code.txt")).unwrap();
    assert_eq!(text_code::encode(&signed), code);
    assert_eq!(*text_code::decode(&code).unwrap().verify::<Grant>(&[golden_key()]).unwrap(), grant());
}

#[test]
fn a_well_signed_document_of_another_type_is_refused() {
    let key = SigningKey::generate().unwrap();
    let signed = SignedDocument::sign(&contact(), &key).unwrap();
    assert!(matches!(signed.verify::<Grant>(&[key.public()]), Err(DocumentError::OtherType { .. })));
}

#[test]
fn a_signature_made_for_another_comment_is_refused() {
    let key = SigningKey::generate().unwrap();
    let text = document::write(&manifest()).unwrap();
    let other = release("acme-av-signatures", "27002", "any");
    let comment =
        sealpost_keys::TrustedComment::new(sealpost_manifests::release::release_comment(&other)).unwrap();
    let signed = SignedDocument { minisig: key.sign(text.as_bytes(), &comment), document: text };
    assert!(matches!(
        signed.verify::<ReleaseManifest>(&[key.public()]),
        Err(DocumentError::OtherComment { .. })
    ));
}

#[test]
fn a_newer_format_is_refused_by_name() {
    let text = document::write(&contact()).unwrap().replacen("\"version\":1", "\"version\":2", 1);
    let error = document::read::<Contact>(text.as_bytes()).unwrap_err();
    assert!(matches!(error, DocumentError::NewerVersion { found: 2, known: 1, .. }), "{error}");
}

#[test]
fn one_changed_byte_anywhere_is_refused() {
    let key = SigningKey::generate().unwrap();
    let signed = SignedDocument::sign(&grant(), &key).unwrap();
    for at in 0..signed.document.len() {
        let mut bytes = signed.document.clone().into_bytes();
        bytes[at] ^= 1;
        let Ok(document) = String::from_utf8(bytes) else { continue };
        let changed = SignedDocument { document, minisig: signed.minisig.clone() };
        assert!(changed.verify::<Grant>(&[key.public()]).is_err(), "byte {at}");
    }
}

#[test]
fn a_registration_is_verified_with_its_own_key_and_no_other() {
    let (key, other) = (SigningKey::generate().unwrap(), SigningKey::generate().unwrap());
    let registration = Registration {
        serial: SerialNumber::from_random([5; 19]),
        server_id: ServerId::from_random([1; 16]),
        site_key: key.public(),
    };
    let good = SignedDocument::sign(&registration, &key).unwrap();
    assert_eq!(*verify_registration(&good).unwrap(), registration);
    let forged = SignedDocument::sign(&registration, &other).unwrap();
    assert!(matches!(verify_registration(&forged), Err(DocumentError::Signature { .. })));
}

#[test]
fn a_sound_manifest_has_no_problems_and_each_defect_is_named() {
    assert_eq!(manifest().check(), Vec::<String>::new());
    type Defect = (&'static str, fn(&mut ReleaseManifest));
    let defects: &[Defect] = &[
        ("revision", |manifest| manifest.revision = Some(Revision(1))),
        ("no files", |manifest| manifest.files.clear()),
        ("not sorted", |manifest| manifest.files.reverse()),
        ("stands twice", |manifest| manifest.files.insert(1, manifest.files[1].clone())),
        ("leads out", |manifest| {
            manifest.files[2].kind = FileKind::Symlink { target: "../../etc/passwd".to_owned() };
        }),
        ("not a folder", |manifest| {
            manifest.files[2].path = RelativePath::new("daily.ndb/x").unwrap();
        }),
        ("do not fit", |manifest| manifest.payload.tar.length = 3),
        ("gzip", |manifest| manifest.payload.encodings.clear()),
        ("encodings", |manifest| {
            let blob = Blob { sha256: digest("x"), length: 1 };
            manifest.payload.encodings.extend((0..16).map(|number| (number.to_string(), blob)));
        }),
        ("more than 64", |manifest| {
            let required = manifest.requires[0].clone();
            manifest.requires.extend(vec![required; 64]);
        }),
        ("twice, or itself", |manifest| manifest.requires.push(manifest.requires[0].clone())),
        ("twice, or itself", |manifest| {
            manifest.requires[0].package = manifest.release.package.clone();
        }),
        ("65537 bytes", |manifest| manifest.notes = "n".repeat(65_537)),
        ("control character", |manifest| manifest.notes = "all is well\u{1b}[2K\rforged".to_owned()),
    ];
    for (text, break_it) in defects {
        let mut broken = manifest();
        break_it(&mut broken);
        let problems = broken.check();
        assert!(problems.iter().any(|problem| problem.contains(text)), "{text}: {problems:?}");
    }
}

#[test]
fn the_list_of_problems_of_a_hostile_manifest_is_bounded() {
    let mut hostile = manifest();
    // Each path lies beneath five hundred others that are files, and the list is not sorted.
    let deep = |depth: usize| RelativePath::new(["a"; 500][..depth].join("/")).unwrap();
    hostile.files = (1..=500)
        .rev()
        .map(|depth| FileEntry {
            path: deep(depth),
            kind: FileKind::File { executable: false, length: u64::MAX, sha256: digest("a") },
        })
        .collect();
    let problems = hostile.check();
    assert!(problems.len() <= 210, "{}", problems.len());
    assert!(problems.iter().any(|problem| problem.contains("do not fit")));
}

#[test]
fn a_document_with_a_field_that_stands_twice_is_refused() {
    let text = document::write(&grant()).unwrap();
    let seats_twice = text.replacen("\"seats\":50", "\"seats\":50,\"seats\":9999", 1);
    assert_ne!(text, seats_twice);
    assert!(matches!(document::read::<Grant>(seats_twice.as_bytes()), Err(DocumentError::Malformed { .. })));
    let type_twice = text.replacen("\"type\":\"grant\"", "\"type\":\"lease\",\"type\":\"grant\"", 1);
    assert!(matches!(document::read::<Grant>(type_twice.as_bytes()), Err(DocumentError::Malformed { .. })));
    let far = text.replacen("2027-11-21T08:00:00Z", "99999-11-21T08:00:00Z", 1);
    assert!(matches!(document::read::<Grant>(far.as_bytes()), Err(DocumentError::Malformed { .. })));
}

#[test]
fn secrets_do_not_show_in_debug_output() {
    let code = EnrollmentCode::from_random([9; 24]);
    assert!(!format!("{code:?}").contains(code.as_str()));
    let answer: ContactAnswer =
        serde_json::from_str(r#"{"access_token":"secret-token","token_valid_secs":900}"#).unwrap();
    assert!(!format!("{answer:?}").contains("secret-token"));
}

#[test]
fn what_a_server_says_cannot_forge_lines_on_a_terminal() {
    let problem = Problem::new(ProblemCode::Busy, "a\r\n\u{1b}[2Kforged".repeat(1000), "b\nc");
    let shown = problem.to_string();
    assert!(!shown.chars().any(char::is_control) && shown.len() < 3000, "{shown:?}");
}
