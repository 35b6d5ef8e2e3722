//! A server that is enrolled with and turns hostile, and a clock that jumps: at worst nothing new is installed.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;

use jiff::{SignedDuration, Timestamp};
use sealpost_agent_updater::app::Agent;
use sealpost_agent_updater::control::{Request, ToUnwanted, ask};
use sealpost_agent_updater::flows::enroll::OtherName;
use sealpost_test_support::clock::ManualClock;
use sealpost_test_support::wait;
use sealpost_test_support::web::{Fault, Times};

use crate::server::serve;
use crate::site::{Site, package};

fn with_clock(site: &Site, ahead_hours: i64) -> Agent {
    site.agent_with(ManualClock::still_at(Timestamp::now() + SignedDuration::from_hours(ahead_hours)))
}

/// Installed "one", then "two"; a third release is assigned.
fn site_with_two() -> (Site, Agent) {
    let site = Site::new();
    let agent = site.enrolled();
    for (number, text) in [(1, "one"), (2, "two")] {
        site.release(&number.to_string(), number, text);
        let cycle = agent.cycle();
        assert!(cycle.problems.is_empty(), "{:?}", cycle.problems);
    }
    site.release("3", 3, "three");
    (site, agent)
}

#[test]
fn a_clock_that_jumps_ten_years_ahead_installs_nothing_new_and_takes_nothing_away() {
    let (site, agent) = site_with_two();
    let ahead = with_clock(&site, 24 * 3_650);
    let cycle = ahead.cycle();
    assert!(!cycle.problems.is_empty(), "every lease has ended by then");
    assert_eq!(site.installed().as_deref(), Some("two"));
    assert!(site.gate().run, "a named product goes on");
    ahead.roll_back(&package(), ToUnwanted::Refuse).unwrap();
    assert_eq!(site.installed().as_deref(), Some("one"), "a rollback needs no lease");
    // And back: nothing of the jump stays.
    let cycle = agent.cycle();
    assert!(cycle.problems.is_empty(), "{:?}", cycle.problems);
    assert_eq!(site.installed().as_deref(), Some("three"));
}

#[test]
fn a_clock_that_falls_back_makes_no_ended_lease_live_and_stops_no_update() {
    let (site, _agent) = site_with_two();
    let back = with_clock(&site, -24 * 365 * 20);
    let status = back.status();
    assert!(status.lease.live, "the server's signed time is the floor");
    let cycle = back.cycle();
    assert!(cycle.problems.is_empty(), "{:?}", cycle.problems);
    assert_eq!(site.installed().as_deref(), Some("three"));
    // A lease whose end lies before the floor has ended, whatever the clock says.
    site.server.lock().unwrap().change_lease =
        |lease| lease.entitlements[0].not_after = lease.issued_at - SignedDuration::from_hours(1);
    site.release("4", 4, "four");
    std::fs::remove_file(site.server_record("lease")).unwrap();
    assert!(!back.cycle().problems.is_empty());
    assert_eq!(site.installed().as_deref(), Some("three"));
}

#[test]
fn after_the_end_of_the_lease_nothing_new_is_installed_and_run_and_rollback_stay() {
    let (site, _agent) = site_with_two();
    site.web.once("contact", Fault::LoseTheAnswer);
    let later = with_clock(&site, 24 * 31);
    assert!(!later.status().lease.live);
    assert!(!later.cycle().problems.is_empty());
    assert_eq!(site.installed().as_deref(), Some("two"));
    assert!(site.gate().run);
    later.roll_back(&package(), ToUnwanted::Refuse).unwrap();
    assert_eq!(site.installed().as_deref(), Some("one"));
}

#[test]
fn a_redirect_is_not_followed() {
    let (site, agent) = site_with_two();
    let (other, _) = site.runtime.block_on(serve(&site.server));
    let seen = site.server.lock().unwrap().contacts.len();
    site.web.once("contact", Fault::Redirect(format!("https://127.0.0.1:{}/agent/v1/contact", other.port())));
    let cycle = agent.cycle();
    assert!(cycle.problems.iter().any(|problem| problem.contains("307")), "{:?}", cycle.problems);
    assert_eq!(site.server.lock().unwrap().contacts.len(), seen + 1, "asked once, at the pinned address");
    assert_eq!(site.installed().as_deref(), Some("two"));
}

