//! What the vendor withdrew, on the computers that have it.

use std::fs;

use sealpost_agent_updater::control::ToUnwanted;
use sealpost_agent_updater::flows::install::ChangeEnd;
use sealpost_agent_updater::flows::status::ProblemKind;
use sealpost_manifests::wire::report::ReasonCode;

use crate::site::{Site, package};

#[test]
fn what_the_vendor_withdrew_is_shown_where_it_runs_and_nobody_goes_back_to_it_without_meaning_it() {
    let site = Site::new();
    let agent = site.enrolled();
    for (number, text) in [(1, "one"), (2, "two")] {
        site.release(&number.to_string(), number, text);
        assert!(agent.cycle().problems.is_empty());
    }
    assert!(agent.status().problems.is_empty());
    // Both are withdrawn, so the server assigns neither.
    site.vendor.withdraw("1", "loses logs");
    site.vendor.withdraw("2", "hangs\u{1b}[2J");
    {
        let mut server = site.server.lock().unwrap();
        server.metadata_as_of = server.now();
        server.assigned.clear();
    }
    assert!(agent.cycle().problems.is_empty());
    let status = agent.status();
    let shown = &status.packages[0];
    assert!(shown.sentence.contains("the vendor withdrew it"), "{}", shown.sentence);
    assert!(shown.withdrawn.as_deref().unwrap().starts_with("hangs"), "{shown:?}");
    assert_eq!(shown.previous_withdrawn.as_deref(), Some("loses logs"));
    assert_eq!(status.problems[0].code, ProblemKind::Withdrawn);
    let text = status.to_text();
    assert!(text.contains("2 was withdrawn by the vendor: hangs") && !text.contains('\u{1b}'), "{text}");
    assert!(text.contains("rollback goes to 1 with `--anyway` only"), "{text}");
    // Without a server too.
    let refused = agent.roll_back(&package(), ToUnwanted::Refuse).unwrap();
    let ChangeEnd::Refused(refusal) = refused else { panic!("{refused:?}") };
    assert_eq!(refusal.reason, ReasonCode::ReleaseWithdrawn);
    assert!(refusal.detail.contains("loses logs") && refusal.detail.contains("--anyway"), "{refusal}");
    assert_eq!(site.installed().as_deref(), Some("two"));
    assert_eq!(agent.roll_back(&package(), ToUnwanted::Allow).unwrap(), ChangeEnd::Kept);
    assert_eq!(site.installed().as_deref(), Some("one"));
    assert_eq!(agent.status().packages[0].withdrawn.as_deref(), Some("loses logs"));
    // A record that is damaged is made anew by the next look.
    fs::write(agent.home().state("withdrawn"), "damaged").unwrap();
    assert!(agent.status().packages[0].withdrawn.is_none());
    agent.cycle();
    assert_eq!(agent.status().packages[0].withdrawn.as_deref(), Some("loses logs"));
    // The next release that is assigned ends it.
    site.release("3", 3, "three");
    assert!(agent.cycle().problems.is_empty());
    let status = agent.status();
    assert!(status.problems.is_empty() && status.packages[0].withdrawn.is_none(), "{:?}", status.problems);
}

#[test]
fn metadata_that_cannot_be_read_fail_no_contact_that_only_asks_what_was_withdrawn() {
    let site = Site::new();
    let agent = site.enrolled();
    site.release("1", 1, "one");
    assert!(agent.cycle().problems.is_empty());
    site.server.lock().unwrap().assigned.clear();
    fs::remove_dir_all(site.vendor.repository()).unwrap();
    let cycle = agent.cycle();
    assert!(cycle.problems.is_empty(), "{:?}", cycle.problems);
}
