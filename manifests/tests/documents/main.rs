//! Every document format has a frozen file in `golden/`: what is written today must be these bytes, and what was
//! written yesterday must stay readable. A test that fails here means that a format changed: raise its version and
//! add a file, never edit one.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod manifest;
mod values;
mod versions;

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::path::PathBuf;

use sealpost_keys::{SigningKey, TrustedComment};
use sealpost_manifests::assignment::{Action, Start, Urgency};
use sealpost_manifests::document::{self, Document, DocumentError, SignedDocument};
use sealpost_manifests::grant::{Grant, LicenseModel, RegistrationReason, verify_registration};
use sealpost_manifests::ids::{ClientId, EnrollmentCode, PackageName};
use sealpost_manifests::log::ConsistencyProof;
use sealpost_manifests::release::{AttachmentKind, PackageKind, ReleaseManifest, Severity, release_comment};
use sealpost_manifests::setup::{ServerRole, SetupKind};
use sealpost_manifests::text_code::{self, CodeFormat};
use sealpost_manifests::trust::{KeyStatus, KeyUse};
use sealpost_manifests::version::Version;
use sealpost_manifests::wire::by_file::FileRequest;
use sealpost_manifests::wire::contact::{
    ContactAnswer, ContactRequest, DriftKind, Evidence, PostponedBy, WaitsFor,
};
use sealpost_manifests::wire::enroll::{EnrollAnswer, EnrollRequest, proof};
use sealpost_manifests::wire::problem::{Problem, ProblemCode};
use sealpost_manifests::wire::refresh::{RefreshAnswer, RefreshRequest};
use sealpost_manifests::wire::report::{InstallStep, Outcome, ReasonCode, Way};
use sealpost_manifests::wire::sync::{RegisterAnswer, RegisterRequest};
use sealpost_manifests::word::Word;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::values::{
    contact, digest, golden_key, golden_note, golden_signed, grant, manifest, registration_of, release,
};

