//! The head of the server's log that a computer witnesses.

use sealpost_manifests::document::SignedDocument;
use sealpost_manifests::lease::Lease;
use sealpost_manifests::log::LogHead;
use sealpost_manifests::order::Epoch;
use sealpost_manifests::wire::contact::ContactRequest;
use sealpost_manifests::wire::problem::ProblemCode;

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

/// What the last contact showed: the head in the newest lease, and that in the one which is kept as a witness.
fn shown(site: &Site) -> (LogHead, Option<LogHead>) {
    let key = site.server.lock().unwrap().site_key.public();
    let body = site.server.lock().unwrap().contacts.last().unwrap().clone();
    let request: ContactRequest = serde_json::from_str(&body).unwrap();
    let evidence = request.evidence.unwrap();
    let head = |signed: &SignedDocument| {
        signed.verify::<Lease>(std::slice::from_ref(&key)).unwrap().into_inner().ledger_head
    };
    (head(&evidence.lease), evidence.witness.as_ref().map(head))
}

#[test]
fn the_lease_that_carries_the_held_head_is_kept_and_shown_until_a_later_head_takes_its_place() {
    let site = Site::new();
    let agent = site.enrolled();
    agent.cycle();
    agent.cycle();
    let held = head(&site);
    let asks = |code| site.server.lock().unwrap().wants_evidence = code;
    asks(Some(ProblemCode::LedgerBehind));
    agent.cycle();
    let (newest, witness) = shown(&site);
    assert_eq!((newest, witness), (held, None), "the newest lease carries it");
    asks(None);
    let held = head(&site);
    site.server.lock().unwrap().log.rewrite(7);
    // Later leases carry heads that do not extend it: the proof is kept through all of them.
    for _ in 0..3 {
        agent.cycle();
    }
    asks(Some(ProblemCode::LedgerBehind));
    agent.cycle();
    assert_eq!(named(&site).0, Some(held));
    let (newest, witness) = shown(&site);
    assert_eq!(witness, Some(held));
    assert_ne!(newest, held);
    {
        let mut server = site.server.lock().unwrap();
        server.renew_grant(&site.vendor.license_key, |grant| grant.epoch = Epoch::of(2, 0));
        server.epoch = Epoch::of(2, 0);
    }
    agent.cycle();
    agent.cycle();
    assert_eq!(shown(&site).1, None, "the vendor confirmed: a new head is the witness");
}
