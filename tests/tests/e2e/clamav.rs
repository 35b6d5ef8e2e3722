//! A real signature product: ClamAV with databases made here. None is downloaded.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail, ensure};
use sealpost_tests::harness::{Lab, Tool, run, write_executable, write_file};

const PACKAGE: &str = "acme-av-signatures";

/// The EICAR test string, in two halves, so that no scanner takes this file for one.
fn eicar() -> String {
    ["X5O!P%@AP[4\\PZX54(P^)7CC)7}$EICAR-", "STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"].concat()
}

/// A line of an extended signature database: this byte string, anywhere in any file.
fn signature(name: &str, pattern: &[u8]) -> String {
    let hex: String = pattern.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{name}:0:*:{hex}\n")
}

fn finds_something(database: &Path, file: &Path) -> Result<bool> {
    let mut scan = Command::new("clamscan");
    scan.arg("--no-summary").arg("--database").arg(database).arg(file);
    let output = run(scan)?;
    match output.status.code() {
        Some(0) => Ok(false),
        Some(1) => Ok(true),
        _ => bail!("clamscan failed: {}", output.text()),
    }
}

#[test]
fn clamscan_finds_what_a_new_revision_knows_and_a_broken_revision_is_refused_by_the_test_load() -> Result<()>
{
    if !Tool::Clamscan.is_here("ClamAV")? {
        return Ok(());
    }
    let lab = Lab::new()?;
    let (vendor, site, computer) = lab.vendor_site_and_computer()?;
    let (infected, clean) = (lab.path("infected"), lab.path("clean"));
    write_file(&infected, eicar())?;
    write_file(&clean, "nothing to see here\n")?;
    let hook = lab.path("test-load");
    write_executable(
        &hook,
        format!("#!/bin/sh\nexec clamscan --no-summary --database \"$SEALPOST_SLOT\" {}\n", clean.display()),
    )?;
    computer.configure(&format!("[packages.{PACKAGE}]\ntest_load = [\"{}\"]\n", hook.display()))?;
    let database = computer.current(PACKAGE);
    let release = lab.path("signatures");
    let other = signature("Test.Other", b"a pattern that stands in no file of this test");

    write_file(&release.join("acme.ndb"), &other)?;
    vendor.release_signatures(&release, PACKAGE, "1")?;
    site.pull_and_approve(&format!("{PACKAGE}:1"))?;
    computer.check()?.ok()?;
    ensure!(!finds_something(&database, &infected)?, "revision 1 does not know EICAR");

    write_file(&release.join("acme.ndb"), format!("{other}{}", signature("Test.Eicar", eicar().as_bytes())))?;
    vendor.release_signatures(&release, PACKAGE, "2")?;
    site.pull_and_approve(&format!("{PACKAGE}:2"))?;
    computer.check()?.ok()?;
    ensure!(finds_something(&database, &infected)?, "revision 2 knows EICAR");
    ensure!(!finds_something(&database, &clean)?, "revision 2 finds EICAR only");

    write_file(&release.join("acme.ndb"), "Test.Broken:0:*:this-is-not-hexadecimal\n")?;
    vendor.release_signatures(&release, PACKAGE, "3")?;
    site.pull_and_approve(&format!("{PACKAGE}:3"))?;
    let refused = computer.check()?;
    ensure!(finds_something(&database, &infected)?, "revision 2 stays: {}", refused.text());
    computer.audit()?;
    computer.no_leftovers(PACKAGE)?;
    // The report of the refusal travels with the next contact at the latest.
    computer.check()?;
    let reason = site.wait_for_activity("step_reported", &["\"test_load\"", "\"3\"", "hook_failed"])?;
    ensure!(reason.to_lowercase().contains("malformed"), "the server shows what clamscan said: {reason}");
    let shown = site.distributor(&["clients", "show", computer.name()])?.ok()?;
    ensure!(shown.to_lowercase().contains("malformed") || shown.contains("hook_failed"), "{shown}");
    site.verify_log()
}

#[test]
fn a_revision_that_clamscan_cannot_load_on_the_server_is_held_there_and_no_computer_hears_of_it() -> Result<()>
{
    if !Tool::Clamscan.is_here("ClamAV")? {
        return Ok(());
    }
    let lab = Lab::new()?;
    let (vendor, site, computer) = lab.vendor_site_and_computer()?;
    let clean = lab.path("clean");
    write_file(&clean, "nothing to see here\n")?;
    let program = lab.path("load-signatures");
    write_executable(
        &program,
        format!("#!/bin/sh\nexec clamscan --database=\"$1\" --infected --no-summary {}\n", clean.display()),
    )?;
    site.configure(&format!(
        "[test_load.{PACKAGE}]\ncommand = [\"{}\", \"{{slot}}\"]\ntime_limit = \"2m\"\n",
        program.display()
    ))?;
    let release = lab.path("signatures");
    let other = signature("Test.Other", b"a pattern that stands in no file of this test");
    write_file(&release.join("acme.ndb"), &other)?;
    vendor.release_signatures(&release, PACKAGE, "1")?;
    site.pull()?;
    // It waits for the end of the load, whoever began it.
    site.distributor(&["updates", "test-load", &format!("{PACKAGE}:1")])?.ok()?;
    site.approve(&format!("{PACKAGE}:1"))?;
    computer.check()?.ok()?;

    write_file(&release.join("acme.ndb"), "Broken:0:*:zz not hexadecimal\n")?;
    vendor.release_signatures(&release, PACKAGE, "2")?;
    site.pull()?;
    let said = site.distributor(&["updates", "test-load", &format!("{PACKAGE}:2")])?;
    ensure!(said.status.code() == Some(1) && said.text().contains("failed"), "{}", said.text());
    let refused = site.distributor(&["updates", "approve", &format!("{PACKAGE}:2"), "--yes"])?;
    ensure!(!refused.status.success() && refused.text().contains("--override"), "{}", refused.text());
    computer.check()?.ok()?;
    ensure!(computer.installed(PACKAGE, "acme.ndb").as_deref() == Some(other.trim()), "it has revision 1");
    let why = site.distributor(&["updates", "why", computer.name()])?.ok()?;
    ensure!(why.contains("2 is held, failed test-load"), "{why}");

    // An admin who knows better has the last word, and the log says so.
    let lets = ["updates", "test-load", &format!("{PACKAGE}:2"), "--override", "--why", "it is known"];
    site.distributor(&lets)?.ok()?;
    site.approve(&format!("{PACKAGE}:2"))?;
    let tests = site.activity_of("release_test_loaded")?;
    let outcomes = tests.iter().map(|entry| entry["entry"]["change"]["outcome"].as_str().unwrap_or("?"));
    let outcomes: Vec<&str> = outcomes.collect();
    ensure!(outcomes.contains(&"passed") && outcomes.contains(&"overridden"), "{outcomes:?}");
    site.verify_log()
}
