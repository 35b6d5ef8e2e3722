//! Clocks that are wrong: the server's, the vendor's, and this computer's own.

use jiff::{SignedDuration, Timestamp};
use sealpost_agent_updater::app::Agent;
use sealpost_agent_updater::flows::enroll::OtherName;
use sealpost_agent_updater::records::computer::ComputerProgress;
use sealpost_test_support::clock::ManualClock;
use sealpost_test_support::web::{Fault, Times};

use crate::site::Site;

const DAY: SignedDuration = SignedDuration::from_hours(24);

/// The floor under license time, as it is on disk.
fn floor(agent: &Agent) -> Timestamp {
    ComputerProgress::load(agent.home()).unwrap().floors.license()
}

#[test]
fn one_contact_while_the_servers_clock_is_ahead_locks_nothing_out() {
    for days in [5, 40, 400, 5 * 365] {
        let site = Site::new();
        let agent = site.enrolled();
        site.release("1", 1, "one");
        assert!(agent.cycle().problems.is_empty());
        site.server.lock().unwrap().ahead = DAY * days;
        site.release("2", 2, "two");
        agent.cycle();
        // The boot clock is read in whole seconds.
        let latest = Timestamp::now() + SignedDuration::from_secs(1);
        assert!(floor(&agent) <= latest, "{days} days: {}", floor(&agent));
        site.server.lock().unwrap().ahead = SignedDuration::ZERO;
        site.release("3", 3, "three");
        let cycle = agent.cycle();
        assert!(cycle.problems.is_empty(), "{days} days: {:?}", cycle.problems);
        assert_eq!(site.installed().as_deref(), Some("three"), "{days} days");
        let status = agent.status();
        assert!(status.lease.not_after.unwrap() < Timestamp::now() + DAY * 31, "{days} days");
    }
}

#[test]
fn a_server_whose_clock_is_ahead_at_the_first_contact_locks_nothing_out() {
    for days in [5, 40, 400, 5 * 365] {
        let site = Site::new();
        let agent = site.enrolled();
        site.server.lock().unwrap().ahead = DAY * days;
        site.release("1", 1, "one");
        agent.cycle();
        // The boot clock is read in whole seconds.
        let latest = Timestamp::now() + SignedDuration::from_secs(1);
        assert!(floor(&agent) <= latest, "{days} days: {}", floor(&agent));
        site.server.lock().unwrap().ahead = SignedDuration::ZERO;
        site.release("2", 2, "two");
        let cycle = agent.cycle();
        assert!(cycle.problems.is_empty(), "{days} days: {:?}", cycle.problems);
        assert_eq!(site.installed().as_deref(), Some("two"), "{days} days");
    }
}

/// A site whose vendor made the grant while its clock was 400 days ahead.
fn site_of_a_vendor_ahead() -> (Site, Agent) {
    let site = Site::new();
    let ahead = Timestamp::now() + DAY * 400;
    let mut server = site.server.lock().unwrap();
    server.renew_grant(&site.vendor.license_key, |grant| {
        grant.vendor_time = ahead;
        grant.not_after = ahead + DAY * 366;
    });
    drop(server);
    let agent = site.enrolled();
    site.release("1", 1, "one");
    (site, agent)
}

/// The vendor made another grant, with its clock right again.
fn renew(site: &Site, generation: u64) {
    site.server.lock().unwrap().renew_grant(&site.vendor.license_key, |grant| {
        grant.generation = generation;
        grant.vendor_time = Timestamp::now();
        grant.not_after = Timestamp::now() + DAY * 366;
    });
}

#[test]
fn a_grant_of_a_vendor_whose_clock_was_ahead_is_corrected_by_the_next_one() {
    let (site, agent) = site_of_a_vendor_ahead();
    // The metadata would correct it too.
    site.web.fail("timestamp.json", Fault::Answer(503, Vec::new()), Times::Next(20));
    let problems = agent.cycle().problems.join(" ");
    assert!(problems.contains("it ended at"), "{problems}");
    renew(&site, 3);
    agent.cycle();
    assert!(agent.status().lease.live);
    site.web.make_no_faults();
    assert!(agent.cycle().problems.is_empty());
    assert_eq!(site.installed().as_deref(), Some("one"));
}

#[test]
fn a_grant_of_a_vendor_whose_clock_was_ahead_is_corrected_by_the_metadata() {
    let (site, agent) = site_of_a_vendor_ahead();
    let cycle = agent.cycle();
    assert!(cycle.problems.is_empty(), "{:?}", cycle.problems);
    assert_eq!(site.installed().as_deref(), Some("one"));
}

#[test]
fn a_setup_file_of_a_server_whose_clock_was_ahead_locks_nothing_out() {
    let mut site = Site::new();
    site.setup.issued_at = Timestamp::now() + DAY * 400;
    let agent = site.enrolled();
    site.release("1", 1, "one");
    let cycle = agent.cycle();
    assert!(cycle.problems.is_empty(), "{:?}", cycle.problems);
    assert_eq!(site.installed().as_deref(), Some("one"));
}

#[test]
fn a_computer_whose_clock_stands_at_1970_enrolls_contacts_and_installs() {
    let mut site = Site::new();
    // Issued some days before it is used.
    site.setup.issued_at = Timestamp::now() - DAY * 10;
    let dead = site.agent_with(ManualClock::still_at(Timestamp::from_second(60).unwrap()));
    dead.enroll(&site.setup_file(), Some(&site.vendor.root_file()), OtherName::Refuse).unwrap();
    for (number, text) in [(1, "one"), (2, "two")] {
        site.release(&number.to_string(), number, text);
        let cycle = dead.cycle();
        assert!(cycle.problems.is_empty(), "{:?}", cycle.problems);
        assert_eq!(site.installed().as_deref(), Some(text));
    }
    assert!(dead.status().lease.live);
    // Its battery is replaced.
    site.release("3", 3, "three");
    assert!(site.agent().cycle().problems.is_empty());
    assert_eq!(site.installed().as_deref(), Some("three"));
}

#[test]
fn enrolling_again_resets_a_floor_that_is_wrong() {
    let (site, agent) = site_of_a_vendor_ahead();
    assert!(floor(&agent) > Timestamp::now() + DAY * 399);
    // A grant that this computer would not take for newer.
    renew(&site, 1);
    agent.enroll(&site.setup_file(), None, OtherName::Refuse).unwrap();
    assert!(floor(&agent) <= Timestamp::now());
    let cycle = agent.cycle();
    assert!(cycle.problems.is_empty(), "{:?}", cycle.problems);
    assert_eq!(site.installed().as_deref(), Some("one"));
}
