//! A computer that was copied: the one that the administrator kept makes a key of its own, the other one is told what to do.

use std::fs;

use sealpost_agent_updater::domain::cadence::Standing;
use sealpost_agent_updater::flows::status::ProblemKind;
use sealpost_agent_updater::records::computer::ComputerProgress;
use sealpost_agent_updater::records::server::Enrollment;
use sealpost_keys::key_file::{read_secret, write_secret};
use sealpost_keys::{PassphraseSource, PublicKey, SigningKey};
use sealpost_manifests::document::SignedDocument;
use sealpost_manifests::grant::Grant;
use sealpost_manifests::ids::ClientId;
use sealpost_manifests::wire::enroll::EnrollRequest;
use sealpost_manifests::wire::problem::ProblemCode;
use sealpost_test_support::web::Fault;

use crate::site::{Site, grant};

fn new_id() -> ClientId {
    ClientId::from_random([55; 16])
}

/// The key that the enrollment of the computer names.
fn enrolled_key(site: &Site) -> PublicKey {
    enrollment(site).client_key
}

fn enrollment(site: &Site) -> Enrollment {
    let text = fs::read_to_string(site.server_record("enrollment")).unwrap();
    let body = text.split_once('\n').map_or(text.as_str(), |(_, body)| body);
    serde_json::from_str(body).unwrap()
}

fn key_file(site: &Site, name: &str) -> std::path::PathBuf {
    site.computer.path().join("home/keys").join(name)
}

fn own_key(site: &Site) -> std::path::PathBuf {
    key_file(site, &format!("{}.key", site.server.lock().unwrap().server_id))
}

fn next_key(site: &Site) -> std::path::PathBuf {
    key_file(site, &format!("{}.next.key", site.server.lock().unwrap().server_id))
}

fn public(path: &std::path::Path) -> PublicKey {
    read_secret(path, &PassphraseSource::None).unwrap().public()
}

/// The keys with which the computer asked to go on, in order.
fn asked_with(site: &Site) -> Vec<PublicKey> {
    let server = site.server.lock().unwrap();
    let requests = server.enrollments.iter().map(|body| serde_json::from_str::<EnrollRequest>(body).unwrap());
    requests.filter(|request| request.branch.is_some()).map(|request| request.client_key).collect()
}

/// A computer that runs a release and whose contacts are refused from now on, because there is a copy of it.
fn kept() -> (Site, sealpost_agent_updater::app::Agent) {
    let site = Site::new();
    let agent = site.enrolled();
    site.release("1", 1, "one");
    assert!(agent.cycle().problems.is_empty());
    site.server.lock().unwrap().keeps = Some(new_id());
    (site, agent)
}

#[test]
fn the_copy_that_is_kept_goes_on_by_itself_with_a_key_of_its_own_and_loses_nothing() {
    let (site, agent) = kept();
    let old = enrolled_key(&site);
    let held = site.contacts().last().unwrap().next.clone();
    let cycle = agent.cycle();
    assert!(cycle.problems.is_empty(), "{:?}", cycle.problems);
    let key = enrolled_key(&site);
    assert_ne!(key, old);
    assert_eq!(public(&own_key(&site)), key);
    assert_eq!(asked_with(&site), std::slice::from_ref(&key));
    assert!(!next_key(&site).exists(), "it has its place");
    let contacts = site.contacts();
    let [.., refused, first] = contacts.as_slice() else { panic!("{contacts:?}") };
    assert_eq!(refused.previous.as_ref(), Some(&held));
    assert_eq!((first.client_id.clone(), first.previous.clone()), (new_id(), None));
    assert_eq!(first.new_key, None, "only what proves the branch names it");
    assert!(first.held_head.is_some(), "the log of the server is the same, and is witnessed on");
    assert_eq!((site.installed().as_deref(), site.gate().run), (Some("one"), true));
    // It goes on as any other, and installs.
    site.release("2", 2, "two");
    assert!(agent.cycle().problems.is_empty());
    assert_eq!(site.installed().as_deref(), Some("two"));
    assert_eq!(agent.status().standing, Standing::Licensed);
    // And again, should it be copied once more.
    site.server.lock().unwrap().keeps = Some(ClientId::from_random([56; 16]));
    assert!(agent.cycle().problems.is_empty());
    assert_ne!(enrolled_key(&site), key);
    assert_eq!(public(&own_key(&site)), enrolled_key(&site));
}

