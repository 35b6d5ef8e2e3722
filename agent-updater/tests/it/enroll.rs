//! Enrollment: every pin, and a lost answer.

use std::fs;
use std::os::unix::fs::symlink;

use sealpost_agent_updater::domain::gate_file::OpenNow;
use sealpost_agent_updater::flows::enroll::{EnrollError, OtherName};
use sealpost_files::with_causes;
use sealpost_keys::SigningKey;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::{ClientId, ComputerName, ServerId};
use sealpost_manifests::setup::SetupKind;
use sealpost_manifests::wire::enroll::{EnrollRequest, proof};
use sealpost_manifests::wire::problem::ProblemCode;
use sealpost_test_support::web::Fault;

use crate::log::Log;
use crate::server::serve;
use crate::site::{Site, grant, server_of};

/// Not enrolled, and nothing of the refused answer kept.
fn assert_not_enrolled(site: &Site) {
    let state = site.computer.path().join("home/state");
    assert!(!state.join("servers.json").exists());
    assert_eq!(fs::read_dir(state.join("servers")).unwrap().count(), 0);
}

#[test]
fn a_computer_enrolls_and_keeps_its_key_private() {
    use std::os::unix::fs::PermissionsExt;
    let site = Site::new();
    site.enrolled();
    let home = site.computer.path().join("home");
    for key in ["client.key", "sealing.key"] {
        assert_eq!(fs::metadata(home.join("keys").join(key)).unwrap().permissions().mode() & 0o777, 0o600);
    }
    let body = site.server.lock().unwrap().enrollments[0].clone();
    let code = site.setup.servers[0].enrollment_code.clone().unwrap();
    assert!(!body.contains(code.as_str()), "the code is never sent");
    let request: EnrollRequest = serde_json::from_str(&body).unwrap();
    assert_eq!(request.proof, Some(proof(&code, &request.enrollment.document)));
    let enrolled = fs::read_to_string(site.server_record("enrollment")).unwrap();
    assert!(!enrolled.contains(code.as_str()), "and not kept");
    assert_eq!(fs::read(home.join("root.json")).unwrap(), site.vendor.root_bytes());
    let status = site.agent().status();
    assert_eq!(status.computer_name.as_deref(), Some("pc-1"));
    assert_eq!(site.gate(), OpenNow::default(), "not licensed yet");
}

#[test]
fn a_key_that_cannot_be_looked_at_is_not_replaced_by_a_new_one() {
    let site = Site::new();
    let agent = site.agent();
    agent.home().prepare().unwrap();
    for path in [agent.home().client_key(), agent.home().sealing_key()] {
        symlink(path.file_name().unwrap(), &path).unwrap();
        let error =
            agent.enroll(&site.setup_file(), Some(&site.vendor.root_file()), OtherName::Refuse).unwrap_err();
        assert!(matches!(error, EnrollError::Unreadable { .. }), "{error}");
        assert!(fs::symlink_metadata(&path).unwrap().is_symlink(), "it is as it was");
        fs::remove_file(&path).unwrap();
    }
    assert_not_enrolled(&site);
}

#[test]
fn after_a_lost_answer_the_same_key_enrolls_again() {
    let site = Site::new();
    site.web.once("enroll", Fault::LoseTheAnswer);
    let agent = site.agent();
    let lost =
        agent.enroll(&site.setup_file(), Some(&site.vendor.root_file()), OtherName::Refuse).unwrap_err();
    assert!(matches!(lost, EnrollError::AllFailed(_)), "{lost}");
    assert_not_enrolled(&site);
    agent.enroll(&site.setup_file(), None, OtherName::Refuse).unwrap();
    let keys: Vec<_> = site
        .server
        .lock()
        .unwrap()
        .enrollments
        .iter()
        .map(|body| serde_json::from_str::<EnrollRequest>(body).unwrap().client_key)
        .collect();
    assert_eq!(keys.len(), 2);
    assert_eq!(keys[0], keys[1]);
}

#[test]
fn another_sites_server_is_refused_by_its_certificate_before_anything_is_sent() {
    let mut site = Site::new();
    // The other site has a good grant and knows the code; what it cannot have is the pinned CA's key.
    let (other, _) = site.runtime.block_on(serve(&site.server));
    site.listed().server.port = other.port();
    let error = site
        .agent()
        .enroll(&site.setup_file(), Some(&site.vendor.root_file()), OtherName::Refuse)
        .unwrap_err();
    assert!(with_causes(&error).contains("pins"), "{}", with_causes(&error));
    assert!(site.server.lock().unwrap().enrollments.is_empty());
    assert_not_enrolled(&site);
}

