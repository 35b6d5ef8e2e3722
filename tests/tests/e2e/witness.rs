//! Somebody with the server's disk and keys cuts the log, or writes another one: the first computer that holds a later head
//! finds it.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use sealpost_tests::harness::{Computer, Lab, Site, Tool, Vendor, copy_tree, replace_tree, run, write_file};
use serde_json::{Value, json};

const PACKAGE: &str = "scanner";
/// What stands in the database beside the log: whoever writes another log keeps it.
const NOTES: [&str; 6] = ["contacts", "seen", "installed", "sent", "freshness", "clock"];
/// How a command ends that found what it was to look for.
const FOUND: i32 = 1;

/// Changes the ledger of a server that does not run.
fn edit(site: &Site, statements: &[String]) -> Result<()> {
    let mut python = Command::new("python3");
    let program = "import sqlite3, sys\n\
                   connection = sqlite3.connect(sys.argv[1], isolation_level=None)\n\
                   for statement in sys.argv[2:]: connection.execute(statement)";
    python.args(["-c", program]).arg(site.home().join("ledger.db")).args(statements);
    run(python)?.ok().map(drop)
}

/// The head of the log, as a check says that finds nothing.
fn head(site: &Site) -> Result<(u64, String)> {
    let check = site.json(&["log", "verify"])?;
    let root = check["head"]["root"].as_str().context("a root")?.to_owned();
    Ok((check["head"]["size"].as_u64().context("a size")?, root))
}

/// A computer whose lease will carry the head that the log has after this.
fn site_with_computer(lab: &Lab) -> Result<(Vendor, Site, Computer)> {
    let (vendor, site) = lab.vendor_and_site(9)?;
    vendor.release_files(PACKAGE, "1.0", &[("VERSION", "1.0")])?;
    site.pull_and_approve("scanner:1.0")?;
    let computer = Computer::enrolled(lab, &site, "reception", &vendor.root())?;
    Ok((vendor, site, computer))
}

fn reserve(site: &Site, names: &[&str]) -> Result<()> {
    names.iter().try_for_each(|name| site.distributor(&["clients", "reserve", name])?.ok().map(drop))
}

/// The computer goes on; from then on the server warns, and gives nothing new before the vendor's word.
fn is_found_by(site: &Site, computer: &Computer, lost: &(u64, String)) -> Result<()> {
    ensure!(site.activity_of("ledger_restored")?.is_empty(), "on the disk everything fits together");
    computer.check()?.ok()?;
    ensure!(computer.is_open(PACKAGE, "run")?, "it may run");
    let found = site.activity_of("ledger_restored")?.iter().map(Value::to_string).collect::<Vec<_>>();
    ensure!(found.len() == 1 && found[0].contains(&lost.1), "the log names the lost head: {found:?}");
    let checked = site.distributor(&["status", "--check"])?;
    ensure!(checked.status.code() == Some(2), "it is urgent: {}", checked.text());
    let said = site.distributor(&["clients", "reserve", "one-more"])?.refused()?;
    ensure!(said.contains("unconfirmed"), "{said}");
    site.distributor(&["ledger", "acknowledge", "--comment", "ticket 4711"])?.ok()?;
    let checked = site.distributor(&["status", "--check"])?;
    ensure!(checked.status.code() != Some(2), "no alarm any more: {}", checked.text());
    let said = site.distributor(&["clients", "reserve", "one-more"])?.refused()?;
    ensure!(said.contains("unconfirmed"), "who has seen it confirms nothing: {said}");
    site.register_again()?;
    reserve(site, &["one-more"])?;
    for _ in 0..2 {
        computer.check()?.ok()?;
    }
    ensure!(site.activity_of("ledger_restored")?.len() == 1, "one loss is one loss");
    Ok(())
}

#[test]
fn a_log_whose_end_was_cut_off_on_the_disk_is_found_by_the_first_computer_that_held_more() -> Result<()> {
    if !Tool::Python.is_here("cutting a log")? {
        return Ok(());
    }
    let lab = Lab::new()?;
    let (_vendor, mut site, computer) = site_with_computer(&lab)?;
    reserve(&site, &["workshop", "laboratory"])?;
    let held = head(&site)?;
    computer.check()?.ok()?;
    site.stop()?;
    edit(&site, &[format!("delete from activity where sequence >= {}", held.0)])?;
    // The marker beside the ledger is edited to fit.
    let cut = site.distributor(&["log", "verify", "--json"])?;
    let cut: Value = serde_json::from_str(&cut.stdout).with_context(|| cut.text())?;
    ensure!(cut["head"]["size"] == json!(held.0 - 1), "{cut}");
    let marker = site.home().join("ledger.marker");
    let mut text: Value = serde_json::from_slice(&std::fs::read(&marker)?)?;
    text["head"] = cut["head"].clone();
    write_file(&marker, text.to_string())?;
    site.serve()?;
    is_found_by(&site, &computer, &held)?;
    // The tables were left as they were; only what is in the log comes back.
    let checked = site.distributor(&["log", "verify"])?;
    ensure!(
        checked.status.code() == Some(FOUND) && checked.stdout.contains("the tables are not as the log says"),
        "{}",
        checked.text()
    );
    Ok(())
}

/// The home goes back to its copy and makes another history with the same keys; what stands beside the log is as it was.
fn write_another_history(lab: &Lab, site: &mut Site, before: &Path) -> Result<()> {
    let kept = lab.path("kept");
    copy_tree(site.home(), &kept)?;
    replace_tree(before, site.home())?;
    site.serve()?;
    reserve(site, &["other-1", "other-2", "other-3", "other-4", "other-5"])?;
    site.stop()?;
    let mut statements = vec![format!("attach '{}' as kept", kept.join("ledger.db").display())];
    statements.push("pragma foreign_keys = off".to_owned());
    for table in NOTES {
        statements.push(format!("delete from {table}"));
        statements.push(format!("insert into {table} select * from kept.{table}"));
    }
    edit(site, &statements)?;
    site.serve()
}

#[test]
fn another_history_with_the_same_keys_is_found_by_the_first_computer_that_held_more() -> Result<()> {
    if !Tool::Python.is_here("writing another log")? {
        return Ok(());
    }
    let lab = Lab::new()?;
    let (_vendor, mut site, computer) = site_with_computer(&lab)?;
    site.stop()?;
    let before = lab.path("before");
    copy_tree(site.home(), &before)?;
    site.serve()?;
    reserve(&site, &["workshop", "laboratory"])?;
    let held = head(&site)?;
    computer.check()?.ok()?;
    site.stop()?;
    write_another_history(&lab, &mut site, &before)?;
    let other = head(&site)?;
    ensure!(other.0 > held.0, "the other log is longer");
    site.verify_log()?;
    let kept = format!("{}:{}", held.0, held.1);
    let checked = site.distributor(&["log", "verify", "--head", &kept])?;
    ensure!(
        checked.status.code() == Some(FOUND) && checked.stdout.contains("the log is damaged"),
        "a head that somebody kept shows it too: {}",
        checked.text()
    );
    is_found_by(&site, &computer, &held)?;
    site.verify_log()
}
