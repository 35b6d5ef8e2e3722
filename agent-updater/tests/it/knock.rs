//! A computer without a code: it asks, waits until its key is admitted, and then enrolls by itself.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use jiff::SignedDuration;
use sealpost_agent_updater::app::Agent;
use sealpost_agent_updater::flows::cycle::{self, CycleResult, Starts};
use sealpost_agent_updater::flows::enroll::{EnrollError, OtherName};
use sealpost_agent_updater::flows::status::ProblemKind;
use sealpost_agent_updater::platform::{machine, store};
use sealpost_agent_updater::records::waiting::WaitingKnock;
use sealpost_files::PRIVATE;
use sealpost_keys::Fingerprint;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::ComputerName;
use sealpost_manifests::setup::SetupKind;
use sealpost_manifests::wire::enroll::EnrollRequest;
use sealpost_manifests::wire::problem::ProblemCode;
use sealpost_test_support::clock::ManualClock;

use crate::site::Site;

/// A site whose setup file is of the kind that any computer may have.
fn knocking() -> Site {
    let mut site = Site::new();
    site.setup.kind = SetupKind::Knock;
    site.setup.computer_name = None;
    site.listed().enrollment_code = None;
    site
}

fn name() -> ComputerName {
    ComputerName::new("pc-1").unwrap()
}

fn record(site: &Site) -> PathBuf {
    site.computer.path().join("home/state/knock.json")
}

fn waits(site: &Site) {
    site.refuse("enroll", ProblemCode::WaitsForAdmission);
}

/// Asks as a person does, and has to wait.
fn asks(site: &Site, agent: &Agent) -> WaitingKnock {
    let root = site.vendor.root_file();
    match agent.enroll_under(&site.setup_file(), Some(&root), Some(&name()), OtherName::Refuse) {
        Err(EnrollError::Waits(waiting)) => *waiting,
        other => panic!("{other:?}"),
    }
}

/// What the daemon does when its time has come.
fn due(agent: &Agent) -> CycleResult {
    cycle::run(&agent.context, Starts::Due)
}

fn requests(site: &Site) -> Vec<EnrollRequest> {
    let server = site.server.lock().unwrap();
    server.enrollments.iter().map(|body| serde_json::from_str(body).unwrap()).collect()
}

#[test]
fn a_computer_waits_with_one_key_and_enrolls_by_itself_once_it_is_admitted() {
    let site = knocking();
    let clock = ManualClock::running();
    let agent = site.agent_with(clock.clone());
    waits(&site);
    let first = asks(&site, &agent);
    assert_eq!(fs::metadata(record(&site)).unwrap().permissions().mode() & 0o777, 0o600);
    let key = fs::read(agent.home().client_key()).unwrap();
    waits(&site);
    let again = asks(&site, &agent);
    assert_eq!(again.client_key, first.client_key);
    assert_eq!(fs::read(agent.home().client_key()).unwrap(), key, "the key is made once");

    let status = agent.status();
    let admission = status.admission.as_ref().unwrap();
    let fingerprint = Fingerprint::of(&first.client_key);
    assert_eq!((&admission.computer_name, admission.key), (&name(), fingerprint));
    assert!(status.problems.iter().any(|problem| problem.code == ProblemKind::WaitsForAdmission));
    let text = status.to_text();
    assert!(text.contains("waits to be admitted as pc-1") && text.contains(&fingerprint.grouped()), "{text}");
    assert!(text.contains(&format!("`distributor clients admit pc-1 --key {fingerprint}`")), "{text}");

    // Before its time it does not ask; the server would let it in.
    let early = due(&agent);
    assert!(early.problems[0].contains("waits to be admitted"), "{:?}", early.problems);
    assert!(requests(&site).is_empty());
    let pause = early.next_contact.duration_since(clock.now());
    assert!((SignedDuration::from_secs(790)..=SignedDuration::from_secs(990)).contains(&pause), "{pause}");
    clock.forward(SignedDuration::from_mins(17));
    waits(&site);
    assert!(due(&agent).problems[0].contains("waits to be admitted"));
    assert!(requests(&site).is_empty(), "it was told to wait again");

    clock.forward(SignedDuration::from_mins(17));
    let result = due(&agent);
    assert_eq!(result.problems, Vec::<String>::new());
    let sent = requests(&site);
    assert_eq!((sent.len(), sent[0].proof), (1, None));
    assert_eq!(sent[0].client_key, first.client_key);
    assert!(!record(&site).exists());
    let status = agent.status();
    assert_eq!(status.computer_name.as_deref(), Some("pc-1"));
    assert!(status.lease.live && status.admission.is_none(), "it has its lease with the same cycle");
    assert_eq!(fs::read(site.computer.path().join("home/root.json")).unwrap(), site.vendor.root_bytes());
}

