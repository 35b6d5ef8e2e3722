//! Clocks that are wrong: the server's, the vendor's, and this computer's own.

use jiff::{SignedDuration, Timestamp};
use sealpost_test_support::clock::ManualClock;

use crate::site::Site;

const DAY: SignedDuration = SignedDuration::from_hours(24);

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
        site.server.lock().unwrap().ahead = SignedDuration::ZERO;
        site.release("2", 2, "two");
        let cycle = agent.cycle();
        assert!(cycle.problems.is_empty(), "{days} days: {:?}", cycle.problems);
        assert_eq!(site.installed().as_deref(), Some("two"), "{days} days");
    }
}

#[test]
fn a_grant_of_a_vendor_whose_clock_was_ahead_is_corrected_by_the_next_one() {
    let site = Site::new();
    let ahead = Timestamp::now() + DAY * 400;
    site.server.lock().unwrap().renew_grant(&site.vendor.license_key, |grant| {
        grant.vendor_time = ahead;
        grant.not_after = ahead + DAY * 366;
    });
    let agent = site.enrolled();
    site.release("1", 1, "one");
    assert!(!agent.cycle().problems.is_empty(), "its lease is past its end by then");
    site.server.lock().unwrap().renew_grant(&site.vendor.license_key, |grant| {
        grant.vendor_time = Timestamp::now();
        grant.not_after = Timestamp::now() + DAY * 366;
    });
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
    dead.enroll(&site.setup_file(), Some(&site.vendor.root_file())).unwrap();
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
    let site = Site::new();
    let ahead = Timestamp::now() + DAY * 400;
    site.server.lock().unwrap().renew_grant(&site.vendor.license_key, |grant| {
        grant.vendor_time = ahead;
        grant.not_after = ahead + DAY * 366;
    });
    let agent = site.enrolled();
    site.release("1", 1, "one");
    assert!(!agent.cycle().problems.is_empty());
    // The site's administrator got another grant; the computer did not hear of it.
    site.server.lock().unwrap().renew_grant(&site.vendor.license_key, |grant| {
        grant.generation = 1;
        grant.vendor_time = Timestamp::now();
        grant.not_after = Timestamp::now() + DAY * 366;
    });
    agent.enroll(&site.setup_file(), None).unwrap();
    let cycle = agent.cycle();
    assert!(cycle.problems.is_empty(), "{:?}", cycle.problems);
    assert_eq!(site.installed().as_deref(), Some("one"));
}
