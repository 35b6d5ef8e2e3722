//! Contacts: lost answers, refused parts, lost servers, damaged records.

use std::fs;
use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use sealpost_agent_updater::app::Agent;
use sealpost_agent_updater::domain::cadence::Standing;
use sealpost_agent_updater::domain::gate_file::OpenNow;
use sealpost_agent_updater::flows::enroll::OtherName;
use sealpost_agent_updater::home::Home;
use sealpost_agent_updater::platform::store;
use sealpost_manifests::document::SignedDocument;
use sealpost_manifests::ids::{ClientId, ComputerName, ServerId};
use sealpost_manifests::lease::Lease;
use sealpost_manifests::wire::problem::ProblemCode;
use sealpost_test_support::clock::ManualClock;
use sealpost_test_support::web::Fault;

use crate::site::{Site, contact};

const OPEN: OpenNow = OpenNow { run: true, upload: true, remote_management: true };
const RUN_ONLY: OpenNow = OpenNow { run: true, upload: false, remote_management: false };

/// A site with an enrolled computer, to which a release is assigned.
fn site_with_release() -> (Site, Agent) {
    let site = Site::new();
    let agent = site.enrolled();
    site.release("1", 1, "one");
    (site, agent)
}

#[test]
fn the_first_lease_opens_the_gate() {
    let (site, agent) = site_with_release();
    assert_eq!(site.gate(), OpenNow::default());
    let cycle = agent.cycle();
    assert!(cycle.problems.is_empty(), "{:?}", cycle.problems);
    assert_eq!(site.gate(), OPEN);
    assert_eq!(agent.status().standing, Standing::Licensed);
}

#[test]
fn a_lost_answer_is_asked_for_again_byte_by_byte_and_the_nonces_go_on() {
    let (site, agent) = site_with_release();
    site.web.once("contact", Fault::LoseTheAnswer);
    assert!(!agent.cycle().problems.is_empty());
    assert_eq!(site.gate(), OpenNow::default());
    // Another process, later: what is sent again was read from disk.
    assert!(site.agent().cycle().problems.is_empty());
    let contacts = site.server.lock().unwrap().contacts.clone();
    assert_eq!(contacts[0], contacts[1]);
    assert_eq!(contacts.len(), 3, "after an answered retry, what is new since then is reported");
    assert_eq!(contact(&contacts[1]).previous, None);
    assert_eq!(contact(&contacts[2]).previous, Some(contact(&contacts[1]).next));
    assert_eq!(site.gate(), OPEN);
}

#[test]
fn losing_contact_holds_uploads_and_never_the_product() {
    let (site, agent) = site_with_release();
    agent.cycle();
    site.refuse("contact", ProblemCode::Internal);
    assert!(!agent.cycle().problems.is_empty());
    assert_eq!(site.gate(), RUN_ONLY);
    let status = agent.status();
    assert_eq!(status.standing, Standing::LostContact);
    assert!(status.contact_problem.unwrap().contains("internal"));
    assert!(agent.cycle().problems.is_empty());
    assert_eq!(site.gate(), OPEN);
}

#[test]
fn a_lease_for_another_computer_or_server_or_from_before_is_refused_and_the_held_one_stays() {
    let changes: [fn(&mut Lease); 5] = [
        |lease| lease.computer_name = ComputerName::new("other").unwrap(),
        |lease| lease.client_id = ClientId::from_random([1; 16]),
        |lease| lease.server_id = ServerId::from_random([1; 16]),
        |lease| lease.sequence = 0,
        |lease| lease.entitlements[0].not_after = lease.issued_at - SignedDuration::from_hours(1),
    ];
    for change in changes {
        let (site, agent) = site_with_release();
        agent.cycle();
        let path = site.server_record("lease");
        let held = fs::read(&path).unwrap();
        site.server.lock().unwrap().change_lease = change;
        let cycle = agent.cycle();
        assert!(cycle.problems.iter().any(|problem| problem.contains("lease of the server was refused")));
        assert_eq!(fs::read(&path).unwrap(), held);
        assert_eq!(site.gate(), OPEN);
    }
}

#[test]
fn a_lease_by_another_key_is_refused() {
    let (site, agent) = site_with_release();
    site.server.lock().unwrap().site_key = sealpost_keys::SigningKey::generate().unwrap();
    assert!(!agent.cycle().problems.is_empty());
    assert_eq!(site.gate(), OpenNow::default());
    assert!(!site.server_record("lease").exists());
}

/// Changes a signed document inside its record, so that only the signature does not match.
fn forge(path: &Path, from: &str, to: &str) {
    let mut signed: SignedDocument = store::load(path).unwrap().unwrap();
    assert!(signed.document.contains(from));
    signed.document = signed.document.replace(from, to);
    store::save(path, &signed, 0o644).unwrap();
}