#[test]
fn an_answer_without_end_is_cut_off() {
    let (site, agent) = site_with_two();
    for path in ["contact", "timestamp.json", ".manifest", ".tar.gz"] {
        // Twice, because what looks like the network's fault is tried again in the same cycle.
        site.web.fail(path, Fault::Endless, Times::Next(2));
        let cycle = agent.cycle();
        site.web.make_no_faults();
        assert!(!cycle.problems.is_empty(), "{path}");
        assert_eq!(site.installed().as_deref(), Some("two"), "{path}");
    }
    assert!(agent.cycle().problems.is_empty());
    assert_eq!(site.installed().as_deref(), Some("three"));
}

#[test]
fn an_acknowledgement_of_reports_that_cannot_be_neither_ends_the_agent_nor_the_reports() {
    let (site, agent) = site_with_two();
    site.server.lock().unwrap().acknowledge = Some(u64::MAX);
    agent.cycle();
    site.server.lock().unwrap().acknowledge = None;
    agent.roll_back(&package(), ToUnwanted::Refuse).unwrap();
    let seen = site.server.lock().unwrap().reports.len();
    agent.cycle();
    assert!(site.server.lock().unwrap().reports.len() > seen);
}

#[test]
fn a_download_that_never_ends_does_not_keep_the_agent_from_stopping() {
    let (site, agent) = site_with_two();
    let asked = site.web.asked(".tar.gz").len();
    site.web.once(".tar.gz", Fault::StallAfter(1_000));
    let stop = Arc::clone(&agent.context.host.stop);
    let at_work = thread::spawn(move || agent.cycle());
    wait::until("the download", || site.web.asked(".tar.gz").len() > asked);
    stop.store(true, Ordering::SeqCst);
    assert!(!at_work.join().unwrap().problems.is_empty());
    assert_eq!(site.installed().as_deref(), Some("two"));
    assert!(site.agent().cycle().problems.is_empty());
    assert_eq!(site.installed().as_deref(), Some("three"));
    assert_eq!(site.web.asked(".tar.gz").last(), Some(&Some(1_000)), "what had come was kept");
}

#[test]
fn a_download_that_never_ends_does_not_keep_a_person_from_rolling_back() {
    let (site, agent) = site_with_two();
    let asked = site.web.asked(".tar.gz").len();
    // Every later download stalls too.
    site.web.fail(".tar.gz", Fault::StallAfter(1_000), Times::Next(8));
    let (socket, stop) = (agent.home().socket(), Arc::clone(&agent.context.host.stop));
    let running = site.runtime.spawn(agent.launch(None));
    wait::until("the download", || site.web.asked(".tar.gz").len() > asked);
    let answer = site
        .runtime
        .block_on(ask(&socket, &Request::Rollback(package(), ToUnwanted::Refuse)))
        .unwrap()
        .unwrap();
    assert!(answer.ok, "{:?}", answer.lines);
    assert_eq!(site.installed().as_deref(), Some("one"));
    stop.store(true, Ordering::SeqCst);
    // The daemon looks at it after its next turn.
    let _ = site.runtime.block_on(ask(&socket, &Request::Check));
    site.runtime.block_on(running).unwrap().unwrap();
}

#[test]
fn of_two_agents_at_once_the_second_touches_nothing() {
    let (site, agent) = site_with_two();
    let contacts = site.server.lock().unwrap().contacts.len();
    {
        let _other = agent.home().lock_cycle().unwrap();
        agent.context.network.wake(tokio::time::Instant::now());
        let cycle = agent.cycle();
        assert!(cycle.problems.iter().any(|problem| problem.contains("another agent-updater")));
        assert!(agent.context.network.take_woken().is_some(), "the wake is not lost");
        assert_eq!(agent.context.network.take_woken(), None, "nor does it make the next cycle due for ever");
        assert!(agent.roll_back(&package(), ToUnwanted::Refuse).is_err());
        assert!(agent.enroll(&site.setup_file(), None, OtherName::Refuse).is_err());
    }
    assert_eq!(site.server.lock().unwrap().contacts.len(), contacts);
    assert_eq!(site.installed().as_deref(), Some("two"));
    let _daemon = agent.home().lock_daemon().unwrap();
    assert!(site.runtime.block_on(site.agent().launch(None)).is_err());
}
