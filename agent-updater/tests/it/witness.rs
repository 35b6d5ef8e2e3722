//! The head of the server's log that a computer witnesses.

use sealpost_manifests::log::LogHead;
use sealpost_manifests::order::Epoch;

use crate::log::Shows;
use crate::site::Site;

/// The heads that the next contact names: held and forked.
fn named(site: &Site) -> (Option<LogHead>, Option<LogHead>) {
    let last = site.contacts().last().unwrap().clone();
    (last.held_head, last.forked_head)
}

fn head(site: &Site) -> LogHead {
    site.server.lock().unwrap().log.head()
}

#[test]
fn a_head_that_extends_the_held_one_takes_its_place() {
    let site = Site::new();
    let agent = site.enrolled();
    let mut before = None;
    for _ in 0..5 {
        assert!(agent.cycle().problems.is_empty());
        assert_eq!(named(&site), (before, None));
        before = Some(head(&site));
    }
}

#[test]
fn a_log_that_is_not_shown_to_go_on_is_reported_and_shown_and_refuses_nothing() {
    for shows in [Shows::NoProof, Shows::NoCheckpoint, Shows::AnotherKey] {
        let site = Site::new();
        let agent = site.enrolled();
        agent.cycle();
        agent.cycle();
        let held = head(&site);
        site.server.lock().unwrap().log.shows = shows;
        site.release("1", 1, "one");
        let cycle = agent.cycle();
        assert!(cycle.problems.is_empty(), "{shows:?}: {:?}", cycle.problems);
        assert!(cycle.notices.join(" ").contains("log was replaced"), "{shows:?}: {:?}", cycle.notices);
        assert_eq!(site.installed().as_deref(), Some("one"), "{shows:?}");
        assert!(site.gate().run && site.gate().upload, "{shows:?}");
        assert!(agent.status().to_text().contains("log was replaced"));
        agent.cycle();
        let (named_held, forked) = named(&site);
        assert_eq!(named_held, Some(held));
        assert_eq!(forked.unwrap().size, held.size + 1, "{shows:?}: the first that was not shown to go on");
        assert!(agent.status().lease.live);
    }
}

#[test]
fn a_rewritten_log_is_found_until_the_vendor_raises_the_epoch() {
    let site = Site::new();
    let agent = site.enrolled();
    agent.cycle();
    agent.cycle();
    let held = head(&site);
    site.server.lock().unwrap().log.rewrite(7);
    let notices = agent.cycle().notices.join(" ");
    assert!(notices.contains("log was replaced"), "{notices}");
    agent.cycle();
    assert_eq!(named(&site).0, Some(held), "the old head stays the witness");
    {
        let mut server = site.server.lock().unwrap();
        server.renew_grant(&site.vendor.license_key, |grant| grant.epoch = Epoch::of(2, 0));
        server.epoch = Epoch::of(2, 0);
    }
    let cycle = agent.cycle();
    assert!(cycle.problems.is_empty() && cycle.notices.is_empty(), "{:?}", cycle.problems);
    let witness = head(&site);
    agent.cycle();
    assert_eq!(named(&site), (Some(witness), None));
    assert!(agent.cycle().notices.is_empty());
}