fn golden(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

/// The frozen text. With `SEALPOST_WRITE_GOLDEN=1` a *missing* file is written; an existing one never is.
fn frozen(name: &str, text: &str) -> String {
    let path = golden(name);
    if std::env::var_os("SEALPOST_WRITE_GOLDEN").is_some() && !path.exists() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
    }
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What is written equals the frozen bytes, and the frozen bytes read as the same value.
fn assert_frozen<T: Document + PartialEq + Debug>(value: &T) {
    assert_frozen_as(&format!("{}.v{}.json", T::TYPE, T::VERSION), value);
}

/// The same for a file of its own: when optional fields are added within a version, the file from before stays as what
/// a value without them is written as, and one with the field's name gets them all.
fn assert_frozen_as<T: Document + PartialEq + Debug>(name: &str, value: &T) {
    let text = document::write(value).unwrap();
    let frozen = frozen(name, &text);
    assert_eq!(text, frozen, "the {} format changed", T::TYPE);
    assert_eq!(&document::read::<T>(frozen.as_bytes()).unwrap(), value);
}

#[test]
fn every_document_is_written_as_its_frozen_file() {
    assert_frozen(&manifest());
    assert_frozen(&values::channels());
    assert_frozen(&values::trust());
    assert_frozen(&grant());
    assert_frozen_as("grant.v2.ends.json", &values::grant_with_end());
    assert_frozen(&values::registration());
    assert_frozen(&values::lease());
    assert_frozen(&values::assignment());
    assert_frozen(&values::setup());
    assert_frozen_as("setup.v2.knock.json", &values::knock_setup());
    assert_frozen(&values::enrollment());
    assert_frozen(&values::enrolled());
    assert_frozen(&values::server_list());
    assert_frozen(&contact());
    assert_frozen_as("contact.v2.drift.json", &values::contact_with_drift());
    assert_frozen_as("contact.v2.rollout.json", &values::contact_of_rollout());
    assert_frozen_as("contact.v2.copy.json", &values::contact_of_copy());
    assert_frozen_as("assignment.v2.postpone.json", &values::assignment_with_postpone());
    assert_written(&values::contact_answer());
    assert_written(&values::enrollment_answer());
}

/// As [`assert_frozen`], for documents with signed documents in them, which are compared as they are written.
fn assert_written<T: Document>(value: &T) {
    let text = document::write(value).unwrap();
    let frozen = frozen(&format!("{}.v{}.json", T::TYPE, T::VERSION), &text);
    assert_eq!(text, frozen, "the {} format changed", T::TYPE);
    assert_eq!(document::write(&document::read::<T>(frozen.as_bytes()).unwrap()).unwrap(), frozen);
}

#[test]
fn an_answer_by_file_holds_no_access_token() {
    assert!(!document::write(&values::contact_answer()).unwrap().contains("never in a file"));
    let answer = values::contact_answer().into_answer();
    assert!(answer.access_token.is_empty() && answer.token_valid_secs == 0);
    assert!(values::enrollment_answer().answer().access_token.is_empty());
}

/// A body that is sent over the wire, without a signature of its own: the same rule as for documents.
fn assert_wire<T: Serialize + DeserializeOwned>(name: &str, value: &T) {
    let text = serde_json::to_string(value).unwrap();
    let frozen = frozen(&format!("wire/{name}.json"), &text);
    assert_eq!(text, frozen, "the body {name} changed");
    let read: T = serde_json::from_str(&frozen).unwrap();
    assert_eq!(serde_json::to_string(&read).unwrap(), frozen);
}

#[test]
fn every_wire_body_is_written_as_its_frozen_file() {
    let signed = golden_signed();
    let code = EnrollmentCode::from_random([8; 24]);
    let request = EnrollRequest {
        client_key: golden_key(),
        enrollment: signed.clone(),
        proof: Some(proof(&code, &signed.document)),
        branch: None,
    };
    assert_wire("enroll-request", &request);
    let of_copy = EnrollRequest { proof: None, branch: Some(signed.clone()), ..request.clone() };
    assert_wire("enroll-request-branch", &of_copy);
    assert_wire("file-request-enroll", &FileRequest::Enroll(Box::new(request)));
    let answer = EnrollAnswer {
        enrolled: signed.clone(),
        grants: vec![signed.clone()],
        log_key: signed.clone(),
        access_token: "token".to_owned(),
    };
    assert_wire("enroll-answer", &answer);
    let client_id = ClientId::from_random([2; 16]);
    let evidence = Evidence { lease: signed.clone(), assignment: Some(signed.clone()), witness: None };
    let request = ContactRequest { client_id, contact: signed.clone(), evidence: None };
    assert_wire("contact-request-quiet", &request);
    let request = ContactRequest { evidence: Some(evidence), ..request };
    assert_wire("contact-request-full", &request);
    assert_wire("file-request-contact", &FileRequest::Contact(Box::new(request)));
    let quiet = ContactAnswer {
        grants: Vec::new(),
        lease: None,
        assignment: None,
        server_list: None,
        checkpoint: None,
        consistency: None,
        receipt: None,
        access_token: "token".to_owned(),
        token_valid_secs: 900,
        acknowledged_report: 6,
        notice: None,
        waits: Vec::new(),
    };
    assert_wire("contact-answer-quiet", &quiet);
    let waits = WaitsFor {
        package: PackageName::new("acme-av").unwrap(),
        version: Version::new("5.3").unwrap(),
        code: Word::known("ring_waits"),
        sentence: "it does not get 5.3 yet: its ring `all` has not opened".to_owned(),
        until: Some("2026-07-01T12:30:00Z".parse().unwrap()),
    };
    let last = WaitsFor { package: PackageName::new("acme-sig").unwrap(), until: None, ..waits.clone() };
    let nanoseconds = Some("2026-07-01T12:30:00.000000009Z".parse().unwrap());
    let each_character: String =
        (0..0x250).filter_map(char::from_u32).chain("\u{2028}\u{FFFF}😀".chars()).collect();
    let odd = WaitsFor { sentence: each_character, until: nanoseconds, ..waits.clone() };
    for said in [&waits, &last, &odd] {
        assert_eq!(said.sent_bytes(), serde_json::to_vec(said).unwrap().len(), "{said:?}");
    }
    assert_wire("contact-answer-waits", &ContactAnswer { waits: vec![waits, last], ..quiet.clone() });
    let full = ContactAnswer {
        grants: vec![signed.clone()],
        lease: Some(signed.clone()),
        assignment: Some(signed.clone()),
        checkpoint: Some(golden_note()),
        consistency: Some(ConsistencyProof::new(vec![digest("left"), digest("right")]).unwrap()),
        receipt: Some("receipt".to_owned()),
        notice: Some("two computers use this identity".to_owned()),
        ..quiet
    };
    assert_wire("contact-answer-full", &full);
    let list = Some(signed.clone());
    assert_wire("contact-answer-full-server-list", &ContactAnswer { server_list: list, ..full });
    assert_wire(
        "register-request",
        &RegisterRequest { site_key: golden_key(), registration: signed.clone() },
    );
    assert_wire("register-answer", &RegisterAnswer { grant: signed, renewable_from: None });
    assert_wire("refresh-request", &values::refresh_request());
    assert_wire("refresh-answer", &values::refresh_answer());
    assert_wire("refresh-request-routes", &values::refresh_request_with_routes());
    assert_wire("refresh-answer-ways", &values::refresh_answer_with_ways());
    assert_wire("problem", &Problem::new(ProblemCode::NoSeatFree, "all 10 seats are taken", "buy more"));
}

/// Codes are for ever: the whole list of each set is frozen, and it may only grow at its end.
#[test]
fn the_codes_of_every_open_set_are_those_of_the_frozen_list() {
    fn known<T: ToString>(codes: &[T]) -> Vec<String> {
        codes.iter().map(T::to_string).collect()
    }
    let sets = BTreeMap::from([
        ("action", known(Action::KNOWN)),
        ("attachment_kind", known(AttachmentKind::KNOWN)),
        ("drift_kind", known(DriftKind::KNOWN)),
        ("install_step", known(InstallStep::KNOWN)),
        ("key_status", known(KeyStatus::KNOWN)),
        ("key_use", known(KeyUse::KNOWN)),
        ("license_model", known(LicenseModel::KNOWN)),
        ("outcome", known(Outcome::KNOWN)),
        ("package_kind", known(PackageKind::KNOWN)),
        ("postponed_by", known(PostponedBy::KNOWN)),
        ("problem_code", known(ProblemCode::KNOWN)),
        ("reason_code", known(ReasonCode::KNOWN)),
        ("registration_reason", known(RegistrationReason::KNOWN)),
        ("server_role", known(ServerRole::KNOWN)),
        ("setup_kind", known(SetupKind::KNOWN)),
        ("severity", known(Severity::KNOWN)),
        ("start", known(Start::KNOWN)),
        ("urgency", known(Urgency::KNOWN)),
        ("way", known(Way::KNOWN)),
    ]);
    let text: String = sets.iter().map(|(set, codes)| format!("{set}: {}\n", codes.join(" "))).collect();
    let frozen = frozen("codes.txt", &text);
    let lines: BTreeMap<&str, &str> =
        frozen.lines().map(|line| line.split_once(": ").expect("a set and its codes")).collect();
    assert_eq!(lines.keys().collect::<Vec<_>>(), sets.keys().collect::<Vec<_>>());
    for (set, codes) in &sets {
        let (now, before) = (codes.join(" "), lines[set]);
        assert!(now.starts_with(before), "{set}: {before:?} became {now:?}; a code that was sent stays");
        assert_eq!(now, before, "{set}: add the new codes at the end of the line in codes.txt");
    }
}

/// A code that a newer server sends is still an error that can be shown.
#[test]
fn an_unknown_problem_code_is_shown_as_its_text() {
    let text = r#"{"code":"from_the_future","message":"m","hint":"h"}"#;
    let problem: Problem = serde_json::from_str(text).unwrap();
    assert!(matches!(problem.code, ProblemCode::Other(_)));
    assert_eq!(problem.to_string(), "m [from_the_future]; h");
    assert_eq!(serde_json::to_string(&problem).unwrap(), text);
}

/// A body of a newer program has fields that this one does not know.
#[test]
fn an_unknown_field_of_a_wire_body_is_ignored() {
    fn assert_ignored<T: Serialize + DeserializeOwned>(name: &str) {
        let text = std::fs::read_to_string(golden(&format!("wire/{name}.json"))).unwrap();
        let longer = text.replacen('{', r#"{"from_the_future":[{"a":1}],"#, 1);
        let read: T = serde_json::from_str(&longer).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(serde_json::to_string(&read).unwrap(), text);
    }
    assert_ignored::<EnrollRequest>("enroll-request");
    assert_ignored::<EnrollRequest>("enroll-request-branch");
    assert_ignored::<EnrollAnswer>("enroll-answer");
    assert_ignored::<ContactRequest>("contact-request-full");
    assert_ignored::<ContactAnswer>("contact-answer-full-server-list");
    assert_ignored::<RegisterRequest>("register-request");
    assert_ignored::<RegisterAnswer>("register-answer");
    assert_ignored::<RefreshRequest>("refresh-request");
    assert_ignored::<RefreshAnswer>("refresh-answer");
    assert_ignored::<Problem>("problem");
}

/// A signature that was made once, by a key that is gone: verification must accept it for ever.
#[test]
fn a_document_that_was_signed_long_ago_still_verifies() {
    let path = golden("grant.signed.json");
    if std::env::var_os("SEALPOST_WRITE_GOLDEN").is_some() && !path.exists() {
        let key = SigningKey::generate().unwrap();
        std::fs::write(golden("signer.pub"), key.public().to_base64()).unwrap();
        let signed = SignedDocument::sign(&grant(), &key).unwrap();
        let lines = text_code::encode_as(&signed, CodeFormat::Lines);
        std::fs::write(golden("grant.unlock-code.txt"), lines).unwrap();
        std::fs::write(&path, serde_json::to_string(&signed).unwrap()).unwrap();
    }
    let signed = golden_signed();
    // It was signed without the optional request.
    let expected = Grant { request_id: None, ..grant() };
    assert_eq!(*signed.verify::<Grant>(&[golden_key()]).unwrap(), expected);

    let groups = golden("grant.unlock-code.v3.txt");
    if std::env::var_os("SEALPOST_WRITE_GOLDEN").is_some() && !groups.exists() {
        std::fs::write(&groups, text_code::encode(&signed)).unwrap();
    }
    let codes = [(CodeFormat::Lines, golden("grant.unlock-code.txt")), (CodeFormat::Groups, groups)];
    for (format, path) in codes {
        let code = std::fs::read_to_string(path).unwrap();
        assert_eq!(text_code::encode_as(&signed, format), code);
        assert_eq!(text_code::format_of(&code), Some(format));
        assert_eq!(*text_code::decode(&code).unwrap().verify::<Grant>(&[golden_key()]).unwrap(), expected);
    }
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
    let comment = TrustedComment::new(release_comment(&other)).unwrap();
    let signed = SignedDocument { minisig: key.sign(text.as_bytes(), &comment), document: text };
    assert!(matches!(
        signed.verify::<ReleaseManifest>(&[key.public()]),
        Err(DocumentError::OtherComment { .. })
    ));
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
    let registration = registration_of(&key.public());
    let good = SignedDocument::sign(&registration, &key).unwrap();
    assert_eq!(*verify_registration(&good).unwrap(), registration);
    let forged = SignedDocument::sign(&registration, &other).unwrap();
    assert!(matches!(verify_registration(&forged), Err(DocumentError::Signature { .. })));
}

#[test]
fn a_document_with_a_field_that_stands_twice_is_refused() {
    let text = document::write(&grant()).unwrap();
    let seats_twice = text.replacen("\"seats\":50", "\"seats\":50,\"seats\":9999", 1);
    assert_ne!(text, seats_twice);
    assert!(matches!(document::read::<Grant>(seats_twice.as_bytes()), Err(DocumentError::Malformed { .. })));
    let type_twice = text.replacen("\"type\":\"grant\"", "\"type\":\"lease\",\"type\":\"grant\"", 1);
    assert!(matches!(document::read::<Grant>(type_twice.as_bytes()), Err(DocumentError::Malformed { .. })));
    let far = text.replacen("2027-11-21T22:59:59Z", "99999-11-21T08:00:00Z", 1);
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
