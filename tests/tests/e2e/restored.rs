//! The ledger comes back in an older state, by a copied home, a backup or a rebuild: every computer goes on, and nothing
//! new is licensed before the vendor confirms.

use std::path::Path;
use std::process::Command;
use std::thread;

use anyhow::{Context, Result, ensure};
use sealpost_tests::harness::{Computer, Lab, Site, Tool, copy_tree, replace_tree, run, wait_until};

const PACKAGE: &str = "scanner";

/// Each of them contacts and is licensed to run.
fn all_go_on(computers: &[Computer]) -> Result<()> {
    for computer in computers {
        computer.check()?.ok().with_context(|| computer.name().to_owned())?;
        ensure!(computer.is_open(PACKAGE, "run")?, "{} may not run", computer.name());
    }
    Ok(())
}

/// The server says that it is not confirmed, refuses a new license, and gives one after the vendor's word.
fn nothing_new_before_the_vendor_confirms(site: &Site) -> Result<()> {
    let status = site.distributor(&["status"])?;
    ensure!(status.status.code() == Some(1), "it needs a person: {}", status.text());
    let status = status.stdout;
    ensure!(status.contains("register SERIAL"), "the status says what to do: {status}");
    let said = site.distributor(&["clients", "reserve", "one-more"])?.refused()?;
    ensure!(said.contains("unconfirmed") && said.contains("distributor register SERIAL"), "{said}");
    site.register_again()?;
    site.distributor(&["clients", "reserve", "one-more"])?.ok()?;
    let status = site.distributor(&["status"])?.ok()?;
    ensure!(!status.contains("register SERIAL"), "nothing is left to do: {status}");
    site.verify_log()
}

fn enrolled(lab: &Lab, site: &Site, root: &Path, names: &[&str]) -> Result<Vec<Computer>> {
    let computers: Vec<_> =
        names.iter().map(|name| Computer::enrolled(lab, site, name, root)).collect::<Result<_>>()?;
    for computer in &computers {
        computer.check()?.ok()?;
    }
    Ok(computers)
}

#[test]
fn a_home_that_was_copied_back_serves_every_computer() -> Result<()> {
    let lab = Lab::new()?;
    let (vendor, mut site) = lab.vendor_and_site(5)?;
    vendor.release_files(PACKAGE, "1.0", &[("VERSION", "1.0")])?;
    site.pull_and_approve("scanner:1.0")?;
    let mut computers = enrolled(&lab, &site, &vendor.root(), &["asleep", "quiet", "renewed"])?;
    site.stop()?;
    let copy = lab.path("copy");
    copy_tree(site.home(), &copy)?;
    site.serve()?;

    // What the copy does not know: contacts, a release, a computer.
    computers[1].check()?.ok()?;
    vendor.release_files(PACKAGE, "1.1", &[("VERSION", "1.1")])?;
    site.pull_and_approve("scanner:1.1")?;
    computers[2].check()?.ok()?;
    ensure!(computers[2].installed(PACKAGE, "VERSION").as_deref() == Some("1.1"), "1.1 before the loss");
    computers.extend(enrolled(&lab, &site, &vendor.root(), &["newcomer"])?);
    site.stop()?;
    replace_tree(&copy, site.home())?;
    site.serve()?;

    all_go_on(&computers)?;
    ensure!(computers[2].installed(PACKAGE, "VERSION").as_deref() == Some("1.1"), "nothing goes backwards");
    ensure!(site.activity_of("ledger_restored")?.len() == 1, "the loss stands in the log, once");
    let resumed = site.activity_of("client_resumed")?.iter().map(ToString::to_string).collect::<String>();
    for name in ["quiet", "renewed", "newcomer"] {
        ensure!(resumed.contains(&format!("\"{name}\"")), "{name} was resumed: {resumed}");
    }
    ensure!(!resumed.contains("\"asleep\""), "who lost nothing has nothing to show: {resumed}");
    nothing_new_before_the_vendor_confirms(&site)?;
    // The site works as before: what was lost is approved again, and reaches everybody.
    site.pull_and_approve("scanner:1.1")?;
    all_go_on(&computers)?;
    for computer in &computers {
        let name = computer.name();
        ensure!(computer.installed(PACKAGE, "VERSION").as_deref() == Some("1.1"), "1.1 on {name}");
        computer.check()?.ok()?;
        let status = computer.agent(&["status"])?.ok()?;
        ensure!(!status.contains("fork"), "the vendor's word explains the new log to {name}: {status}");
    }
    ensure!(site.activity_of("fork_detected")?.is_empty(), "a restore is no cloned disk");
    site.verify_log()
}