#[test]
fn a_server_with_a_good_grant_for_another_id_or_site_key_is_refused() {
    for case in 0..3 {
        let site = Site::new();
        {
            let mut server = site.server.lock().unwrap();
            let other_id = ServerId::from_random([99; 16]);
            let other_key = SigningKey::generate().unwrap();
            let pinned_id = server.server_id.clone();
            server.grants = vec![match case {
                0 => grant(&site.vendor.license_key, &server.site_key, &other_id),
                1 => grant(&site.vendor.license_key, &other_key, &pinned_id),
                // By nobody that the vendor's trust document lists.
                _ => grant(&SigningKey::generate().unwrap(), &server.site_key, &pinned_id),
            }];
            if case == 1 {
                server.site_key = other_key;
            }
        }
        let error = site
            .agent()
            .enroll(&site.setup_file(), Some(&site.vendor.root_file()), OtherName::Refuse)
            .unwrap_err();
        assert!(matches!(error, EnrollError::Answer { .. }), "case {case}: {error}");
        assert_not_enrolled(&site);
    }
}

#[test]
fn an_enrollment_of_another_computer_is_refused() {
    let mut site = Site::new();
    site.server.lock().unwrap().server_id = ServerId::from_random([42; 16]);
    let error = site
        .agent()
        .enroll(&site.setup_file(), Some(&site.vendor.root_file()), OtherName::Refuse)
        .unwrap_err();
    assert!(matches!(error, EnrollError::Answer { .. }), "{error}");
    site.setup.servers.clear();
    let error = site.agent().enroll(&site.setup_file(), None, OtherName::Refuse).unwrap_err();
    assert!(error.to_string().contains("lists no server"), "{error}");
    assert_not_enrolled(&site);
}

#[test]
fn a_root_that_the_setup_file_does_not_name_is_refused_and_a_pinned_one_is_never_replaced() {
    let mut site = Site::new();
    let good = site.setup.root_sha256;
    site.setup.root_sha256 = Sha256Digest::of(b"another root");
    let error = site
        .agent()
        .enroll(&site.setup_file(), Some(&site.vendor.root_file()), OtherName::Refuse)
        .unwrap_err();
    assert!(matches!(error, EnrollError::OtherRoot { .. }), "{error}");
    assert!(!site.computer.path().join("home/root.json").exists());
    site.setup.root_sha256 = good;
    site.enrolled();
    let other = site.computer.path().join("other-root.json");
    fs::write(&other, b"another root").unwrap();
    let error = site.agent().enroll(&site.setup_file(), Some(&other), OtherName::Refuse).unwrap_err();
    assert!(matches!(error, EnrollError::RootPinned { .. }), "{error}");
    site.setup.root_sha256 = Sha256Digest::of(b"another root");
    let error = site.agent().enroll(&site.setup_file(), None, OtherName::Refuse).unwrap_err();
    assert!(matches!(error, EnrollError::OtherRoot { .. }), "{error}");
    assert_eq!(fs::read(site.computer.path().join("home/root.json")).unwrap(), site.vendor.root_bytes());
}

#[test]
fn enrolling_again_repairs_a_damaged_enrollment_and_a_missing_root_as_their_messages_advise() {
    let site = Site::new();
    let agent = site.enrolled();
    site.release("1", 1, "one");
    fs::write(site.server_record("enrollment"), "damaged").unwrap();
    let problems = agent.cycle().problems.join(" ");
    assert!(problems.contains("enroll this computer again"), "{problems}");
    agent.enroll(&site.setup_file(), None, OtherName::Refuse).unwrap();
    fs::remove_file(site.computer.path().join("home/root.json")).unwrap();
    let problems = agent.cycle().problems.join(" ");
    assert!(problems.contains("enroll this computer again with --root"), "{problems}");
    agent.enroll(&site.setup_file(), Some(&site.vendor.root_file()), OtherName::Refuse).unwrap();
    let cycle = agent.cycle();
    assert!(cycle.problems.is_empty(), "{:?}", cycle.problems);
    assert_eq!(site.installed().as_deref(), Some("one"));
}

#[test]
fn a_refusal_of_the_server_is_passed_on_with_its_code_and_hint() {
    let site = Site::new();
    site.refuse("enroll", ProblemCode::EnrollmentCodeUsed);
    let error = site
        .agent()
        .enroll(&site.setup_file(), Some(&site.vendor.root_file()), OtherName::Refuse)
        .unwrap_err();
    let text = with_causes(&error);
    assert!(text.contains("enrollment_code_used") && text.contains("ask the test"), "{text}");
    assert!(!text.contains(site.setup.servers[0].enrollment_code.as_ref().unwrap().as_str()));
    assert_not_enrolled(&site);
}

