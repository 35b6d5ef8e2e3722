//! Clocks that are wrong, on each of the three sides: nobody is locked out once they are right again.

use anyhow::{Context, Result, ensure};
use sealpost_tests::harness::{Computer, Lab, Site, Tool, Vendor, wait_until};

const PACKAGE: &str = "scanner";

/// A release is published, approved and installed: the whole line works.
fn a_release_arrives(vendor: &Vendor, site: &Site, computer: &Computer, version: &str) -> Result<()> {
    vendor.release_files(PACKAGE, version, &[("VERSION", version)])?;
    site.pull_and_approve(&format!("{PACKAGE}:{version}"))?;
    computer.check()?.ok()?;
    ensure!(computer.installed(PACKAGE, "VERSION").as_deref() == Some(version), "{version} is installed");
    for permission in ["run", "upload"] {
        ensure!(computer.is_open(PACKAGE, permission)?, "{permission} is open after {version}");
    }
    Ok(())
}

#[test]
fn contacts_while_the_servers_clock_was_ahead_lock_no_computer_out() -> Result<()> {
    if !Tool::Faketime.is_here("a server's wrong clock")? {
        return Ok(());
    }
    let lab = Lab::new()?;
    let (vendor, mut site, computer) = lab.vendor_site_and_computer()?;
    a_release_arrives(&vendor, &site, &computer, "1.0")?;
    for (number, ahead) in ["+40d", "+400d", "+5y"].into_iter().enumerate() {
        site.stop()?;
        site.set_clock(Some(ahead));
        site.serve()?;
        // Good or refused: the server says wrong times to it.
        let _ = computer.check()?;
        let _ = computer.check()?;
        ensure!(computer.is_open(PACKAGE, "run")?, "{ahead}: the product may run");
        site.stop()?;
        site.set_clock(None);
        site.serve()?;
        a_release_arrives(&vendor, &site, &computer, &format!("1.{}", number + 1))?;
    }
    site.verify_log()
}

#[test]
fn a_server_that_was_off_says_since_when_and_after_a_clock_that_was_ahead_it_says_nothing() -> Result<()> {
    if !Tool::Faketime.is_here("a server's wrong clock")? {
        return Ok(());
    }
    let lab = Lab::new()?;
    let (vendor, mut site, computer) = lab.vendor_site_and_computer()?;
    a_release_arrives(&vendor, &site, &computer, "1.0")?;
    let said = |site: &Site| site.distributor(&["log", "--kind", "server_started"])?.ok();
    for clock in [Some("+3d"), Some("+3d"), None, None] {
        site.stop()?;
        site.set_clock(clock);
        site.serve()?;
        let said = said(&site)?;
        ensure!(said.lines().count() == 1 && said.contains("(3 d"), "after {clock:?}: {said}");
        ensure!(said.contains("this ledger has no sign of a running server from "), "{said}");
    }
    a_release_arrives(&vendor, &site, &computer, "1.1")?;
    site.verify_log()
}

#[test]
fn a_registration_while_the_vendors_clock_was_ahead_locks_no_site_out() -> Result<()> {
    if !Tool::Faketime.is_here("a vendor's wrong clock")? {
        return Ok(());
    }
    for ahead in ["+40d", "+400d"] {
        let lab = Lab::new()?;
        let mut vendor = Vendor::new(&lab, "vendor")?;
        vendor.set_clock(Some(ahead));
        let url = vendor.serve()?;
        let mut site = Site::new(&lab, "site", &url, &vendor.root())?;
        site.serve()?;
        let serial = vendor.serial(3)?;
        site.register(&serial)?;
        let computer = Computer::enrolled(&lab, &site, "pc", &vendor.root())?;
        // Good or refused: by this license time the vendor's root may have ended.
        let _ = vendor.release_files(PACKAGE, "0.9", &[("VERSION", "0.9")]);
        let _ = site.pull_and_approve("scanner:0.9");
        let _ = computer.check()?;
        vendor.stop()?;

        // The vendor finds out. Its next statements know better than the earlier ones.
        vendor.set_clock(None);
        vendor.serve()?;
        wait_until("the vendor's server corrects what it signed", || {
            Ok(site.distributor(&["pull"])?.status.success())
        })?;
        a_release_arrives(&vendor, &site, &computer, "1.1").context(ahead)?;
        site.distributor(&["clients", "reserve", "second"])?.ok()?;
        site.register(&serial)?;
        a_release_arrives(&vendor, &site, &computer, "1.2").context(ahead)?;
        let late = Computer::enrolled(&lab, &site, "late", &vendor.root())?;
        late.check()?.ok()?;
        ensure!(late.installed(PACKAGE, "VERSION").as_deref() == Some("1.2"), "a new computer as well");
        site.verify_log()?;
    }
    Ok(())
}

#[test]
fn a_dead_clock_battery_stops_nobody() -> Result<()> {
    if !Tool::Faketime.is_here("a computer's wrong clock")? {
        return Ok(());
    }
    let lab = Lab::new()?;
    let (vendor, site) = lab.vendor_and_site(2)?;
    let mut computer = Computer::reserved(&lab, &site, "pc", &vendor.root())?;
    computer.set_clock(Some("@1970-01-02 00:00:00"));
    computer.enroll()?.ok()?;
    a_release_arrives(&vendor, &site, &computer, "1.0")?;
    // The battery is replaced, and dies again.
    computer.set_clock(None);
    a_release_arrives(&vendor, &site, &computer, "1.1")?;
    computer.set_clock(Some("@1970-01-02 00:00:00"));
    a_release_arrives(&vendor, &site, &computer, "1.2")?;
    site.verify_log()
}

#[test]
fn a_computer_whose_own_clock_was_ahead_goes_on_when_it_is_right_again() -> Result<()> {
    if !Tool::Faketime.is_here("a computer's wrong clock")? {
        return Ok(());
    }
    let lab = Lab::new()?;
    let (vendor, site, mut computer) = lab.vendor_site_and_computer()?;
    a_release_arrives(&vendor, &site, &computer, "1.0")?;
    computer.set_clock(Some("+5y"));
    // Everything has ended by this clock. The product does not stop.
    let _ = computer.check()?;
    ensure!(computer.is_open(PACKAGE, "run")?, "the product may run");
    computer.set_clock(None);
    a_release_arrives(&vendor, &site, &computer, "1.1")
}

#[test]
fn a_clock_that_was_never_set_makes_no_server() -> Result<()> {
    if !Tool::Faketime.is_here("a server's wrong clock")? {
        return Ok(());
    }
    let lab = Lab::new()?;
    let vendor = Vendor::new(&lab, "vendor")?;
    let mut programs = lab.programs().clone();
    programs.set_clock(Some("@1970-01-02 00:00:00"));
    let mut init = programs.command("distributor");
    let home = lab.path("site");
    init.arg("--home").arg(&home).args(["init", "--vendor-url", "http://127.0.0.1:9/", "--root"]);
    init.arg(vendor.root());
    let said = sealpost_tests::harness::run(init)?.refused()?;
    ensure!(said.contains("clock") && !home.exists(), "{said}");
    Ok(())
}
