//! Bodies of requests and answers.

use sealpost_fuzz::{client_id, key, log_key};
use sealpost_manifests::grant::Grant;
use sealpost_manifests::ids::{EnrollmentCode, Nonce};
use sealpost_manifests::lease::Lease;
use sealpost_manifests::log::{Checkpoint, ConsistencyProof, LogHead};
use sealpost_manifests::wire::contact::{Contact, ContactAnswer, ContactRequest, Evidence};
use sealpost_manifests::wire::enroll::{EnrollAnswer, EnrollRequest, Enrolled, proof};
use sealpost_manifests::wire::problem::{Problem, ProblemCode};
use sealpost_manifests::wire::sync::{RegisterAnswer, RegisterRequest};

use super::documents::{certificate, contact, enrollment, frozen, json, quiet_contact, registration, signed};
use super::golden::{Seeds, golden};

fn wire(name: &str) -> Vec<u8> {
    golden(&format!("manifests/tests/golden/wire/{name}.json"))
}

pub(super) fn contact_requests() -> Seeds {
    let request = |contact: &Contact, evidence| {
        json(&ContactRequest { client_id: client_id(), contact: signed(contact), evidence })
    };
    let evidence = Evidence { lease: signed(&frozen::<Lease>()), assignment: None, witness: None };
    let next = Contact { previous: Some(Nonce::from_random([6; 16])), ..quiet_contact() };
    vec![
        ("evidence", request(&quiet_contact(), Some(evidence))),
        ("first", request(&quiet_contact(), None)),
        ("golden_full", wire("contact-request-full")),
        ("golden_quiet", wire("contact-request-quiet")),
        ("next", request(&next, None)),
        ("reports", request(&contact(), None)),
    ]
}

pub(super) fn contact_answers() -> Seeds {
    let quiet: ContactAnswer = serde_json::from_slice(&wire("contact-answer-quiet")).unwrap();
    let checkpoint = Checkpoint::sign(&LogHead::empty(), log_key()).unwrap();
    let lease = ContactAnswer {
        lease: Some(signed(&frozen::<Lease>())),
        checkpoint: Some(checkpoint),
        consistency: Some(ConsistencyProof::new(Vec::new()).unwrap()),
        ..quiet.clone()
    };
    let grants = ContactAnswer { grants: vec![signed(&frozen::<Grant>())], ..quiet };
    vec![
        ("golden_full", wire("contact-answer-full")),
        ("golden_quiet", wire("contact-answer-quiet")),
        ("grants", json(&grants)),
        ("lease", json(&lease)),
    ]
}

pub(super) fn enrollments() -> Seeds {
    let enrollment = signed(&enrollment());
    let code = EnrollmentCode::from_random([8; 24]);
    let right = Some(proof(&code, &enrollment.document));
    let request = |proof| {
        json(&EnrollRequest {
            client_key: key().public(),
            enrollment: enrollment.clone(),
            proof,
            branch: None,
        })
    };
    let answer = EnrollAnswer {
        enrolled: signed(&frozen::<Enrolled>()),
        grants: vec![signed(&frozen::<Grant>())],
        log_key: signed(&certificate()),
        access_token: "token".to_owned(),
    };
    vec![
        ("answer", json(&answer)),
        ("golden_answer", wire("enroll-answer")),
        ("golden_request", wire("enroll-request")),
        ("request", request(right)),
        ("request_without_code", request(None)),
    ]
}

pub(super) fn registrations() -> Seeds {
    let request = RegisterRequest { site_key: key().public(), registration: signed(&registration()) };
    let answer = RegisterAnswer { grant: signed(&frozen::<Grant>()), renewable_from: None };
    vec![
        ("answer", json(&answer)),
        ("golden_answer", wire("register-answer")),
        ("golden_request", wire("register-request")),
        ("request", json(&request)),
    ]
}

pub(super) fn problems() -> Seeds {
    let hostile = Problem::new(ProblemCode::Busy, "a\r\n\u{1b}[2Kforged \u{202e}turned\u{2028}", "\u{9b}2J");
    vec![
        ("golden", wire("problem")),
        ("hostile", json(&hostile)),
        ("newer", br#"{"code":"from_the_future","message":"m","hint":"","more":[1]}"#.to_vec()),
    ]
}