#[test]
fn a_setup_file_of_another_kind_and_a_server_of_another_role_are_explained_and_skipped() {
    let mut site = Site::new();
    let listed = site.setup.servers[0].clone();
    site.setup.kind = "pool".parse().unwrap();
    let error = site
        .agent()
        .enroll(&site.setup_file(), Some(&site.vendor.root_file()), OtherName::Refuse)
        .unwrap_err();
    assert!(error.to_string().contains("update the agent"), "{error}");
    site.setup.kind = SetupKind::Reserved;
    let mut relay = listed.clone();
    relay.server.role = "relay".parse().unwrap();
    site.setup.servers = vec![relay.clone()];
    let error = site
        .agent()
        .enroll(&site.setup_file(), Some(&site.vendor.root_file()), OtherName::Refuse)
        .unwrap_err();
    assert!(error.to_string().contains("relay"), "{error}");
    assert_not_enrolled(&site);
    site.setup.servers = vec![relay, listed];
    site.agent().enroll(&site.setup_file(), None, OtherName::Refuse).unwrap();
}

#[test]
fn a_log_key_that_the_site_did_not_certify_for_this_server_is_refused() {
    let site = Site::new();
    let (other_id, other_key) = (ServerId::from_random([9; 16]), SigningKey::generate().unwrap());
    let certificates = {
        let server = site.server.lock().unwrap();
        [
            Log::new(&other_id, &server.site_key).certificate,
            Log::new(&server.server_id, &other_key).certificate,
        ]
    };
    for certificate in certificates {
        site.server.lock().unwrap().log.certificate = certificate;
        let error = site
            .agent()
            .enroll(&site.setup_file(), Some(&site.vendor.root_file()), OtherName::Refuse)
            .unwrap_err();
        assert!(matches!(error, EnrollError::Answer { .. }), "{error}");
        assert_not_enrolled(&site);
    }
}

#[test]
fn enrolling_with_another_server_keeps_what_the_first_one_gave_and_works_with_the_new_one() {
    let mut site = Site::new();
    let agent = site.enrolled();
    site.release("1", 1, "one");
    assert!(agent.cycle().problems.is_empty());
    let first = site.setup.servers[0].clone();
    let records = ["enrollment", "contact", "lease", "assignment", "standing", "acknowledgement"];
    let kept = records.map(|name| fs::read(site.server_record(name)).unwrap());
    let (second, _web, listed) = server_of(&site.vendor, &site.runtime);
    second.lock().unwrap().client_id = ClientId::from_random([9; 16]);
    site.setup.servers = vec![listed];
    let enrolled = agent.enroll(&site.setup_file(), None, OtherName::Refuse).unwrap();
    assert!(enrolled.warnings.iter().any(|warning| warning.contains(first.server.server_id.as_str())));
    let contacts = site.server.lock().unwrap().contacts.len();
    let cycle = agent.cycle();
    assert!(cycle.problems.is_empty(), "{:?}", cycle.problems);
    assert!(!second.lock().unwrap().contacts.is_empty());
    assert_eq!(site.server.lock().unwrap().contacts.len(), contacts, "the first is not asked any more");
    assert_eq!(site.installed().as_deref(), Some("one"));
    site.setup.servers = vec![first];
    assert_eq!(records.map(|name| fs::read(site.server_record(name)).unwrap()), kept);
    // And back: the nonces go on where they were.
    agent.enroll(&site.setup_file(), None, OtherName::Refuse).unwrap();
    assert!(agent.cycle().problems.is_empty());
    let contacts = site.contacts();
    assert_eq!(contacts.last().unwrap().previous, Some(contacts[contacts.len() - 2].next.clone()));
}

#[test]
fn a_second_server_gets_a_key_of_its_own_and_the_first_key_stays() {
    let mut site = Site::new();
    let agent = site.enrolled();
    let first = fs::read(agent.home().client_key()).unwrap();
    let (second, web, listed) = server_of(&site.vendor, &site.runtime);
    let own = agent.home().server_key(&listed.server.server_id);
    let listed_first = std::mem::replace(&mut site.setup.servers[0], listed);
    web.once("enroll", Fault::LoseTheAnswer);
    agent.enroll(&site.setup_file(), None, OtherName::Refuse).unwrap_err();
    let key = fs::read(&own).unwrap();
    agent.enroll(&site.setup_file(), None, OtherName::Refuse).unwrap();
    assert_eq!(fs::read(&own).unwrap(), key, "a lost answer is asked for again with the same key");
    assert_eq!(fs::read(agent.home().client_key()).unwrap(), first);
    let known = [&site.server, &second].map(|server| server.lock().unwrap().client_key.clone().unwrap());
    assert_ne!(known[0], known[1]);
    assert!(agent.cycle().problems.is_empty(), "the contact is signed with the key that this server knows");
    // And back, with the key that the first one knows.
    site.setup.servers[0] = listed_first;
    agent.enroll(&site.setup_file(), None, OtherName::Refuse).unwrap();
    assert!(agent.cycle().problems.is_empty());
    assert_eq!(site.server.lock().unwrap().client_key.as_ref(), Some(&known[0]));
}

