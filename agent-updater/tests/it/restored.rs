//! A server that knows less than it signed: it is shown what it signed, and goes on.

use jiff::{SignedDuration, Timestamp};
use sealpost_agent_updater::platform::store;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::document::SignedDocument;
use sealpost_manifests::wire::contact::ContactRequest;
use sealpost_manifests::wire::problem::ProblemCode;
use sealpost_test_support::clock::ManualClock;
use sealpost_test_support::web::Fault;

use crate::site::Site;

fn requests(site: &Site) -> Vec<ContactRequest> {
    let bodies = site.server.lock().unwrap().contacts.clone();
    bodies.iter().map(|body| serde_json::from_str(body).unwrap()).collect()
}

const CODES: [ProblemCode; 3] =
    [ProblemCode::NonceUnknown, ProblemCode::UnknownComputer, ProblemCode::LedgerBehind];

#[test]
fn the_same_contact_is_sent_once_more_with_what_the_server_signed_and_the_contacts_go_on() {
    for code in CODES {
        let site = Site::new();
        let agent = site.enrolled();
        site.release("1", 1, "one");
        assert!(agent.cycle().problems.is_empty());
        site.server.lock().unwrap().contacts.clear();
        site.server.lock().unwrap().wants_evidence = Some(code);
        let cycle = agent.cycle();
        assert!(cycle.problems.is_empty(), "{code}: {:?}", cycle.problems);
        let sent = requests(&site);
        assert_eq!(sent.len(), 2, "{code}");
        assert!(sent[0].evidence.is_none());
        assert_eq!(sent[0].contact.digest(), sent[1].contact.digest());
        let evidence = sent[1].evidence.as_ref().unwrap();
        assert!(evidence.assignment.is_some());
        site.server.lock().unwrap().wants_evidence = None;
        assert!(agent.cycle().problems.is_empty());
        let contacts = site.contacts();
        assert_eq!(contacts[2].previous, Some(contacts[1].next.clone()));
    }
}

#[test]
fn a_server_that_is_not_content_with_the_evidence_is_shown_it_once_per_contact() {
    let site = Site::new();
    let agent = site.enrolled();
    agent.cycle();
    for _ in 0..3 {
        site.server.lock().unwrap().contacts.clear();
        site.refuse("contact", ProblemCode::NonceUnknown);
        site.refuse("contact", ProblemCode::NonceUnknown);
        site.web.forget_asked();
        let problems = agent.cycle().problems.join(" ");
        assert!(problems.contains("nonce_unknown"), "{problems}");
        assert_eq!(site.web.asked("contact").len(), 2);
    }
    assert!(agent.cycle().problems.is_empty());
}

#[test]
fn a_computer_without_a_lease_that_counts_has_nothing_to_show() {
    let site = Site::new();
    let agent = site.enrolled();
    site.server.lock().unwrap().wants_evidence = Some(ProblemCode::NonceUnknown);
    assert!(!agent.cycle().problems.is_empty());
    assert_eq!(requests(&site).len(), 1);
    site.server.lock().unwrap().wants_evidence = None;
    assert!(agent.cycle().problems.is_empty());
    // A lease whose signature does not hold any more.
    let path = site.server_record("lease");
    let mut lease: SignedDocument = store::load(&path).unwrap().unwrap();
    lease.document = lease.document.replace("\"sequence\":", "\"sequence\":7");
    store::save(&path, &lease, 0o644).unwrap();
    site.server.lock().unwrap().contacts.clear();
    site.server.lock().unwrap().wants_evidence = Some(ProblemCode::LedgerBehind);
    assert!(!agent.cycle().problems.is_empty());
    assert_eq!(requests(&site).len(), 1);
}

#[test]
fn an_answer_to_the_evidence_that_is_lost_costs_nothing() {
    let site = Site::new();
    let agent = site.enrolled();
    agent.cycle();
    site.server.lock().unwrap().contacts.clear();
    site.refuse("contact", ProblemCode::LedgerBehind);
    site.web.once("contact", Fault::LoseTheAnswer);
    assert!(!agent.cycle().problems.is_empty());
    assert!(site.agent().cycle().problems.is_empty());
    let sent = requests(&site);
    let of = |request: &ContactRequest| -> Sha256Digest { request.contact.digest() };
    assert!(sent[0].evidence.is_some(), "the first that arrived");
    assert!(sent[1].evidence.is_none(), "the outstanding contact again, as it was");
    assert_eq!(of(&sent[0]), of(&sent[1]));
}

#[test]
fn an_assignment_that_ended_is_shown_all_the_same() {
    let site = Site::new();
    let agent = site.enrolled();
    site.server.lock().unwrap().change_assignment =
        |assignment| assignment.expires_at = assignment.issued_at + SignedDuration::from_mins(10);
    agent.cycle();
    let later = site.agent_with(ManualClock::still_at(Timestamp::now() + SignedDuration::from_hours(1)));
    site.server.lock().unwrap().contacts.clear();
    site.server.lock().unwrap().wants_evidence = Some(ProblemCode::LedgerBehind);
    later.cycle();
    let sent = requests(&site);
    let evidence = sent[1].evidence.as_ref().unwrap();
    assert!(evidence.assignment.is_some(), "its order is what the server has to go beyond");
}
