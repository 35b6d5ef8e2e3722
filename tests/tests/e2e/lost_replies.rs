//! The line is cut after the server has answered: the retry gets the same answer, and nothing happens twice.

use std::fs;

use anyhow::{Context, Result, ensure};
use sealpost_tests::harness::{Computer, Cut, Lab};

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

#[test]
fn of_two_computers_the_one_that_is_kept_goes_on_and_the_other_one_gets_a_seat_of_its_own() -> Result<()> {
    let lab = Lab::new()?;
    let (vendor, site) = lab.vendor_and_site(2)?;
    let computer = Computer::enrolled(&lab, &site, "pc", &vendor.root())?;
    let name = computer.name();
    vendor.release_files("scanner", "1.0", &[("VERSION", "1.0")])?;
    site.pull_and_approve("scanner:1.0")?;
    computer.check()?.ok()?;
    let clone = computer.cloned(&lab, "clone")?;
    computer.check()?.ok()?;
    let told = clone.check()?.refused()?;
    computer.check()?.refused()?;
    // Both are shown, and the computer says which one it is.
    let shown = site.json(&["clients", "show", name])?;
    let copies = shown["copies"].as_array().context("both copies")?;
    ensure!(copies.len() == 2, "{copies:?}");
    for copy in copies {
        for field in ["seen_at", "came_by", "hostname", "agent_version"] {
            ensure!(copy[field].is_string(), "{field} of {copy}");
        }
        let runs = &copy["packages"][0]["release"];
        ensure!(runs["package"] == "scanner" && runs["version"] == "1.0", "{copy}");
    }
    let kept = copies[1]["contact"].as_str().and_then(|contact| contact.get(..12)).context("its contact")?;
    ensure!(told.contains(kept), "the second is the clone: {told}");
    let printed = site.distributor(&["clients", "show", name])?.ok()?;
    ensure!(printed.matches("  copy ").count() == 2 && printed.contains("clients resolve"), "{printed}");
    // Nobody is there to be asked.
    site.distributor(&["clients", "resolve", name, "--keep", kept])?.refused()?;
    let said = site
        .distributor(&["clients", "resolve", name, "--keep", kept, "--comment", "the desk", "--yes"])?
        .ok()?;
    ensure!(said.contains("a key of its own"), "{said}");

    let own_key = |computer: &Computer| -> Result<Vec<u8>> {
        let mut keys = fs::read_dir(computer.home().join("keys"))?.flatten().map(|entry| entry.path());
        let own = keys.find(|path| !path.ends_with("client.key") && !path.ends_with("sealing.key"));
        Ok(fs::read(own.context("a key of its own")?)?)
    };
    computer.check()?.refused()?;
    ensure!(own_key(&computer).is_err(), "only the one that was kept makes a key");
    clone.check()?.ok()?;
    ensure!(own_key(&clone)? != fs::read(computer.home().join("keys/client.key"))?, "the old key is dead");
    let enrolled = site.activity_of("client_enrolled")?;
    ensure!(enrolled.len() == 2 && enrolled[1]["entry"]["change"]["by"] == "copy", "{enrolled:?}");
    vendor.release_files("scanner", "2.0", &[("VERSION", "2.0")])?;
    site.pull_and_approve("scanner:2.0")?;
    clone.check()?.ok()?;
    ensure!(clone.installed("scanner", "VERSION").as_deref() == Some("2.0"), "it goes on");

    // The other one runs on, and is told what to do; both words of it are typed here.
    let told = computer.check()?.refused()?;
    ensure!(told.contains("clients reserve NEWNAME") && told.contains("goes on running"), "{told}");
    ensure!(
        computer.is_open("scanner", "run")?
            && computer.installed("scanner", "VERSION").as_deref() == Some("1.0")
    );
    let status = computer.status()?;
    ensure!(status["problems"].to_string().contains("copy_given_up"), "{status}");
    site.distributor(&["clients", "reserve", "pc-of-its-own", "--yes"])?.ok()?;
    let setup = lab.path("pc-of-its-own.setup.json");
    let setup = setup.to_str().context("a file name in UTF-8")?;
    site.distributor(&["clients", "setup", "pc-of-its-own", "--out", setup])?.ok()?;
    computer.agent(&["enroll", "--setup", setup, "--replace"])?.ok()?;
    computer.check()?.ok()?;
    ensure!(computer.installed("scanner", "VERSION").as_deref() == Some("2.0"), "it has a seat of its own");
    clone.check()?.ok()?;
    ensure!(site.json(&["clients", "show", name])?["copies"].is_null(), "there is one again");
    site.verify_log()
}