#[test]
fn a_home_of_before_whose_two_servers_know_the_same_key_goes_on_with_it() {
    let mut site = Site::new();
    let agent = site.enrolled();
    let (second, _web, listed) = server_of(&site.vendor, &site.runtime);
    // As an older agent enrolled with a second server: its file is the first key's.
    let own = agent.home().server_key(&listed.server.server_id);
    fs::copy(agent.home().client_key(), &own).unwrap();
    site.setup.servers = vec![listed];
    agent.enroll(&site.setup_file(), None, OtherName::Refuse).unwrap();
    fs::remove_file(&own).unwrap();
    assert!(agent.cycle().problems.is_empty());
    assert!(agent.status().problems.is_empty());
    agent.enroll(&site.setup_file(), None, OtherName::Refuse).unwrap();
    assert!(!own.exists(), "also enrolling again keeps the key that the server knows");
    let known = [&site.server, &second].map(|server| server.lock().unwrap().client_key.clone().unwrap());
    assert_eq!(known[0], known[1]);
}

#[test]
fn another_computers_setup_file_is_refused_before_anything_is_sent_and_names_the_price() {
    let mut site = Site::new();
    let agent = site.enrolled();
    agent.cycle();
    let record = fs::read(site.server_record("enrollment")).unwrap();
    site.setup.computer_name = Some(ComputerName::new("pc-2").unwrap());
    let error = agent.enroll(&site.setup_file(), None, OtherName::Refuse).unwrap_err();
    assert!(matches!(error, EnrollError::OtherName { .. }), "{error}");
    for part in ["pc-1", "pc-2", "--replace", "takes a seat", "for good"] {
        assert!(error.to_string().contains(part), "{error}");
    }
    assert_eq!(site.server.lock().unwrap().enrollments.len(), 1, "nothing was sent");
    assert_eq!(fs::read(site.server_record("enrollment")).unwrap(), record);
    // Also when the enrollment cannot be read: then the lease says who this computer is.
    fs::write(site.server_record("enrollment"), "damaged").unwrap();
    let error = agent.enroll(&site.setup_file(), None, OtherName::Refuse).unwrap_err();
    assert!(matches!(error, EnrollError::OtherName { .. }), "{error}");
    // The same name again is no other computer, and whoever pays the price gets the other name.
    site.setup.computer_name = Some(ComputerName::new("pc-1").unwrap());
    agent.enroll(&site.setup_file(), None, OtherName::Refuse).unwrap();
    site.setup.computer_name = Some(ComputerName::new("pc-2").unwrap());
    agent.enroll(&site.setup_file(), None, OtherName::Replace).unwrap();
    assert_eq!(agent.status().computer_name.as_deref(), Some("pc-2"));
}

#[test]
fn enrolling_again_as_the_same_client_keeps_its_nonces_and_resets_orders_and_heads() {
    let site = Site::new();
    let agent = site.enrolled();
    agent.cycle();
    agent.cycle();
    site.server.lock().unwrap().sequence = 0;
    let cycle = agent.cycle();
    assert!(cycle.problems.iter().any(|problem| problem.contains("held before")), "{:?}", cycle.problems);
    agent.enroll(&site.setup_file(), None, OtherName::Refuse).unwrap();
    site.server.lock().unwrap().sequence = 0;
    let cycle = agent.cycle();
    assert!(cycle.problems.is_empty(), "{:?}", cycle.problems);
    let contacts = site.contacts();
    let last = contacts.last().unwrap();
    assert_eq!(last.previous, Some(contacts[contacts.len() - 2].next.clone()));
    assert_eq!(last.held_head, None);
}

#[test]
fn records_of_an_earlier_format_are_refused_with_what_to_do_and_stay_as_they_are() {
    let site = Site::new();
    let agent = site.enrolled();
    let path = site.computer.path().join("home/state/computer.json");
    let old = sealpost_files::frame("sealpost-record 2", b"{}");
    fs::write(&path, &old).unwrap();
    let problems = agent.cycle().problems.join(" ");
    assert!(
        problems.contains("format version 2") && problems.contains("enroll this computer again"),
        "{problems}"
    );
    assert_eq!(fs::read(&path).unwrap(), old);
}
