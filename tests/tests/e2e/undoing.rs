//! What was approved, rejected or given up can be stopped, undone and tried again, down to the computers.

use anyhow::{Result, ensure};
use sealpost_tests::harness::{Computer, Lab, Site, Vendor, write_executable};

const PACKAGE: &str = "scanner";

fn runs(computer: &Computer, version: &str) -> Result<()> {
    let found = computer.installed(PACKAGE, "VERSION");
    ensure!(found.as_deref() == Some(version), "{} runs {found:?}, not {version}", computer.name());
    Ok(())
}

fn released(vendor: &Vendor, site: &Site, version: &str) -> Result<()> {
    vendor.release_files(PACKAGE, version, &[("VERSION", version)])?;
    site.pull_and_approve(&format!("{PACKAGE}:{version}"))
}

#[test]
fn a_halted_release_reaches_nobody_more_and_who_runs_it_goes_back_until_a_person_approves_it_again()
-> Result<()> {
    let lab = Lab::new()?;
    let (vendor, site) = lab.vendor_and_site(3)?;
    let computers = ["first", "second"].map(|name| Computer::enrolled(&lab, &site, name, &vendor.root()));
    let [first, second] = computers;
    let (first, second) = (first?, second?);
    released(&vendor, &site, "1.0")?;
    first.check()?.ok()?;
    second.check()?.ok()?;
    released(&vendor, &site, "1.1")?;
    first.check()?.ok()?;
    runs(&first, "1.1")?;

    let halt = ["updates", "halt", "scanner:1.1", "--reason", "deletes quarantine", "--rollback"];
    let said = site.distributor(&halt)?.ok()?;
    ensure!(said.contains("first") && !said.contains("second"), "who runs it is listed: {said}");
    second.check()?.ok()?;
    runs(&second, "1.0")?;
    first.check()?.ok()?;
    runs(&first, "1.0")?;
    // Neither a contact nor a pull brings it back.
    site.pull()?;
    first.check()?.ok()?;
    runs(&first, "1.0")?;
    ensure!(site.json(&["updates", "list"])?.to_string().contains("halted"), "the list says so");

    site.distributor(&["updates", "reconsider", "scanner:1.1", "--why", "it was mended"])?.ok()?;
    first.check()?.ok()?;
    runs(&first, "1.0")?;
    site.approve("scanner:1.1")?;
    for computer in [&first, &second] {
        computer.check()?.ok()?;
        runs(computer, "1.1")?;
    }
    site.verify_log()
}

#[test]
fn a_release_that_failed_for_a_local_cause_is_tried_again_when_somebody_on_either_side_asks() -> Result<()> {
    let lab = Lab::new()?;
    let (vendor, site) = lab.vendor_and_site(3)?;
    let broken = lab.path("broken");
    let health = lab.path("health");
    write_executable(&health, format!("#!/bin/sh\n[ ! -e {} ]\n", broken.display()))?;
    let computers = ["asked", "helped"].map(|name| Computer::enrolled(&lab, &site, name, &vendor.root()));
    let [by_the_site, by_a_person] = computers;
    let (by_the_site, by_a_person) = (by_the_site?, by_a_person?);
    released(&vendor, &site, "1.0")?;
    for computer in [&by_the_site, &by_a_person] {
        computer.configure(&format!("[packages.scanner]\nhealth = [\"{}\"]\n", health.display()))?;
        computer.check()?.ok()?;
    }
    std::fs::write(&broken, "")?;
    released(&vendor, &site, "1.1")?;
    for computer in [&by_the_site, &by_a_person] {
        computer.check()?.refused()?;
        runs(computer, "1.0")?;
    }
    std::fs::remove_file(&broken)?;
    // By itself nobody tries it again.
    let _ = by_the_site.check()?;
    runs(&by_the_site, "1.0")?;
    site.distributor(&["updates", "retry", "scanner:1.1", "--client", "asked", "--why", "mended"])?.ok()?;
    by_the_site.check()?.ok()?;
    runs(&by_the_site, "1.1")?;
    let _ = by_a_person.check()?;
    runs(&by_a_person, "1.0")?;
    by_a_person.agent(&["retry", PACKAGE])?.ok()?;
    by_a_person.check()?.ok()?;
    runs(&by_a_person, "1.1")?;
    site.verify_log()
}

#[test]
fn what_the_vendor_withdraws_goes_to_nobody_and_is_shown_with_those_who_run_it() -> Result<()> {
    let lab = Lab::new()?;
    let (vendor, site) = lab.vendor_and_site(3)?;
    let early = Computer::enrolled(&lab, &site, "early", &vendor.root())?;
    released(&vendor, &site, "1.0")?;
    early.check()?.ok()?;
    released(&vendor, &site, "1.1")?;
    early.check()?.ok()?;
    runs(&early, "1.1")?;
    vendor.publisher(&["withdraw", PACKAGE, "1.1", "--reason", "deletes quarantine"])?.ok()?;
    let listed = vendor.publisher(&["releases", "list"])?.ok()?;
    ensure!(listed.contains("withdrawn"), "the vendor sees it: {listed}");
    site.pull()?;
    let shown = site.distributor(&["updates", "show", "scanner:1.1"])?.ok()?;
    ensure!(shown.contains("withdrawn") && shown.contains("deletes quarantine"), "{shown}");
    ensure!(shown.contains("early"), "who runs it is named: {shown}");
    ensure!(site.approve("scanner:1.1").is_err(), "it cannot be approved again");
    let late = Computer::enrolled(&lab, &site, "late", &vendor.root())?;
    late.check()?.ok()?;
    runs(&late, "1.0")?;
    site.verify_log()
}

#[test]
fn what_was_approved_for_one_channel_reaches_another_only_after_a_second_look() -> Result<()> {
    let lab = Lab::new()?;
    let (vendor, site) = lab.vendor_and_site(3)?;
    let stable = Computer::enrolled(&lab, &site, "stable-pc", &vendor.root())?;
    let tester = Computer::enrolled(&lab, &site, "beta-pc", &vendor.root())?;
    released(&vendor, &site, "1.0")?;
    let folder = lab.path("scanner-1.1");
    sealpost_tests::harness::write_file(&folder.join("VERSION"), "1.1")?;
    let folder = folder.to_string_lossy().into_owned();
    let beta =
        ["--package", PACKAGE, "--version", "1.1", "--kind", "program", "--channel", "beta", "--new-channel"];
    vendor.publisher(&[&["release", &folder], &beta[..]].concat())?.ok()?;
    site.pull()?;
    site.distributor(&["clients", "channel", "beta-pc", "beta"])?.ok()?;
    site.approve("scanner:1.1")?;
    for computer in [&stable, &tester] {
        computer.check()?.ok()?;
        computer.check()?.ok()?;
    }
    runs(&stable, "1.0")?;
    runs(&tester, "1.1")?;

    vendor.publisher(&["channel", "set", PACKAGE, "stable", "1.1"])?.ok()?;
    site.pull()?;
    stable.check()?.ok()?;
    runs(&stable, "1.0")?;
    let warned = site.json(&["status"])?["warnings"].to_string();
    ensure!(warned.contains("stable") && warned.contains("scanner"), "the status says what waits: {warned}");
    site.approve("scanner:1.1")?;
    stable.check()?.ok()?;
    runs(&stable, "1.1")?;
    site.verify_log()
}