#[test]
fn no_grant_goes_back_by_an_answer_that_lets_the_kept_copy_go_on() {
    let site = Site::new();
    let agent = site.enrolled();
    assert!(agent.cycle().problems.is_empty());
    let kept_since = site.server.lock().unwrap().grants.clone();
    site.server.lock().unwrap().renew_grant(&site.vendor.license_key, |_| {});
    let newest = site.server.lock().unwrap().grants.clone();
    assert!(agent.cycle().problems.is_empty());
    let held = |site: &Site| enrollment(site).grants.iter().map(|grant| grant.digest()).collect::<Vec<_>>();
    assert_eq!(held(&site), [newest[0].digest()]);
    let old = enrolled_key(&site);
    site.server.lock().unwrap().keeps = Some(new_id());
    site.server.lock().unwrap().grants = kept_since;
    // The server has bound the new key when it answers: without it this computer could go on no more.
    let cycle = agent.cycle();
    assert_ne!(enrolled_key(&site), old);
    assert_eq!((held(&site), enrollment(&site).client_id), (vec![newest[0].digest()], new_id()));
    let told = |problem: &String| problem.contains("a grant of the server was refused");
    assert!(cycle.problems.iter().all(told), "{:?}", cycle.problems);
    site.server.lock().unwrap().grants = newest.clone();
    assert!(agent.cycle().problems.is_empty());
    assert_eq!(held(&site), [newest[0].digest()]);
}

#[test]
fn without_any_grant_that_counts_the_kept_copy_goes_on_by_those_that_it_holds() {
    let (site, agent) = kept();
    let (old, held) = (enrolled_key(&site), enrollment(&site).grants);
    // Of a license key that this vendor never had.
    let stranger = SigningKey::generate().unwrap();
    let foreign = {
        let server = site.server.lock().unwrap();
        grant(&stranger, &server.site_key, &server.server_id)
    };
    site.server.lock().unwrap().grants = vec![foreign];
    agent.cycle();
    assert_ne!(enrolled_key(&site), old);
    assert_eq!(enrollment(&site).grants.len(), held.len());
    assert_eq!(enrollment(&site).grants[0].digest(), held[0].digest());
}

#[test]
fn a_newer_grant_that_lets_the_kept_copy_go_on_is_the_newest_that_the_vendor_said() {
    let (site, agent) = kept();
    site.server.lock().unwrap().renew_grant(&site.vendor.license_key, |_| {});
    let newest = site.server.lock().unwrap().grants[0].clone();
    // It goes on, and is then answered no contact that would say the same.
    site.server.lock().unwrap().wants_evidence = Some(ProblemCode::Busy);
    assert!(!agent.cycle().problems.is_empty());
    let enrollment = enrollment(&site);
    assert_eq!(enrollment.client_id, new_id());
    assert_eq!(enrollment.grants.iter().map(SignedDocument::digest).collect::<Vec<_>>(), [newest.digest()]);
    let granted = newest.verify::<Grant>(&[site.vendor.license_key.public()]).unwrap().into_inner();
    let floors = serde_json::to_value(ComputerProgress::load(agent.home()).unwrap().floors).unwrap();
    assert_eq!(floors["generations"][granted.serial.as_str()], granted.generation, "{floors}");
}