#[test]
fn a_backup_of_a_running_server_restores_it_elsewhere_and_every_computer_goes_on() -> Result<()> {
    let lab = Lab::new()?;
    let (vendor, mut site) = lab.vendor_and_site(5)?;
    vendor.release_files(PACKAGE, "1.0", &[("VERSION", "1.0")])?;
    site.pull_and_approve("scanner:1.0")?;
    let mut computers = enrolled(&lab, &site, &vendor.root(), &["reception", "workshop"])?;
    let backup = lab.path("site.backup");
    let file = backup.to_str().context("a file name in UTF-8")?;
    // The server is at work while it is backed up.
    thread::scope(|scope| {
        let contacts = scope.spawn(|| all_go_on(&computers));
        let made = site.distributor(&["backup", file]).and_then(sealpost_tests::harness::Output::ok);
        contacts.join().map_err(|_| anyhow::anyhow!("the contacts failed"))??;
        made
    })?;
    computers.extend(enrolled(&lab, &site, &vendor.root(), &["laboratory"])?);
    site.kill_9()?;

    let mut restored = site.restored(&lab, "restored", &backup)?;
    restored.serve()?;
    all_go_on(&computers)?;
    nothing_new_before_the_vendor_confirms(&restored)?;
    vendor.release_files(PACKAGE, "1.1", &[("VERSION", "1.1")])?;
    restored.pull_and_approve("scanner:1.1")?;
    all_go_on(&computers)?;
    for computer in &computers {
        ensure!(
            computer.installed(PACKAGE, "VERSION").as_deref() == Some("1.1"),
            "1.1 on {}",
            computer.name()
        );
    }
    // A home that holds a server is not written over.
    let said = restored.distributor(&["restore", file])?.refused()?;
    ensure!(said.contains("empty"), "{said}");
    Ok(())
}

#[test]
fn a_ledger_with_a_ruined_table_is_rebuilt_from_its_log_and_every_computer_goes_on() -> Result<()> {
    if !Tool::Python.is_here("ruining a table")? {
        return Ok(());
    }
    let lab = Lab::new()?;
    let (vendor, mut site) = lab.vendor_and_site(4)?;
    vendor.release_files(PACKAGE, "1.0", &[("VERSION", "1.0")])?;
    site.pull_and_approve("scanner:1.0")?;
    let computers = enrolled(&lab, &site, &vendor.root(), &["reception", "workshop"])?;
    site.stop()?;
    let mut ruin = Command::new("python3");
    let statement = "import sqlite3, sys\n\
                     connection = sqlite3.connect(sys.argv[1])\n\
                     connection.execute('pragma foreign_keys = off')\n\
                     connection.execute('drop table reservations')\n\
                     connection.commit()";
    ruin.args(["-c", statement]).arg(site.home().join("ledger.db"));
    run(ruin)?.ok()?;
    site.distributor(&["ledger", "rebuild"])?.ok()?;
    site.serve()?;
    all_go_on(&computers)?;
    nothing_new_before_the_vendor_confirms(&site)
}

#[test]
fn one_registration_after_a_restore_is_enough_for_the_computers_of_every_serial_number() -> Result<()> {
    let lab = Lab::new()?;
    let (vendor, mut site) = lab.vendor_and_site(5)?;
    vendor.release_files(PACKAGE, "1.0", &[("VERSION", "1.0")])?;
    site.pull_and_approve("scanner:1.0")?;
    let second = vendor.serial(2)?;
    site.distributor(&["register", &second])?.ok()?;
    site.distributor(&["clients", "reserve", "studio", "--serial", &second])?.ok()?;
    let computers = enrolled(&lab, &site, &vendor.root(), &["reception", "studio"])?;
    let backup = lab.path("site.backup");
    site.distributor(&["backup", backup.to_str().context("a file name in UTF-8")?])?.ok()?;
    all_go_on(&computers)?;
    site.kill_9()?;

    let mut restored = site.restored(&lab, "restored", &backup)?;
    restored.serve()?;
    all_go_on(&computers)?;
    nothing_new_before_the_vendor_confirms(&restored)?;
    vendor.release_files(PACKAGE, "1.1", &[("VERSION", "1.1")])?;
    restored.pull_and_approve("scanner:1.1")?;
    for computer in &computers {
        let said = computer.check()?.ok()?;
        ensure!(!said.contains("refused"), "{}: {said}", computer.name());
        ensure!(
            computer.installed(PACKAGE, "VERSION").as_deref() == Some("1.1"),
            "1.1 on {}",
            computer.name()
        );
    }
    // The other serial number gets its own word with its next registration, which nothing hangs on.
    let again = restored.distributor(&["register", &second])?.ok()?;
    ensure!(!again.contains("does not confirm"), "{again}");
    all_go_on(&computers)?;
    restored.verify_log()
}

#[test]
fn a_server_that_is_killed_while_its_computers_are_resumed_resumes_each_of_them_once() -> Result<()> {
    let lab = Lab::new()?;
    let (vendor, mut site) = lab.vendor_and_site(9)?;
    vendor.release_files(PACKAGE, "1.0", &[("VERSION", "1.0")])?;
    site.pull_and_approve("scanner:1.0")?;
    let names: Vec<String> = (0..6).map(|number| format!("pc-{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let computers = enrolled(&lab, &site, &vendor.root(), &names)?;
    site.stop()?;
    let copy = lab.path("copy");
    copy_tree(site.home(), &copy)?;
    site.serve()?;
    all_go_on(&computers)?;
    site.stop()?;
    replace_tree(&copy, site.home())?;
    site.serve()?;
    thread::scope(|scope| {
        for computer in &computers {
            // Refused or not: the server is killed under some of them.
            scope.spawn(|| computer.check());
        }
        wait_until("some are resumed", || Ok(!site.activity_of("client_resumed")?.is_empty()))
    })?;
    site.kill_9()?;
    site.serve()?;
    all_go_on(&computers)?;
    all_go_on(&computers)?;
    ensure!(site.activity_of("client_resumed")?.len() == computers.len(), "each of them, once");
    ensure!(site.activity_of("ledger_restored")?.len() == 1, "one loss is one loss");
    ensure!(site.activity_of("fork_detected")?.is_empty(), "a crash makes no fork");
    nothing_new_before_the_vendor_confirms(&site)
}