#[test]
fn a_server_that_is_not_there_or_refuses_makes_it_ask_again_and_a_person_can_ask_at_once() {
    let site = knocking();
    let agent = site.agent();
    site.refuse("enroll", ProblemCode::Internal);
    let root = site.vendor.root_file();
    let error =
        agent.enroll_under(&site.setup_file(), Some(&root), Some(&name()), OtherName::Refuse).unwrap_err();
    assert!(matches!(error, EnrollError::AllFailed(_)), "{error}");
    assert!(record(&site).exists(), "it goes on");
    for code in [ProblemCode::Unconfirmed, ProblemCode::UnknownComputer, ProblemCode::Busy] {
        site.refuse("enroll", code);
        let said = agent.cycle().problems;
        assert!(said[0].contains("waits to be admitted") && said[0].contains(code.as_str()), "{said:?}");
        assert!(record(&site).exists());
    }
    assert_eq!(agent.cycle().problems, Vec::<String>::new());
    assert!(agent.status().lease.live);
}

#[test]
fn an_enrollment_with_a_code_ends_the_waiting() {
    let mut site = knocking();
    let agent = site.agent();
    waits(&site);
    asks(&site, &agent);
    let knock = site.setup.clone();
    let with_code = Site::new().setup;
    site.setup.kind = SetupKind::Reserved;
    site.setup.computer_name = Some(name());
    site.listed().enrollment_code = with_code.servers[0].enrollment_code.clone();
    agent.enroll(&site.setup_file(), None, OtherName::Refuse).unwrap();
    assert!(!record(&site).exists());
    // Who is enrolled and asks under another name has to say so.
    site.setup = knock;
    let other = ComputerName::new("lab-8").unwrap();
    let error = agent.enroll_under(&site.setup_file(), None, Some(&other), OtherName::Refuse).unwrap_err();
    assert!(matches!(error, EnrollError::OtherName { .. }), "{error}");
    assert!(!record(&site).exists());
}

#[test]
fn without_the_right_root_nothing_is_asked_and_a_name_goes_with_a_knock_alone() {
    let mut site = knocking();
    let agent = site.agent();
    let ask = |site: &Site, name: Option<&ComputerName>| {
        agent.enroll_under(&site.setup_file(), None, name, OtherName::Refuse).unwrap_err()
    };
    let error = ask(&site, Some(&name()));
    assert!(matches!(error, EnrollError::Missing { what: "root.json", .. }), "{error}");
    assert!(!record(&site).exists() && requests(&site).is_empty());
    let error = agent.add_server(&site.setup_file(), None, OtherName::Refuse).unwrap_err();
    assert!(matches!(error, EnrollError::OtherKind { .. }), "{error}");
    let error = agent.enrollment_file(&site.setup_file(), None, OtherName::Refuse).unwrap_err();
    assert!(matches!(error, EnrollError::OtherKind { .. }), "{error}");
    site.setup.kind = SetupKind::Reserved;
    site.setup.computer_name = ComputerName::new("pc-9").ok();
    let error = ask(&site, Some(&name()));
    assert!(matches!(error, EnrollError::Named { .. }), "{error}");
}

#[test]
fn a_damaged_record_of_the_waiting_is_said_and_holds_up_no_contact() {
    let site = Site::new();
    let agent = site.enrolled();
    fs::write(record(&site), "damaged").unwrap();
    let result = agent.cycle();
    assert_eq!(result.problems.len(), 1, "{:?}", result.problems);
    assert!(agent.status().lease.live);
    assert!(agent.status().problems.iter().any(|problem| problem.code == ProblemKind::RecordDamaged));
}

/// As if the home had been copied from another computer.
fn comes_from_another_computer(site: &Site) {
    let mut stored: serde_json::Value = store::load(&record(site)).unwrap().unwrap();
    stored["machine"]["id"] = serde_json::to_value(Sha256Digest::of(b"another computer")).unwrap();
    store::save(&record(site), &stored, PRIVATE).unwrap();
}

