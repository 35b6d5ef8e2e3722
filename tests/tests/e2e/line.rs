//! The line itself: a release travels from a vendor's command line to licensed computers.

use anyhow::{Result, ensure};
use sealpost_tests::harness::{Computer, Lab, wait_until, write_executable};

#[test]
fn a_release_reaches_three_computers_by_push_and_a_second_one_as_a_delta() -> Result<()> {
    let lab = Lab::new()?;
    let (vendor, site) = lab.vendor_and_site(3)?;
    let bulk: String = (0..20_000).map(|line| format!("line {line}\n")).collect();
    vendor.release_files("scanner", "1.0", &[("VERSION", "1.0"), ("bulk", &bulk)])?;
    let mut computers = Vec::new();
    for name in ["reception", "workshop", "laboratory"] {
        let mut computer = Computer::enrolled(&lab, &site, name, &vendor.root())?;
        computer.run()?;
        computers.push(computer);
    }
    site.pull_and_approve("scanner:1.0")?;
    for computer in &computers {
        // The next poll is hours away, so what arrives now was pushed.
        computer.wait_for_installed("scanner", "VERSION", "1.0")?;
    }

    vendor.release_files("scanner", "1.1", &[("VERSION", "1.1"), ("bulk", &format!("{bulk}one more\n"))])?;
    site.pull_and_approve("scanner:1.1")?;
    for computer in &computers {
        computer.wait_for_installed("scanner", "VERSION", "1.1")?;
        site.wait_for_activity("step_reported", &["\"by_delta\"", "\"1.1\""])?;
        computer.audit()?;
    }
    wait_until("three computers report that they keep 1.1", || {
        let reports = site.activity_of("step_reported")?;
        let kept = reports.iter().map(ToString::to_string);
        Ok(kept.filter(|entry| entry.contains("\"keep\"") && entry.contains("\"1.1\"")).count() == 3)
    })?;
    // Idle budgets: 20 MiB for an agent, 64 MiB for a server.
    let server_kib = site.anonymous_kib()?;
    ensure!(server_kib <= 64 * 1024, "the server holds {server_kib} KiB");
    for computer in &mut computers {
        let agent_kib = computer.anonymous_kib()?;
        ensure!(agent_kib <= 20 * 1024, "the agent of {} holds {agent_kib} KiB", computer.name());
        ensure!(computer.is_open("scanner", "run")?, "a licensed product may run");
        computer.stop()?;
    }
    site.verify_log()
}

#[test]
fn nothing_is_installed_before_an_admin_approved_it_nor_after_a_rejection() -> Result<()> {
    let lab = Lab::new()?;
    let (vendor, site, computer) = lab.vendor_site_and_computer()?;
    vendor.release_files("scanner", "1.0", &[("VERSION", "1.0")])?;
    site.pull()?;
    computer.check()?.ok()?;
    ensure!(computer.installed("scanner", "VERSION").is_none(), "installed without an approval");
    site.distributor(&["updates", "reject", "scanner:1.0", "--reason", "not now"])?.ok()?;
    computer.check()?.ok()?;
    ensure!(computer.installed("scanner", "VERSION").is_none(), "installed after a rejection");
    site.verify_log()
}

#[test]
fn an_approval_is_for_the_digest_that_was_shown_and_for_no_other() -> Result<()> {
    let lab = Lab::new()?;
    let (vendor, site) = lab.vendor_and_site(1)?;
    vendor.release_files("scanner", "1.0", &[("VERSION", "1.0")])?;
    site.pull()?;
    let other = "0".repeat(64);
    let said = site.distributor(&["updates", "approve", "scanner:1.0", "--digest", &other])?.refused()?;
    ensure!(said.contains("digest"), "{said}");
    ensure!(site.activity_of("release_approved")?.is_empty(), "approved all the same");
    Ok(())
}

#[test]
fn a_release_that_fails_its_health_check_rolls_back_and_is_not_tried_again() -> Result<()> {
    let lab = Lab::new()?;
    let (vendor, site, computer) = lab.vendor_site_and_computer()?;
    let health = lab.path("health");
    write_executable(&health, "#!/bin/sh\nexec \"$SEALPOST_SLOT/bin/check\"\n")?;
    computer.configure(&format!("[packages.scanner]\nhealth = [\"{}\"]\n", health.display()))?;
    let good = ("bin/check", "#!/bin/sh\nexit 0\n");
    vendor.release_files("scanner", "1.0", &[("VERSION", "1.0"), good])?;
    site.pull_and_approve("scanner:1.0")?;
    computer.check()?.ok()?;
    ensure!(computer.installed("scanner", "VERSION").as_deref() == Some("1.0"), "1.0 is installed");

    let bad = ("bin/check", "#!/bin/sh\necho the engine does not start\nexit 3\n");
    vendor.release_files("scanner", "1.1", &[("VERSION", "1.1"), bad])?;
    site.pull_and_approve("scanner:1.1")?;
    let first = computer.check()?;
    ensure!(computer.installed("scanner", "VERSION").as_deref() == Some("1.0"), "{}", first.text());
    computer.check()?;
    let reported = site.wait_for_activity("step_reported", &["\"health\"", "\"1.1\""])?;
    ensure!(reported.contains("the engine does not start"), "the server knows why: {reported}");
    site.wait_for_activity("step_reported", &["\"roll_back\"", "\"1.1\""])?;
    computer.check()?;
    computer.check()?;
    let reports = site.activity_of("step_reported")?;
    let tries = reports.iter().map(ToString::to_string);
    let tries = tries.filter(|entry| entry.contains("\"health\"") && entry.contains("\"1.1\"")).count();
    ensure!(tries == 1, "1.1 was tried {tries} times");
    let status = computer.agent(&["status"])?.text();
    ensure!(status.contains("1.1"), "the status says why 1.1 does not run: {status}");

    // A newer release is another matter.
    vendor.release_files("scanner", "1.2", &[("VERSION", "1.2"), good])?;
    site.pull_and_approve("scanner:1.2")?;
    computer.check()?.ok()?;
    ensure!(computer.installed("scanner", "VERSION").as_deref() == Some("1.2"), "1.2 is installed");
    site.verify_log()
}

#[test]
fn losing_the_server_stops_no_product_and_holds_uploads() -> Result<()> {
    let lab = Lab::new()?;
    let (vendor, mut site, computer) = lab.vendor_site_and_computer()?;
    vendor.release_files("scanner", "1.0", &[("VERSION", "1.0")])?;
    site.pull_and_approve("scanner:1.0")?;
    computer.check()?.ok()?;
    ensure!(computer.is_open("scanner", "upload")?, "uploads are open while contact is good");
    site.stop()?;
    computer.check()?.refused()?;
    ensure!(computer.is_open("scanner", "run")?, "the product runs");
    for permission in ["upload", "remote_management"] {
        ensure!(!computer.is_open("scanner", permission)?, "{permission} is held");
    }
    computer.agent(&["status"])?.ok()?;
    site.serve()?;
    computer.check()?.ok()?;
    ensure!(computer.is_open("scanner", "upload")?, "uploads are open again");
    Ok(())
}
