//! Damage on a computer, and the way back that the messages name: each command that is advised is typed.

use std::fs;
use std::path::PathBuf;

use anyhow::{Result, ensure};
use sealpost_tests::harness::{Computer, Lab, Site, Vendor};

const PACKAGE: &str = "scanner";

fn installed(lab: &Lab) -> Result<(Vendor, Site, Computer)> {
    let (vendor, site, computer) = lab.vendor_site_and_computer()?;
    vendor.release_files(PACKAGE, "1.0", &[("VERSION", "1.0")])?;
    site.pull_and_approve("scanner:1.0")?;
    computer.check()?.ok()?;
    Ok((vendor, site, computer))
}

/// Types what a text advises between backticks.
fn follow(site: &Site, computer: &Computer, text: &str) -> Result<()> {
    let setup = computer.setup().to_string_lossy().into_owned();
    for command in text.split('`').skip(1).step_by(2) {
        let words: Vec<&str> = command.split_whitespace().collect();
        match words.as_slice() {
            ["distributor", "clients", "setup", "NAME"] => {
                site.distributor(&["clients", "setup", computer.name(), "--out", &setup])?.ok()?;
            }
            ["agent-updater", "enroll", "--setup", "FILE"] => {
                computer.enroll()?.ok()?;
            }
            ["agent-updater", arguments @ ..] => {
                computer.agent(arguments)?.ok()?;
            }
            _ => {}
        }
    }
    Ok(())
}

#[test]
fn whatever_is_done_to_an_installed_product_is_seen_and_put_right_by_the_command_that_is_named() -> Result<()>
{
    let lab = Lab::new()?;
    let (vendor, site, computer) = installed(&lab)?;
    let product = computer.home().join("products").join(PACKAGE);
    let damages: [(&str, &dyn Fn() -> std::io::Result<()>); 3] = [
        ("no folder", &|| fs::remove_dir_all(&product)),
        ("no link", &|| fs::remove_file(product.join("current"))),
        ("a changed file", &|| {
            let slot = fs::canonicalize(product.join("current"))?;
            fs::remove_file(slot.join("VERSION"))?;
            fs::write(slot.join("VERSION"), "by hand")
        }),
    ];
    for (what, damage) in damages {
        damage()?;
        let said = computer.check()?.refused()?;
        ensure!(said.contains("`agent-updater repair scanner`"), "{what}: {said}");
        ensure!(computer.agent(&["status"])?.status.code() == Some(1), "{what}: the status needs a person");
        follow(&site, &computer, &said)?;
        ensure!(
            computer.installed(PACKAGE, "VERSION").as_deref() == Some("1.0"),
            "{what}: 1.0 is there again"
        );
        computer.audit()?;
        computer.check()?.ok()?;
        computer.agent(&["status"])?.ok()?;
    }
    // And a new release heals it by itself.
    fs::remove_dir_all(&product)?;
    vendor.release_files(PACKAGE, "1.1", &[("VERSION", "1.1")])?;
    site.pull_and_approve("scanner:1.1")?;
    computer.check()?.ok()?;
    ensure!(computer.installed(PACKAGE, "VERSION").as_deref() == Some("1.1"), "1.1 is installed");
    site.verify_log()
}

#[test]
fn every_damaged_record_has_a_way_back_that_can_be_typed() -> Result<()> {
    let lab = Lab::new()?;
    let (_vendor, site, computer) = installed(&lab)?;
    let state = computer.home().join("state");
    let server: PathBuf = fs::read_dir(state.join("servers"))?
        .next()
        .map_or(Ok(PathBuf::new()), |entry| entry.map(|entry| entry.path()))?;
    let records =
        ["computer", "vendor", "servers", "journal", "packages/scanner"].map(|name| state.join(name));
    let of_server = ["enrollment", "contact", "standing"].map(|name| server.join(name));
    for record in records.iter().chain(&of_server) {
        let path = record.with_extension("json");
        fs::write(&path, "damaged")?;
        let said = computer.check()?.refused()?;
        ensure!(said.contains("damaged"), "{}: {said}", path.display());
        follow(&site, &computer, &said)?;
        computer.check()?.ok()?;
        let status = computer.status()?;
        ensure!(status["problems"].as_array().is_some_and(Vec::is_empty), "{}: {status}", path.display());
        ensure!(status["lease"]["live"] == true, "{}: {status}", path.display());
    }
    ensure!(
        computer.installed(PACKAGE, "VERSION").as_deref() == Some("1.0"),
        "the product was never touched"
    );
    site.verify_log()
}

#[test]
fn another_computers_setup_file_takes_no_seat_until_a_person_says_so() -> Result<()> {
    let lab = Lab::new()?;
    let (vendor, site) = lab.vendor_and_site(2)?;
    let computer = Computer::enrolled(&lab, &site, "first", &vendor.root())?;
    computer.check()?.ok()?;
    let other = Computer::reserved(&lab, &site, "other", &vendor.root())?;
    let setup = other.setup().to_string_lossy().into_owned();
    let refused = computer.agent(&["enroll", "--setup", &setup])?.refused()?;
    ensure!(refused.contains("--replace") && refused.contains("takes a seat"), "{refused}");
    computer.check()?.ok()?;
    // The file still serves the computer that it is for.
    other.enroll()?.ok()?;
    other.check()?.ok()?;
    site.verify_log()
}
