//! A link that other computers use: the server says when to come again, and that is no failure.

use jiff::SignedDuration;
use sealpost_agent_updater::app::Agent;
use sealpost_agent_updater::flows::cycle::{self, CycleResult, Starts};
use sealpost_manifests::wire::contact::PostponedBy;
use sealpost_manifests::wire::report::Outcome;
use sealpost_test_support::clock::ManualClock;
use sealpost_test_support::web::{Fault, Times};

use crate::site::Site;

/// An enrolled computer that runs "one", and is to run "two".
fn computer() -> (Site, Agent, ManualClock) {
    let site = Site::new();
    drop(site.enrolled());
    let clock = ManualClock::running();
    let agent = site.agent_with(clock.clone());
    site.release("1", 1, "one");
    assert_eq!(agent.cycle().problems, Vec::<String>::new());
    site.release("2", 2, "two");
    (site, agent, clock)
}

/// As a timer or a wake has it, and no person.
fn cycle_of_timer(agent: &Agent) -> CycleResult {
    cycle::run(&agent.context, Starts::Due)
}

fn payloads(site: &Site) -> usize {
    site.web.asked(".tar.gz").len()
}

#[test]
fn a_computer_that_waits_long_for_a_link_fails_nothing_uses_up_no_try_and_says_until_when() {
    let (site, agent, clock) = computer();
    site.web.fail(".tar.gz", Fault::Later(900), Times::Always);
    let before = payloads(&site);
    let next = cycle_of_timer(&agent).next_contact;
    assert_eq!((site.installed().as_deref(), payloads(&site)), (Some("one"), before + 1));
    assert!(next <= clock.now() + SignedDuration::from_mins(17), "it comes back for its place: {next}");
    let told = site.contacts().last().unwrap().clone();
    assert_eq!(told.postponed.iter().map(|put_off| put_off.by).collect::<Vec<_>>(), [PostponedBy::Link]);
    let shown = agent.status().packages.remove(0);
    assert_eq!(shown.decision, Some("waits_for_link"));
    assert!(shown.sentence.contains("other computers use the link"), "{}", shown.sentence);
    assert!(shown.changes_at.is_some());
    // Not before its time, however often it is woken.
    for _ in 0..5 {
        cycle_of_timer(&agent);
    }
    assert_eq!(payloads(&site), before + 1);
    for _ in 0..10 {
        clock.forward(SignedDuration::from_mins(16));
        cycle_of_timer(&agent);
    }
    assert_eq!(payloads(&site), before + 11, "its pause does not grow");
    assert!(site.server.lock().unwrap().reports.iter().all(|report| report.outcome == Outcome::Ok));
    site.web.make_no_faults();
    clock.forward(SignedDuration::from_mins(16));
    assert_eq!(cycle_of_timer(&agent).problems, Vec::<String>::new());
    assert_eq!(site.installed().as_deref(), Some("two"));
    assert!(site.contacts().last().unwrap().postponed.is_empty());
}

#[test]
fn a_short_wait_is_waited_for_as_often_as_it_takes_and_the_download_goes_on_where_it_was() {
    let (site, agent, _) = computer();
    site.web.fail(".tar.gz", Fault::CutAfter(100), Times::Next(1));
    site.web.fail(".tar.gz", Fault::Later(1), Times::Next(6));
    let before = payloads(&site);
    assert_eq!(cycle_of_timer(&agent).problems, Vec::<String>::new());
    assert_eq!(site.installed().as_deref(), Some("two"));
    let asked: Vec<_> = site.web.asked(".tar.gz").split_off(before);
    assert_eq!(asked.len(), 8, "more often than a download that is cut is tried");
    assert_eq!(asked[0], None);
    assert!(asked[1..].iter().all(|first_byte| *first_byte == Some(100)), "{asked:?}");
    assert!(site.server.lock().unwrap().reports.iter().all(|report| report.outcome == Outcome::Ok));
}

#[test]
fn a_delta_that_has_to_wait_is_not_replaced_by_the_payload() {
    let (site, agent, _) = computer();
    site.web.fail("/deltas/", Fault::Later(900), Times::Always);
    let before = payloads(&site);
    cycle_of_timer(&agent);
    assert_eq!((site.installed().as_deref(), payloads(&site)), (Some("one"), before));
    assert_eq!(agent.status().packages.remove(0).decision, Some("waits_for_link"));
}
