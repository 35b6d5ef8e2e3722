//! A server that sends a byte now and then: it holds neither contacts nor what comes after them.

use std::thread;
use std::time::Duration;

use sealpost_repository::Pace;
use sealpost_test_support::wait;
use sealpost_test_support::web::{Fault, Times};
use tokio::time::Instant;

use crate::site::Site;

#[test]
fn a_download_that_drips_is_given_up_and_goes_on_where_it_ended_after_another_contact() {
    let site = Site::new();
    let mut agent = site.enrolled();
    agent.context.pace = Pace::averaged_over(Duration::from_secs(1), 4_096);
    site.release("1", 1, "one");
    site.web.once(".tar.gz", Fault::Drip);
    let cycle = agent.cycle();
    assert!(cycle.problems.is_empty(), "{:?}", cycle.problems);
    assert_eq!(site.installed().as_deref(), Some("one"));
    let ranges = site.web.asked(".tar.gz");
    assert!(matches!(ranges.as_slice(), [None, Some(kept)] if *kept > 0), "{ranges:?}");
    assert!(site.contacts().len() > 1);
}

#[test]
fn a_delta_that_drips_is_gone_on_with_later_and_not_given_up_for_the_larger_payload() {
    let site = Site::new();
    let mut agent = site.enrolled();
    agent.context.pace = Pace::averaged_over(Duration::from_secs(1), 4_096);
    site.release("1", 1, "one");
    agent.cycle();
    site.server.lock().unwrap().delta = Some(vec![0; 10_000]);
    site.release("2", 2, "two");
    site.web.once("deltas", Fault::Drip);
    let payloads = site.web.asked(".tar.gz").len();
    let problems = agent.cycle().problems.join(" ");
    assert!(problems.contains("slow"), "{problems}");
    assert_eq!((site.installed().as_deref(), site.web.asked(".tar.gz").len()), (Some("one"), payloads));
    // This delta is of no use once it is there; then the payload is fetched.
    let cycle = agent.cycle();
    assert!(cycle.problems.is_empty(), "{:?}", cycle.problems);
    assert_eq!(site.installed().as_deref(), Some("two"));
    let ranges = site.web.asked("deltas");
    assert!(matches!(ranges.as_slice(), [.., None, Some(kept)] if *kept > 0), "{ranges:?}");
}

#[test]
fn a_contact_that_the_server_asks_for_goes_before_a_download_that_goes_on_and_on() {
    let site = Site::new();
    let agent = site.enrolled();
    site.release("1", 1, "one");
    // As slow as it is, nothing but the wake ends it.
    site.web.fail(".tar.gz", Fault::Drip, Times::Always);
    thread::scope(|scope| {
        let at_work = scope.spawn(|| agent.cycle());
        for contacts in 1..3 {
            wait::until("the download", || site.web.asked(".tar.gz").len() >= contacts);
            agent.context.network.wake(Instant::now());
            wait::until("the contact", || site.contacts().len() > contacts);
        }
        wait::until("the download goes on", || site.web.asked(".tar.gz").len() > 2);
        // The release is halted.
        site.server.lock().unwrap().assigned.clear();
        agent.context.network.wake(Instant::now());
        assert!(at_work.join().unwrap().problems.is_empty());
    });
    assert_eq!(site.installed(), None);
    site.web.make_no_faults();
    site.release("2", 2, "two");
    assert!(agent.cycle().problems.is_empty());
    assert_eq!(site.installed().as_deref(), Some("two"));
}
