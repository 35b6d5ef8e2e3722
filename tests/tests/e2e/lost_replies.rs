//! The line is cut after the server has answered: the retry gets the same answer, and nothing happens twice.

use anyhow::{Result, ensure};
use sealpost_tests::harness::{Cut, Lab};

#[test]
fn an_enrollment_whose_reply_is_lost_gets_the_same_answer_again() -> Result<()> {
    let lab = Lab::new()?;
    let (vendor, site) = lab.vendor_and_site(1)?;
    vendor.release_files("scanner", "1.0", &[("VERSION", "1.0")])?;
    site.pull_and_approve("scanner:1.0")?;
    let (proxy, computer) = lab.computer_behind_a_proxy(&vendor, &site)?;
    proxy.cut(Cut::Replies(1));
    let first = computer.enroll()?;
    ensure!(proxy.cuts_made() == 1, "the reply was lost: {}", first.text());
    if !first.status.success() {
        ensure!(!first.stderr.is_empty(), "it says why");
        computer.enroll()?.ok()?;
    }
    computer.check()?.ok()?;
    let enrolled = site.activity_of("client_enrolled")?;
    ensure!(enrolled.len() == 1, "one enrollment: {enrolled:?}");
    ensure!(computer.is_open("scanner", "run")?, "it is licensed");
    site.verify_log()
}

#[test]
fn a_contact_whose_reply_is_lost_is_repeated_and_not_taken_for_a_fork() -> Result<()> {
    let lab = Lab::new()?;
    let (vendor, site) = lab.vendor_and_site(1)?;
    let (proxy, computer) = lab.computer_behind_a_proxy(&vendor, &site)?;
    computer.enroll()?.ok()?;
    vendor.release_files("scanner", "1.0", &[("VERSION", "1.0")])?;
    site.pull_and_approve("scanner:1.0")?;
    proxy.cut(Cut::Replies(1));
    let first = computer.check()?;
    ensure!(proxy.cuts_made() == 1, "the reply was lost: {}", first.text());
    computer.check()?.ok()?;
    ensure!(computer.installed("scanner", "VERSION").as_deref() == Some("1.0"), "the answer came after all");
    ensure!(site.activity_of("fork_detected")?.is_empty(), "a retry is no fork");
    let assigned = site.activity_of("assignment_changed")?;
    ensure!(assigned.len() == 1, "one assignment: {assigned:?}");
    // Reports that were acknowledged in a lost reply are not logged twice.
    proxy.cut(Cut::Replies(1));
    computer.check()?;
    computer.check()?.ok()?;
    let reports = site.activity_of("step_reported")?;
    let ids: Vec<String> =
        reports.iter().map(|entry| entry["entry"]["change"]["report"]["id"].to_string()).collect();
    let mut distinct = ids.clone();
    distinct.sort();
    distinct.dedup();
    ensure!(distinct.len() == ids.len() && !ids.is_empty(), "each report once: {ids:?}");
    site.verify_log()
}

#[test]
fn a_cloned_disk_is_noticed_and_the_product_still_runs() -> Result<()> {
    let lab = Lab::new()?;
    let (vendor, site, computer) = lab.vendor_site_and_computer()?;
    vendor.release_files("scanner", "1.0", &[("VERSION", "1.0")])?;
    site.pull_and_approve("scanner:1.0")?;
    computer.check()?.ok()?;
    let clone = computer.cloned(&lab, "clone")?;
    computer.check()?.ok()?;
    clone.check()?.refused()?;
    site.wait_for_activity("fork_detected", &[])?;
    for computer in [&computer, &clone] {
        ensure!(computer.is_open("scanner", "run")?, "neither of them loses its license to run");
    }
    Ok(())
}
