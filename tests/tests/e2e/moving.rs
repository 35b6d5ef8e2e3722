//! A Primary Server that gets another port, another address or another CA: its computers learn it from the server itself,
//! and until they have, nothing is taken away from them.

use std::fs;
use std::net::TcpStream;

use anyhow::{Context, Result, ensure};
use sealpost_test_support::ports::free_port;
use sealpost_tests::harness::{Computer, Lab, Site, Vendor, wait_until};

const PACKAGE: &str = "scanner";

/// A vendor, and a site whose port stands in its configuration.
fn on_a_configured_port(lab: &Lab) -> Result<(Vendor, Site, u16)> {
    let mut vendor = Vendor::new(lab, "vendor")?;
    let url = vendor.serve()?;
    let mut site = Site::new(lab, "site", &url, &vendor.root())?;
    let port = free_port();
    site.configure(&format!("listen = \"127.0.0.1:{port}\"\n"))?;
    site.serve_as_configured()?;
    site.register(&vendor.serial(3)?)?;
    Ok((vendor, site, port))
}

fn is_served(port: u16) -> bool {
    TcpStream::connect(("127.0.0.1", port)).is_ok()
}

fn waits_for(site: &Site, name: &str) -> Result<bool> {
    Ok(site.distributor(&["address", "show"])?.ok()?.contains(name))
}

#[test]
fn computers_learn_another_port_and_the_old_one_is_served_until_the_last_of_them_has() -> Result<()> {
    let lab = Lab::new()?;
    let (vendor, site, old) = on_a_configured_port(&lab)?;
    let [early, late] = ["early", "late"].map(|name| Computer::enrolled(&lab, &site, name, &vendor.root()));
    let (early, late) = (early?, late?);
    early.check()?.ok()?;
    late.check()?.ok()?;

    let new = free_port();
    site.configure(&format!("listen = \"127.0.0.1:{new}\"\naddresses = [\"127.0.0.1\", \"localhost\"]\n"))?;
    wait_until("the new port is served", || Ok(is_served(new)))?;
    ensure!(is_served(old), "the old one too");
    early.check()?.ok()?;
    // What it learned it says with the contact after.
    early.check()?.ok()?;
    ensure!(!waits_for(&site, "early")? && waits_for(&site, "late")?, "one of the two has learned it");
    let warned = site.json(&["status"])?["warnings"].to_string();
    ensure!(warned.contains("late") && warned.contains("distributor address"), "the status warns: {warned}");
    late.check()?.ok()?;
    late.check()?.ok()?;
    wait_until("the old port is closed", || Ok(!is_served(old)))?;
    let warned = site.json(&["status"])?["warnings"].to_string();
    ensure!(!warned.contains("distributor address"), "nothing is left to warn of: {warned}");
    vendor.release_files(PACKAGE, "1.0", &[("VERSION", "1.0")])?;
    site.pull_and_approve("scanner:1.0")?;
    for computer in [&early, &late] {
        computer.check()?.ok()?;
        ensure!(computer.installed(PACKAGE, "VERSION").as_deref() == Some("1.0"), "{}", computer.name());
    }
    // Whoever comes now gets the new way, and nothing else, in its setup file.
    let newcomer = Computer::enrolled(&lab, &site, "newcomer", &vendor.root())?;
    newcomer.check()?.ok()?;
    site.verify_log()
}

#[test]
fn whoever_did_not_learn_a_change_that_was_finished_is_named_and_gets_on_with_a_new_setup_file() -> Result<()>
{
    let lab = Lab::new()?;
    let (vendor, site, old) = on_a_configured_port(&lab)?;
    let asleep = Computer::enrolled(&lab, &site, "asleep", &vendor.root())?;
    asleep.check()?.ok()?;
    let new = free_port();
    site.configure(&format!("listen = \"127.0.0.1:{new}\"\n"))?;
    wait_until("the new port is served", || Ok(is_served(new)))?;
    let said = site.distributor(&["address", "finish"])?.refused()?;
    ensure!(
        said.contains("asleep") && said.contains("address finish --now"),
        "nobody is lost unasked: {said}"
    );
    let finished = site.distributor(&["address", "finish", "--now"])?;
    let said = finished.text();
    finished.ok()?;
    ensure!(said.contains("asleep"), "who is left behind is named: {said}");
    wait_until("the old port is closed", || Ok(!is_served(old)))?;
    asleep.check()?.refused()?;
    let setup = asleep.setup().to_str().context("a file name in UTF-8")?;
    site.distributor(&["clients", "setup", "asleep", "--out", setup])?.ok()?;
    asleep.enroll()?.ok()?;
    asleep.check()?.ok()?;
    Ok(())
}

#[test]
fn another_site_ca_is_presented_when_every_computer_has_learned_its_pin() -> Result<()> {
    let lab = Lab::new()?;
    let (vendor, mut site, _) = on_a_configured_port(&lab)?;
    let computer = Computer::enrolled(&lab, &site, "pc", &vendor.root())?;
    computer.check()?.ok()?;
    let before = fs::read(site.home().join("tls/ca.crt"))?;
    site.distributor(&["certificate", "renew", "--site-ca"])?.ok()?;
    ensure!(fs::read(site.home().join("tls/ca.crt"))? == before, "nobody knows the new one yet");
    computer.check()?.ok()?;
    computer.check()?.ok()?;
    wait_until("the new CA is in use", || Ok(fs::read(site.home().join("tls/ca.crt"))? != before))?;
    for _ in 0..2 {
        computer.check()?.ok()?;
        site.stop()?;
        site.serve_as_configured()?;
    }
    let newcomer = Computer::enrolled(&lab, &site, "newcomer", &vendor.root())?;
    newcomer.check()?.ok()?;
    site.verify_log()
}
