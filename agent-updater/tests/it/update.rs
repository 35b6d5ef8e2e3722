//! Updates through the whole chain: metadata, manifest, payload.

use sealpost_agent_updater::control::ToUnwanted;
use std::fs;

use jiff::{SignedDuration, Timestamp};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::release::ReleaseManifest;
use sealpost_manifests::wire::problem::ProblemCode;
use sealpost_manifests::wire::report::{InstallStep, Outcome, ReasonCode};
use sealpost_test_support::delta;
use sealpost_test_support::folders::write_folder;
use sealpost_test_support::web::{Fault, Times};

use crate::site::{Site, files, large, package};

fn reported(site: &Site) -> Vec<(InstallStep, Outcome, ReasonCode)> {
    let server = site.server.lock().unwrap();
    server.reports.iter().map(|report| (report.step, report.outcome, report.reason)).collect()
}

fn refused(site: &Site, reason: ReasonCode) -> bool {
    reported(site).contains(&(InstallStep::Check, Outcome::Refused, reason))
}

#[test]
fn an_assigned_release_is_installed_and_reported_in_the_same_cycle() {
    let site = Site::new();
    let agent = site.enrolled();
    site.release("1", 1, "one");
    let cycle = agent.cycle();
    assert!(cycle.problems.is_empty(), "{:?}", cycle.problems);
    assert_eq!(site.installed().as_deref(), Some("one"));
    assert_eq!(reported(&site).last(), Some(&(InstallStep::Keep, Outcome::Ok, ReasonCode::Done)));
    assert!(agent.audit().unwrap().iter().all(|one| one.problems.is_empty()));
    site.release("2", 2, "two");
    assert!(agent.cycle().problems.is_empty());
    assert_eq!(site.installed().as_deref(), Some("two"));
    assert_eq!(agent.status().packages[0].previous.as_deref(), Some("1"));
}

#[test]
fn a_download_that_is_cut_goes_on_where_it_ended() {
    let site = Site::new();
    let agent = site.enrolled();
    site.release("1", 1, "one");
    site.web.once(".tar.gz", Fault::CutAfter(50_000));
    let cycle = agent.cycle();
    assert!(cycle.problems.is_empty(), "{:?}", cycle.problems);
    assert_eq!(site.installed().as_deref(), Some("one"));
    let ranges = site.web.asked(".tar.gz");
    assert_eq!(ranges.len(), 2);
    assert!(ranges[0].is_none() && ranges[1].is_some(), "{ranges:?}");
}

/// A delta between two releases.
pub(crate) fn delta(releases: [(&ReleaseManifest, &str); 2]) -> Vec<u8> {
    let folders = releases.map(|(_, text)| {
        let folder = tempfile::tempdir().unwrap();
        write_folder(folder.path(), &files(text, &large())).unwrap();
        folder
    });
    let [base, target] = [0, 1].map(|number| (folders[number].path(), releases[number].0));
    delta::between(base, target)
}

#[test]
fn a_delta_that_is_cut_goes_on_where_it_ended_and_one_that_never_comes_whole_is_replaced_by_the_payload() {
    let site = Site::new();
    let agent = site.enrolled();
    let one = site.release("1", 1, "one");
    agent.cycle();
    let two = site.release("2", 2, "two");
    site.server.lock().unwrap().delta = Some(delta([(&one, "one"), (&two, "two")]));
    let payloads = site.web.asked(".tar.gz").len();
    site.web.once("deltas/", Fault::CutAfter(30));
    site.web.once("deltas/", Fault::CutAfter(20));
    assert!(agent.cycle().problems.is_empty());
    assert_eq!(site.installed().as_deref(), Some("two"));
    assert!(reported(&site).contains(&(InstallStep::Download, Outcome::Ok, ReasonCode::ByDelta)));
    assert_eq!(site.web.asked(".tar.gz").len(), payloads, "no payload was fetched");
    assert_eq!(site.web.asked("deltas/"), [None, Some(30), Some(50)]);
    let three = site.release("3", 3, "three");
    site.server.lock().unwrap().delta = Some(delta([(&two, "two"), (&three, "three")]));
    site.web.fail("deltas/", Fault::CutAfter(10), Times::Next(4));
    assert!(agent.cycle().problems.is_empty());
    assert_eq!(site.installed().as_deref(), Some("three"));
    assert_eq!(site.web.asked(".tar.gz").len(), payloads + 1);
    assert_eq!(fs::read_dir(site.computer.path().join("home/downloads")).unwrap().count(), 0);
}

#[test]
fn what_was_fetched_in_part_goes_when_nobody_wants_it_any_more() {
    let site = Site::new();
    let agent = site.enrolled();
    site.release("1", 1, "one");
    site.web.fail(".tar.gz", Fault::CutAfter(10), Times::Next(16));
    agent.cycle();
    let downloads = || fs::read_dir(site.computer.path().join("home/downloads")).unwrap().count();
    assert_eq!((site.installed(), downloads()), (None, 1));
    site.web.make_no_faults();
    site.release("2", 2, "two");
    assert!(agent.cycle().problems.is_empty());
    assert_eq!((site.installed().as_deref(), downloads()), (Some("two"), 0));
}

