//! What is kept on a computer has bounds, a place in the status, and never costs what is needed.

use sealpost_agent_updater::control::ToUnwanted;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use sealpost_test_support::web::{Fault, Times};

use crate::site::{Site, package};

fn home(site: &Site) -> PathBuf {
    site.computer.path().join("home")
}

fn count(folder: &Path) -> usize {
    fs::read_dir(folder).map_or(0, Iterator::count)
}

fn make_old(path: &Path, days: u64) {
    let then = SystemTime::now() - Duration::from_secs(days * 24 * 60 * 60);
    File::options().write(true).open(path).unwrap().set_modified(then).unwrap();
}

#[test]
fn superseded_slots_and_manifests_go_and_what_runs_and_is_gone_back_to_stays() {
    let site = Site::new();
    let agent = site.enrolled();
    for number in 1..=4 {
        site.release(&number.to_string(), number, &format!("text {number}"));
        assert!(agent.cycle().problems.is_empty());
    }
    let slots = home(&site).join("products/acme/slots");
    let manifests = home(&site).join("manifests/acme");
    assert_eq!((count(&slots), count(&manifests)), (2, 4));
    // What an earlier program left, or could not remove, goes with the next cycle.
    fs::create_dir(slots.join("0.1-0123456789ab")).unwrap();
    fs::write(manifests.join("0.1-0123456789ab.manifest"), "old").unwrap();
    let usage = agent.status().storage;
    assert_eq!((usage.slots.count, usage.manifests.count), (3, 5));
    assert!(usage.slots.bytes > 200_000, "{usage:?}");
    agent.cycle();
    assert_eq!((count(&slots), count(&manifests)), (2, 4));
    assert!(agent.roll_back(&package(), ToUnwanted::Refuse).is_ok());
    assert_eq!(site.installed().as_deref(), Some("text 3"));
    assert!(agent.status().to_text().contains("2 slots"));
}

#[test]
fn a_part_of_a_download_is_kept_while_it_is_assigned_and_a_month_without_an_assignment() {
    let site = Site::new();
    let agent = site.enrolled();
    site.release("1", 1, "one");
    site.web.fail(".tar.gz", Fault::CutAfter(10), Times::Always);
    agent.cycle();
    let downloads = home(&site).join("downloads");
    let part = fs::read_dir(&downloads).unwrap().next().unwrap().unwrap().path();
    make_old(&part, 400);
    site.web.fail("contact", Fault::Answer(503, Vec::new()), Times::Always);
    agent.cycle();
    site.web.make_no_faults();
    assert_eq!(count(&downloads), 1, "it is assigned");
    assert!(agent.status().to_text().contains("1 unfinished download"));
    fs::remove_file(site.server_record("assignment")).unwrap();
    site.server.lock().unwrap().change_assignment = |assignment| assignment.sequence = 0;
    make_old(&part, 29);
    agent.cycle();
    assert_eq!(count(&downloads), 1);
    make_old(&part, 31);
    agent.cycle();
    assert_eq!(count(&downloads), 0);
}

#[test]
fn a_record_that_was_put_aside_is_shown_and_kept_for_a_quarter_of_a_year_from_then_on() {
    let site = Site::new();
    let agent = site.enrolled();
    let records = ["state/reports.json", "self/state"].map(|name| home(&site).join(name));
    for record in &records {
        fs::write(record, "damaged").unwrap();
        // Written last long before it was put aside.
        make_old(record, 400);
    }
    agent.cycle();
    agent.cycle();
    let aside = ["state/reports", "self/state"].map(|name| home(&site).join(format!("{name}.damaged.json")));
    assert!(agent.status().to_text().contains("2 damaged records put aside"), "{}", agent.status().to_text());
    for (days, is_kept) in [(89, true), (91, false)] {
        for path in &aside {
            assert!(path.exists(), "{days}");
            make_old(path, days);
        }
        agent.cycle();
        assert!(aside.iter().all(|path| path.exists() == is_kept), "{days}");
    }
}