#[test]
fn a_kept_copy_that_refuses_the_answer_is_not_told_that_it_is_the_other_one() {
    let (site, agent) = kept();
    let old = enrolled_key(&site);
    let stranger = SigningKey::generate().unwrap();
    let own = std::mem::replace(&mut site.server.lock().unwrap().site_key, stranger);
    for _ in ["it is kept", "the server knows another id of it"] {
        let cycle = agent.cycle();
        assert!(cycle.problems[0].contains("goes on running"), "{:?}", cycle.problems);
        assert_eq!(enrolled_key(&site), old);
        let status = agent.status();
        let refused = status.problems.iter().find(|problem| problem.code == ProblemKind::Refused).unwrap();
        assert_eq!(refused.refusal, Some(ProblemCode::CopyKept), "{}", refused.text);
        assert!(
            refused.text.contains("was kept") && refused.text.contains("was refused"),
            "{}",
            refused.text
        );
        assert!(!refused.text.contains("seat of its own") && !refused.text.contains("--replace"));
    }
    assert_eq!(site.server.lock().unwrap().client_id, new_id(), "the server took it");
    site.server.lock().unwrap().site_key = own;
    assert!(agent.cycle().problems.is_empty());
    assert_ne!(enrolled_key(&site), old);
}

#[test]
fn an_answer_that_was_lost_is_asked_for_with_the_same_key_also_when_the_old_id_is_dead() {
    let (site, agent) = kept();
    let old = enrolled_key(&site);
    for path in ["enroll", "enroll"] {
        // What the server took is not heard of: its answer ends in the middle.
        site.web.once(path, Fault::LoseTheAnswer);
        let cycle = agent.cycle();
        assert!(cycle.problems[0].contains("goes on running"), "{:?}", cycle.problems);
        assert_eq!((enrolled_key(&site), site.gate().run), (old.clone(), true));
        assert!(next_key(&site).exists());
    }
    assert_eq!(site.server.lock().unwrap().client_id, new_id(), "the server took it");
    assert!(agent.cycle().problems.is_empty());
    let keys = asked_with(&site);
    assert!(keys.len() >= 3 && keys.iter().all(|key| *key == enrolled_key(&site)), "{}", keys.len());
    assert!(agent.cycle().problems.is_empty());
}

#[test]
fn after_the_power_went_between_the_enrollment_and_what_follows_it_goes_on() {
    let (site, agent) = kept();
    let waiting = {
        // Refused, and not gone on with: the contact of the old id waits.
        site.refuse("enroll", ProblemCode::Internal);
        agent.cycle();
        fs::read(site.server_record("contact")).unwrap()
    };
    assert!(agent.cycle().problems.is_empty());
    // As it was before what belongs to the old id was removed, and the key got its place.
    fs::write(site.server_record("contact"), waiting).unwrap();
    fs::rename(own_key(&site), next_key(&site)).unwrap();
    site.server.lock().unwrap().is_strict = false;
    let cycle = agent.cycle();
    assert!(cycle.problems.is_empty(), "{:?}", cycle.problems);
    assert_eq!(site.contacts().last().unwrap().client_id, new_id());
    assert!(own_key(&site).exists() && !next_key(&site).exists());
}

#[test]
fn the_copy_that_is_given_up_runs_on_and_its_status_says_how_it_gets_a_seat_of_its_own() {
    let (site, agent) = kept();
    site.server.lock().unwrap().keeps = None;
    // The server knows another id.
    site.server.lock().unwrap().client_id = new_id();
    let before = site.server.lock().unwrap().enrollments.len();
    let cycle = agent.cycle();
    assert!(cycle.problems[0].contains("goes on running"), "{:?}", cycle.problems);
    assert_eq!((site.installed().as_deref(), site.gate().run), (Some("one"), true));
    let status = agent.status();
    let refused = status.problems.iter().find(|problem| problem.code == ProblemKind::Refused).unwrap();
    assert_eq!(refused.refusal, Some(ProblemCode::CopyGivenUp));
    for command in
        ["clients reserve NEWNAME", "clients setup NEWNAME", "agent-updater enroll --setup FILE --replace"]
    {
        assert!(refused.text.contains(command), "{}", refused.text);
    }
    assert_eq!(site.server.lock().unwrap().enrollments.len(), before, "it asks for no key of its own");
    assert!(!next_key(&site).exists());
    // A key that it made while it was the one that was kept opens nothing, and goes with the next answer.
    write_secret(&next_key(&site), &SigningKey::generate().unwrap(), None).unwrap();
    site.server.lock().unwrap().client_key = Some(SigningKey::generate().unwrap().public());
    let old = enrolled_key(&site);
    assert!(!agent.cycle().problems.is_empty());
    assert_eq!(enrolled_key(&site), old);
}