#[test]
fn a_payload_other_than_listed_is_refused_and_the_old_release_stays() {
    let site = Site::new();
    let agent = site.enrolled();
    site.release("1", 1, "one");
    agent.cycle();
    site.release("2", 2, "two");
    let payload = site.vendor.target_file("acme_2_any.tar.gz");
    let good = fs::read(&payload).unwrap();
    let mut flipped = good.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    let longer = [good.as_slice(), b"x"].concat();
    for (bad, reason) in [
        (flipped, ReasonCode::PayloadInvalid),
        (longer, ReasonCode::PayloadInvalid),
        (Vec::new(), ReasonCode::NetworkFailed),
    ] {
        fs::write(&payload, bad).unwrap();
        assert!(!agent.cycle().problems.is_empty());
        assert_eq!(site.installed().as_deref(), Some("one"));
        assert!(reported(&site).contains(&(InstallStep::Download, Outcome::Refused, reason)), "{reason}");
    }
    fs::write(&payload, good).unwrap();
    assert!(agent.cycle().problems.is_empty());
    assert_eq!(site.installed().as_deref(), Some("two"));
}

#[test]
fn an_approval_of_another_digest_installs_nothing() {
    let site = Site::new();
    let agent = site.enrolled();
    site.release("1", 1, "one");
    site.server.lock().unwrap().assigned[0].manifest = Sha256Digest::of(b"reviewed was another");
    assert!(!agent.cycle().problems.is_empty());
    assert_eq!(site.installed(), None);
    assert!(refused(&site, ReasonCode::ManifestInvalid));
}

#[test]
fn metadata_that_goes_back_or_is_too_old_installs_nothing() {
    let site = Site::new();
    let agent = site.enrolled();
    site.release("1", 1, "one");
    agent.cycle();
    let metadata = site.vendor.metadata_file("timestamp.json");
    let old_timestamp = fs::read(&metadata).unwrap();
    site.release("2", 2, "two");
    agent.cycle();
    assert_eq!(site.installed().as_deref(), Some("two"));

    site.release("3", 3, "three");
    let new_timestamp = fs::read(&metadata).unwrap();
    fs::write(&metadata, old_timestamp).unwrap();
    assert!(!agent.cycle().problems.is_empty());
    assert!(refused(&site, ReasonCode::MetadataInvalid));
    fs::write(&metadata, new_timestamp).unwrap();

    for hours in [1, 24 * 31] {
        let as_of = Timestamp::now() - SignedDuration::from_hours(hours);
        site.server.lock().unwrap().metadata_as_of = as_of;
        assert!(!agent.cycle().problems.is_empty(), "lower than before, {hours} h");
        assert!(refused(&site, ReasonCode::MetadataTooOld));
        assert_eq!(site.installed().as_deref(), Some("two"));
    }
    site.server.lock().unwrap().metadata_as_of = Timestamp::now();
    assert!(agent.cycle().problems.is_empty());
    assert_eq!(site.installed().as_deref(), Some("three"));
}

#[test]
fn a_flipped_bit_in_the_trusted_metadata_stops_installs_and_names_the_file() {
    let site = Site::new();
    let agent = site.enrolled();
    site.release("1", 1, "one");
    agent.cycle();
    let path = site.computer.path().join("home/tuf/timestamp.blob");
    let mut bytes = fs::read(&path).unwrap();
    let last = bytes.len() - 10;
    bytes[last] ^= 1;
    fs::write(&path, &bytes).unwrap();
    site.release("2", 2, "two");
    let cycle = agent.cycle();
    assert!(cycle.problems.iter().any(|problem| problem.contains("timestamp.blob")), "{:?}", cycle.problems);
    assert_eq!(site.installed().as_deref(), Some("one"));
    assert_eq!(fs::read(&path).unwrap(), bytes, "and nothing papered over it");
}

#[test]
fn a_changed_pinned_root_stops_installs() {
    let site = Site::new();
    let agent = site.enrolled();
    site.release("1", 1, "one");
    // The second is a root that still verifies in every way but its digest.
    for changed in [b"{}".to_vec(), [site.vendor.root_bytes(), b"\n"].concat()] {
        site.server.lock().unwrap().reports.clear();
        fs::write(site.computer.path().join("home/root.json"), changed).unwrap();
        assert!(!agent.cycle().problems.is_empty());
        assert_eq!(site.installed(), None);
        assert!(refused(&site, ReasonCode::MetadataInvalid));
    }
}

#[test]
fn a_license_key_that_the_vendor_took_back_stops_installs_and_not_the_product() {
    let site = Site::new();
    let agent = site.enrolled();
    site.release("1", 1, "one");
    agent.cycle();
    site.release("2", 2, "two");
    site.vendor.revoke_license_key();
    assert!(!agent.cycle().problems.is_empty());
    assert_eq!(site.installed().as_deref(), Some("one"));
    assert!(refused(&site, ReasonCode::LeaseInvalid));
}

#[test]
fn a_refused_read_is_tried_again_and_nothing_is_given_up() {
    let site = Site::new();
    let agent = site.enrolled();
    site.release("1", 1, "one");
    for _ in 0..2 {
        site.refuse("timestamp.json", ProblemCode::NotAssigned);
    }
    assert!(!agent.cycle().problems.is_empty());
    assert_eq!(site.installed(), None);
    assert!(agent.cycle().problems.is_empty());
    assert_eq!(site.installed().as_deref(), Some("one"));
}

#[test]
fn without_an_assignment_that_counts_nothing_new_is_installed_and_rollback_still_works() {
    let site = Site::new();
    let agent = site.enrolled();
    site.release("1", 1, "one");
    agent.cycle();
    site.release("2", 2, "two");
    agent.cycle();
    site.server.lock().unwrap().change_assignment = |assignment| {
        assignment.expires_at = assignment.issued_at - SignedDuration::from_hours(1);
    };
    fs::remove_file(site.server_record("assignment")).unwrap();
    site.release("3", 3, "three");
    assert!(!agent.cycle().problems.is_empty());
    assert_eq!(site.installed().as_deref(), Some("two"));
    agent.roll_back(&package(), ToUnwanted::Refuse).unwrap();
    assert_eq!(site.installed().as_deref(), Some("one"));
}
