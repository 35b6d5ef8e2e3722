//! What an answer says without a signature: at worst this computer waits, and goes on by its own numbers.

use sealpost_agent_updater::control::ToUnwanted;
use std::fs;

use sealpost_manifests::wire::contact::MAX_RECEIPT_BYTES;
use sealpost_manifests::wire::problem::ProblemCode;

use crate::site::{Site, package};

/// The highest report id that a server takes.
const HIGHEST_TAKEN: u64 = 1 << 48;

#[test]
fn an_acknowledgement_of_2_to_the_62_costs_the_reports_that_wait_and_no_later_one() {
    let site = Site::new();
    let agent = site.enrolled();
    site.release("1", 1, "one");
    for claimed in [1 << 62, u64::MAX, HIGHEST_TAKEN] {
        site.server.lock().unwrap().acknowledge = Some(claimed);
        agent.cycle();
        site.server.lock().unwrap().acknowledge = None;
    }
    site.release("2", 2, "two");
    site.server.lock().unwrap().reports.clear();
    let cycle = agent.cycle();
    assert!(cycle.problems.is_empty(), "{:?}", cycle.problems);
    let reports = site.server.lock().unwrap().reports.clone();
    assert!(!reports.is_empty());
    assert!(reports.iter().all(|report| report.id < HIGHEST_TAKEN), "the server takes them");
    assert!(reports.windows(2).all(|pair| pair[0].id < pair[1].id));
}

#[test]
fn a_lower_acknowledgement_than_before_changes_nothing() {
    let site = Site::new();
    let agent = site.enrolled();
    site.release("1", 1, "one");
    agent.cycle();
    let acknowledged = fs::read(site.server_record("acknowledgement")).unwrap();
    site.server.lock().unwrap().acknowledge = Some(1);
    site.server.lock().unwrap().reports.clear();
    agent.cycle();
    assert_eq!(fs::read(site.server_record("acknowledgement")).unwrap(), acknowledged);
    assert!(site.server.lock().unwrap().reports.is_empty(), "nothing is reported twice");
}

#[test]
fn a_receipt_is_sent_back_as_it_came_and_one_that_is_too_long_is_dropped() {
    let site = Site::new();
    let agent = site.enrolled();
    let receipts = [Some("r".repeat(MAX_RECEIPT_BYTES)), Some("r".repeat(MAX_RECEIPT_BYTES + 1)), None];
    for receipt in &receipts {
        site.server.lock().unwrap().receipt.clone_from(receipt);
        agent.cycle();
    }
    agent.cycle();
    let sent: Vec<_> = site.contacts().into_iter().map(|contact| contact.receipt).collect();
    assert_eq!(sent, [None, receipts[0].clone(), None, None]);
}

#[test]
fn a_notice_is_cut_and_a_token_that_cannot_be_sent_installs_nothing() {
    let site = Site::new();
    let agent = site.enrolled();
    site.server.lock().unwrap().notice = Some("x".repeat(100_000));
    agent.cycle();
    assert_eq!(agent.status().notices[0].len(), 500);
    site.server.lock().unwrap().notice = None;
    site.release("1", 1, "one");
    site.server.lock().unwrap().token = "a b".to_owned();
    let cycle = agent.cycle();
    assert!(cycle.problems.iter().any(|problem| problem.contains("token")), "{:?}", cycle.problems);
    assert_eq!(site.installed(), None);
}

#[test]
fn a_token_is_not_used_for_longer_than_a_day_whatever_the_server_says() {
    let site = Site::new();
    let agent = site.enrolled();
    site.server.lock().unwrap().token_valid_secs = u32::MAX;
    agent.cycle();
    let until = agent.context.access.borrow().as_ref().unwrap().until;
    assert!(until < jiff::Timestamp::now() + jiff::SignedDuration::from_hours(25), "{until}");
}

#[test]
fn no_refusal_deletes_or_resets_anything_and_the_product_goes_on() {
    let site = Site::new();
    let agent = site.enrolled();
    site.server.lock().unwrap().receipt = Some("receipt".to_owned());
    site.release("1", 1, "one");
    assert!(agent.cycle().problems.is_empty());
    let home = site.computer.path().join("home");
    let records =
        ["enrollment", "lease", "assignment", "acknowledgement"].map(|name| site.server_record(name));
    let others = ["state/packages/acme.json", "state/vendor.json", "state/servers.json", "root.json"];
    let paths: Vec<_> = records.into_iter().chain(others.map(|name| home.join(name))).collect();
    let kept: Vec<_> = paths.iter().map(|path| fs::read(path).unwrap()).collect();
    let (answered, last) = (site.contacts().len(), site.contacts().last().unwrap().clone());
    for code in ProblemCode::KNOWN.iter().copied().chain(["of_a_later_server".parse().unwrap()]) {
        // As often as it is asked: without and with evidence, at each address.
        site.refuse("contact", code);
        site.refuse("contact", code);
        let problems = agent.cycle().problems.join(" ");
        site.web.make_no_faults();
        assert!(problems.contains(code.as_str()), "{code}: {problems}");
        let now: Vec<_> = paths.iter().map(|path| fs::read(path).unwrap()).collect();
        assert_eq!(now, kept, "{code}");
        assert!(site.gate().run, "{code}");
        assert_eq!(site.installed().as_deref(), Some("one"), "{code}");
    }
    assert!(agent.cycle().problems.is_empty());
    let on = &site.contacts()[answered];
    assert_eq!((on.previous.clone(), on.receipt.clone()), (Some(last.next), Some("receipt".to_owned())));
    agent.roll_back(&package(), ToUnwanted::Refuse).unwrap();
}

#[test]
fn a_cloned_or_displaced_computer_is_told_what_that_means() {
    for (code, meaning) in [
        (ProblemCode::ContactForked, "another computer uses this computer's identity"),
        (ProblemCode::Displaced, "another computer goes on with this computer's identity"),
    ] {
        let site = Site::new();
        let agent = site.enrolled();
        site.release("1", 1, "one");
        agent.cycle();
        site.refuse("contact", code);
        let problems = agent.cycle().problems.join(" ");
        assert!(problems.contains(meaning), "{problems}");
        assert!(agent.status().to_text().contains(meaning));
        assert!(site.gate().run);
    }
}
