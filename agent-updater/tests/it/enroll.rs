//! Enrollment: every pin, and a lost answer.

use std::fs;

use sealpost_agent_updater::flows::enroll::EnrollError;
use sealpost_files::with_causes;
use sealpost_keys::SigningKey;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::ServerId;
use sealpost_manifests::wire::enroll::EnrollRequest;
use sealpost_manifests::wire::problem::ProblemCode;
use sealpost_test_support::web::Fault;

use crate::server::serve;
use crate::site::{Site, grant};

/// Not enrolled, and nothing of the refused answer kept.
fn assert_not_enrolled(site: &Site) {
    assert!(!site.computer.path().join("home/state/enrollment.json").exists());
}

#[test]
fn a_computer_enrolls_and_keeps_its_key_private() {
    use std::os::unix::fs::PermissionsExt;
    let site = Site::new();
    site.enrolled();
    let home = site.computer.path().join("home");
    assert_eq!(fs::metadata(home.join("keys/client.key")).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::read(home.join("root.json")).unwrap(), site.vendor.root_bytes());
    let status = site.agent().status();
    assert_eq!(status.computer_name.as_deref(), Some("pc-1"));
    assert!(!status.gate.run, "not licensed yet");
}

#[test]
fn after_a_lost_answer_the_same_key_enrolls_again() {
    let site = Site::new();
    site.web.once("enroll", Fault::LoseTheAnswer);
    let agent = site.agent();
    let lost = agent.enroll(&site.setup_file(), Some(&site.vendor.root_file())).unwrap_err();
    assert!(matches!(lost, EnrollError::AllFailed(_)), "{lost}");
    assert_not_enrolled(&site);
    agent.enroll(&site.setup_file(), None).unwrap();
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
fn another_sites_server_is_refused_by_its_certificate_before_the_code_is_sent() {
    let mut site = Site::new();
    // The other site has a good grant and knows the code; what it cannot have is the pinned CA's key.
    let (other, _) = site.runtime.block_on(serve(&site.server));
    site.setup.servers[0].port = other.port();
    let error = site.agent().enroll(&site.setup_file(), Some(&site.vendor.root_file())).unwrap_err();
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
            let pinned = site.setup.servers[0].clone();
            server.grant = match case {
                0 => grant(&site.vendor.license_key, &pinned.site_key, &other_id),
                1 => grant(&site.vendor.license_key, &other_key.public(), &pinned.server_id),
                // By nobody that the vendor's trust document lists.
                _ => grant(&SigningKey::generate().unwrap(), &pinned.site_key, &pinned.server_id),
            };
            if case == 1 {
                server.site_key = other_key;
            }
        }
        let error = site.agent().enroll(&site.setup_file(), Some(&site.vendor.root_file())).unwrap_err();
        assert!(matches!(error, EnrollError::Answer { .. }), "case {case}: {error}");
        assert_not_enrolled(&site);
    }
}

#[test]
fn an_enrollment_of_another_computer_is_refused() {
    let mut site = Site::new();
    site.server.lock().unwrap().server_id = ServerId::from_random([42; 16]);
    let error = site.agent().enroll(&site.setup_file(), Some(&site.vendor.root_file())).unwrap_err();
    assert!(matches!(error, EnrollError::Answer { .. }), "{error}");
    site.setup.servers.clear();
    let error = site.agent().enroll(&site.setup_file(), None).unwrap_err();
    assert!(error.to_string().contains("lists no server"), "{error}");
    assert_not_enrolled(&site);
}

#[test]
fn a_root_that_the_setup_file_does_not_name_is_refused_and_a_pinned_one_is_never_replaced() {
    let mut site = Site::new();
    let good = site.setup.root_sha256;
    site.setup.root_sha256 = Sha256Digest::of(b"another root");
    let error = site.agent().enroll(&site.setup_file(), Some(&site.vendor.root_file())).unwrap_err();
    assert!(matches!(error, EnrollError::OtherRoot { .. }), "{error}");
    assert!(!site.computer.path().join("home/root.json").exists());
    site.setup.root_sha256 = good;
    site.enrolled();
    let other = site.computer.path().join("other-root.json");
    fs::write(&other, b"another root").unwrap();
    let error = site.agent().enroll(&site.setup_file(), Some(&other)).unwrap_err();
    assert!(matches!(error, EnrollError::RootPinned { .. }), "{error}");
    site.setup.root_sha256 = Sha256Digest::of(b"another root");
    let error = site.agent().enroll(&site.setup_file(), None).unwrap_err();
    assert!(matches!(error, EnrollError::OtherRoot { .. }), "{error}");
    assert_eq!(fs::read(site.computer.path().join("home/root.json")).unwrap(), site.vendor.root_bytes());
}

#[test]
fn enrolling_again_repairs_a_damaged_enrollment_and_a_missing_root_as_their_messages_advise() {
    let site = Site::new();
    let agent = site.enrolled();
    site.release("1", 1, "one");
    fs::write(site.computer.path().join("home/state/enrollment.json"), "damaged").unwrap();
    let problems = agent.cycle().problems.join(" ");
    assert!(problems.contains("enroll this computer again"), "{problems}");
    agent.enroll(&site.setup_file(), None).unwrap();
    fs::remove_file(site.computer.path().join("home/root.json")).unwrap();
    let problems = agent.cycle().problems.join(" ");
    assert!(problems.contains("enroll this computer again with --root"), "{problems}");
    agent.enroll(&site.setup_file(), Some(&site.vendor.root_file())).unwrap();
    let cycle = agent.cycle();
    assert!(cycle.problems.is_empty(), "{:?}", cycle.problems);
    assert_eq!(site.installed().as_deref(), Some("one"));
}

#[test]
fn a_refusal_of_the_server_is_passed_on_with_its_code_and_hint() {
    let site = Site::new();
    site.refuse("enroll", ProblemCode::EnrollmentCodeUsed);
    let error = site.agent().enroll(&site.setup_file(), Some(&site.vendor.root_file())).unwrap_err();
    let text = with_causes(&error);
    assert!(text.contains("enrollment_code_used") && text.contains("ask the test"), "{text}");
    assert!(!text.contains(site.setup.enrollment_code.as_str()));
    assert_not_enrolled(&site);
}