#[test]
fn a_copy_of_a_computer_that_waits_makes_a_key_of_its_own() {
    assert!(machine::machine().id.is_some(), "these tests need a computer with /etc/machine-id");
    let site = knocking();
    let agent = site.agent();
    waits(&site);
    let first = asks(&site, &agent);
    waits(&site);
    assert!(agent.cycle().problems[0].contains("waits to be admitted"));
    let again = WaitingKnock::load(agent.home()).unwrap().unwrap();
    assert_eq!(again.client_key, first.client_key, "this one is the same");

    let sealing = fs::read(agent.home().sealing_key()).unwrap();
    comes_from_another_computer(&site);
    waits(&site);
    // At once: it was told to nobody yet when to ask.
    assert!(due(&agent).problems[0].contains("waits to be admitted"));
    let copy = WaitingKnock::load(agent.home()).unwrap().unwrap();
    assert_ne!(copy.client_key, first.client_key);
    assert_eq!(copy.computer_name, name(), "a person gave it this name");
    assert_ne!(fs::read(agent.home().sealing_key()).unwrap(), sealing);
    assert_eq!(agent.status().admission.unwrap().key, Fingerprint::of(&copy.client_key));
    waits(&site);
    assert!(agent.cycle().problems[0].contains("waits to be admitted"));
    let kept = WaitingKnock::load(agent.home()).unwrap().unwrap();
    assert_eq!(kept.client_key, copy.client_key, "made once");
    assert_eq!(agent.cycle().problems, Vec::<String>::new());
    assert_eq!(requests(&site)[0].client_key, copy.client_key);
}

#[test]
fn a_copy_takes_the_name_of_its_own_computer_unless_a_person_gave_one() {
    let site = knocking();
    let agent = site.agent();
    let root = site.vendor.root_file();
    waits(&site);
    let waiting = match agent.enroll_under(&site.setup_file(), Some(&root), None, OtherName::Refuse) {
        Err(EnrollError::Waits(waiting)) => *waiting,
        other => panic!("{other:?}"),
    };
    WaitingKnock { computer_name: name(), ..waiting.clone() }.save(agent.home()).unwrap();
    comes_from_another_computer(&site);
    waits(&site);
    agent.cycle();
    let copy = WaitingKnock::load(agent.home()).unwrap().unwrap();
    assert_eq!(copy.computer_name, waiting.computer_name);
    assert_ne!(copy.client_key, waiting.client_key);
}

#[test]
fn a_copy_that_gets_a_setup_file_of_its_own_does_not_show_the_key_of_the_other_one() {
    let mut site = knocking();
    let agent = site.agent();
    waits(&site);
    let first = asks(&site, &agent);
    comes_from_another_computer(&site);
    site.setup.kind = SetupKind::Reserved;
    site.setup.computer_name = Some(name());
    site.listed().enrollment_code = Site::new().setup.servers[0].enrollment_code.clone();
    agent.enroll(&site.setup_file(), None, OtherName::Refuse).unwrap();
    assert_ne!(requests(&site)[0].client_key, first.client_key);
    // Whoever is enrolled keeps its key, also beside a record that stayed.
    let key = fs::read(agent.home().client_key()).unwrap();
    first.save(agent.home()).unwrap();
    comes_from_another_computer(&site);
    agent.cycle();
    assert_eq!(fs::read(agent.home().client_key()).unwrap(), key);
}

#[test]
fn a_record_of_before_says_nothing_of_a_machine_and_keeps_key_and_name() {
    let site = knocking();
    let agent = site.agent();
    waits(&site);
    let first = asks(&site, &agent);
    let mut stored: serde_json::Value = store::load(&record(&site)).unwrap().unwrap();
    let fields = stored.as_object_mut().unwrap();
    let _ = (fields.remove("machine"), fields.remove("name_is_given"));
    store::save(&record(&site), &stored, PRIVATE).unwrap();
    waits(&site);
    agent.cycle();
    let waiting = WaitingKnock::load(agent.home()).unwrap().unwrap();
    assert_eq!((waiting.client_key, waiting.computer_name), (first.client_key, first.computer_name));
}