#[test]
fn a_flipped_bit_or_a_forged_document_in_the_agents_records_is_refused_and_explained() {
    let site = Site::new();
    let agent = site.enrolled();
    site.release("1", 1, "one");
    assert!(agent.cycle().problems.is_empty());
    for name in ["lease", "assignment"] {
        let path = site.server_record(name);
        let good = fs::read(&path).unwrap();
        let mut flipped = good.clone();
        let middle = flipped.len() / 2;
        flipped[middle] ^= 4;
        fs::write(&path, &flipped).unwrap();
        let shown = agent.status();
        let text = format!("{:?} {:?}", shown.lease.problem, shown.notices);
        assert!(text.contains("damaged"), "{name}: {text}");
        fs::write(&path, &good).unwrap();
        forge(&path, "\"sequence\":", "\"sequence\":9");
        let shown = agent.status();
        let text = format!("{:?} {:?}", shown.lease.problem, shown.notices);
        assert!(text.contains("signature"), "{name}: {text}");
        assert_eq!(site.gate(), OPEN, "what was open is not closed by damage");
        // The next contact brings it back.
        assert!(agent.cycle().problems.is_empty());
        assert_eq!(site.installed().as_deref(), Some("one"));
    }
    let path = site.server_record("enrollment");
    let mut flipped = fs::read(&path).unwrap();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 4;
    fs::write(&path, &flipped).unwrap();
    let contacts = site.server.lock().unwrap().contacts.len();
    let cycle = agent.cycle();
    assert!(cycle.problems.iter().any(|problem| problem.contains("damaged")), "{:?}", cycle.problems);
    assert_eq!(site.server.lock().unwrap().contacts.len(), contacts);
    assert!(site.gate().run, "a named product goes on");
    assert_eq!(site.installed().as_deref(), Some("one"));
}

#[test]
fn damaged_progress_installs_nothing_and_leaves_the_gate_alone() {
    let (site, agent) = site_with_release();
    agent.cycle();
    let path = site.computer.path().join("home/state/computer.json");
    fs::write(&path, "sealpost-record 3 2 00\n{}").unwrap();
    site.release("2", 2, "two");
    assert!(!agent.cycle().problems.is_empty());
    assert_eq!(site.gate(), OPEN);
    assert_eq!(site.installed().as_deref(), Some("one"));
    // The way out that the message names.
    agent.enroll(&site.setup_file(), None, OtherName::Refuse).unwrap();
    let cycle = agent.cycle();
    assert!(cycle.problems.is_empty(), "{:?}", cycle.problems);
    assert_eq!(site.installed().as_deref(), Some("two"));
}

#[test]
fn a_notice_of_the_server_cannot_move_the_cursor_of_who_reads_it() {
    let site = Site::new();
    let agent = site.enrolled();
    site.server.lock().unwrap().notice = Some("\u{1b}[2Jall is well\r\nLease until 2099 \u{202e}".to_owned());
    agent.cycle();
    let shown = agent.status().to_text();
    assert!(shown.contains("Note: "), "{shown}");
    assert!(!shown.contains(['\u{1b}', '\r', '\u{202e}']) && !shown.contains("\nLease until"), "{shown:?}");
}

#[test]
fn a_configuration_that_was_named_and_is_not_there_is_refused() {
    let site = Site::new();
    let home = Home::at(&site.computer.path().join("home")).unwrap();
    let missing = site.computer.path().join("agent.tml");
    let error = Agent::new(home, Some(&missing), site.runtime.handle().clone()).unwrap_err();
    assert!(error.to_string().contains("agent.tml"), "{error}");
}

#[test]
fn a_product_of_an_ended_serial_number_is_updated_until_its_lease_ends_and_runs_on() {
    let (site, agent) = site_with_release();
    assert!(agent.cycle().problems.is_empty());
    let end = site.server.lock().unwrap().now() - SignedDuration::from_hours(1);
    site.server.lock().unwrap().renew_grant(&site.vendor.license_key, |grant| {
        grant.not_after = end;
        grant.ends_at = Some(end);
    });
    // The server carries what the lease said, and tells of the end.
    site.release("2", 2, "two");
    let cycle = agent.cycle();
    assert!(cycle.problems.is_empty(), "{:?}", cycle.problems);
    assert_eq!(site.installed().as_deref(), Some("two"), "the lease is good");
    assert_eq!(site.gate(), OPEN);
    let shown = agent.status();
    assert!(shown.lease.renewed_until.is_some_and(|until| until < shown.at));
    let text = shown.to_text();
    assert!(
        text.contains("; the vendor ended its serial number at ") && text.contains("it is not renewed"),
        "{text}"
    );

    site.release("3", 3, "three");
    {
        let mut server = site.server.lock().unwrap();
        server.withholds = true;
        server.notice = Some("this computer gets no lease: the vendor ended the serial number".to_owned());
    }
    let after = Timestamp::now() + SignedDuration::from_hours(24 * 31);
    let late = site.agent_with(ManualClock::still_at(after));
    late.cycle();
    assert_eq!(site.installed().as_deref(), Some("two"), "updates ended with the lease");
    assert_eq!(site.gate(), RUN_ONLY, "run of a named seat stays, with every later contact too");
    late.cycle();
    assert!(site.gate().run);
    assert!(!late.status().lease.live);
}

#[test]
fn an_enrolled_computer_comes_every_minute_until_it_is_licensed_and_every_four_hours_from_then_on() {
    let site = Site::new();
    site.server.lock().unwrap().withholds = true;
    let agent = site.enrolled();
    let pause = || {
        let before = Timestamp::now();
        agent.cycle().next_contact.duration_since(before).as_secs()
    };
    for _ in 0..3 {
        let secs = pause();
        assert!((53..=67).contains(&secs), "{secs} s without a license");
    }
    site.server.lock().unwrap().withholds = false;
    let secs = pause();
    assert!((4 * 3600 * 9 / 10..=4 * 3600 * 11 / 10 + 1).contains(&secs), "{secs} s with one");
}
