//! Seats, names and codes: who gets in, and who does not.

use std::thread;

use anyhow::{Context, Result, ensure};
use sealpost_tests::harness::{Computer, Lab, Site};

#[test]
fn a_hundred_reservations_at_once_for_ten_seats_give_exactly_ten() -> Result<()> {
    let lab = Lab::new()?;
    let (_vendor, mut site) = lab.vendor_and_site(10)?;
    let outcomes: Vec<Result<bool>> = thread::scope(|scope| {
        let site = &site;
        let workers: Vec<_> = (0..20)
            .map(|worker| {
                scope.spawn(move || -> Vec<Result<bool>> {
                    (0..5).map(|turn| reserve(site, &format!("pc-{worker}-{turn}"))).collect()
                })
            })
            .collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap_or_default()).collect()
    });
    ensure!(outcomes.len() == 100, "every reservation was answered");
    let outcomes = outcomes.into_iter().collect::<Result<Vec<bool>>>()?;
    let given = outcomes.iter().filter(|given| **given).count();
    ensure!(given == 10, "{given} seats were given out");
    let status = site.distributor(&["status"])?.ok()?;
    site.kill_9()?;
    site.serve()?;
    let names = client_names(&site)?;
    ensure!(names.len() == 10, "after a crash there are {}: {status}", names.len());
    ensure!(!reserve(&site, "one-more")?, "an eleventh seat was given out");
    ensure!(reserve(&site, &names[0])?, "who has a seat gets the same answer again");
    site.verify_log()
}

/// Whether a seat was given; a refusal must say so in its stable code.
fn reserve(site: &Site, name: &str) -> Result<bool> {
    let output = site.distributor(&["clients", "reserve", name])?;
    if output.status.success() {
        return Ok(true);
    }
    let said = output.refused()?;
    ensure!(said.contains("no_seat_free"), "{said}");
    Ok(false)
}

pub(crate) fn client_names(site: &Site) -> Result<Vec<String>> {
    let list = site.json(&["clients", "list"])?;
    let rows = list.as_array().or_else(|| list["clients"].as_array()).context("a list of clients")?;
    rows.iter().map(|row| Ok(row["name"].as_str().context("a name")?.to_owned())).collect()
}

#[test]
fn before_a_serial_number_is_unlocked_there_is_no_seat() -> Result<()> {
    let lab = Lab::new()?;
    let mut vendor = sealpost_tests::harness::Vendor::new(&lab, "vendor")?;
    let url = vendor.serve()?;
    let mut site = Site::new(&lab, "site", &url, &vendor.root())?;
    site.serve()?;
    let said = site.distributor(&["clients", "reserve", "pc"])?.refused()?;
    ensure!(said.contains("not_unlocked"), "{said}");
    Ok(())
}

#[test]
fn a_serial_number_unlocks_one_site_by_hand_and_no_second_one() -> Result<()> {
    let lab = Lab::new()?;
    let mut vendor = sealpost_tests::harness::Vendor::new(&lab, "vendor")?;
    let url = vendor.serve()?;
    let mut site = Site::new(&lab, "site", &url, &vendor.root())?;
    site.serve()?;
    let serial = vendor.serial(2)?;
    let printed = site.distributor(&["register", &serial, "--offline"])?.ok()?;
    let code = lab.path("registration");
    sealpost_tests::harness::write_file(&code, &code_in(&printed)?)?;
    let unlock = vendor.publisher(&["serial", "unlock", code.to_str().context("a path")?])?.ok()?;
    let unlock_file = lab.path("unlock");
    sealpost_tests::harness::write_file(&unlock_file, &unlock)?;
    let unlock_path = unlock_file.to_str().context("a path")?;
    site.distributor(&["unlock", unlock_path])?.ok()?;
    site.distributor(&["clients", "reserve", "pc"])?.ok()?;

    let mut second = Site::new(&lab, "second", &url, &vendor.root())?;
    second.serve()?;
    let said = second.distributor(&["register", &serial])?.refused()?;
    ensure!(said.contains("serial_bound"), "{said}");
    let said = second.distributor(&["unlock", unlock_path])?.refused()?;
    ensure!(said.contains("grant_refused"), "another site's grant: {said}");
    let said = second.distributor(&["clients", "reserve", "pc"])?.refused()?;
    ensure!(said.contains("not_unlocked"), "{said}");
    Ok(())
}

/// The registration code in what `register --offline` printed: the longest run of lines that look like one.
pub(crate) fn code_in(printed: &str) -> Result<String> {
    let is_code = |line: &str| {
        // The last line may have one group.
        line.len() >= 5
            && line.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '-' || c == ' ')
    };
    let lines: Vec<&str> = printed.lines().map(str::trim).filter(|line| is_code(line)).collect();
    ensure!(!lines.is_empty(), "no code in {printed}");
    Ok(lines.join("\n"))
}

#[test]
fn a_code_that_another_computer_used_is_refused_and_the_first_one_is_not_disturbed() -> Result<()> {
    let lab = Lab::new()?;
    let (vendor, site) = lab.vendor_and_site(2)?;
    let first = Computer::enrolled(&lab, &site, "first", &vendor.root())?;
    let second = Computer::reserved(&lab, &site, "second", &vendor.root())?;
    std::fs::copy(first.setup(), second.setup())?;
    let said = second.enroll()?.refused()?;
    ensure!(said.contains("enrollment_code_used"), "{said}");
    first.check()?.ok()?;
    ensure!(site.activity_of("client_enrolled")?.len() == 1, "nobody else was enrolled");
    Ok(())
}

#[test]
fn a_wrong_name_is_refused() -> Result<()> {
    let lab = Lab::new()?;
    let (vendor, site) = lab.vendor_and_site(2)?;
    let _other = Computer::reserved(&lab, &site, "other", &vendor.root())?;
    let computer = Computer::reserved(&lab, &site, "pc", &vendor.root())?;
    computer.edit_setup(|setup| setup["computer_name"] = "other".into())?;
    let said = computer.enroll()?.refused()?;
    ensure!(said.contains("enrollment_code_wrong"), "{said}");
    ensure!(site.activity_of("client_enrolled")?.is_empty(), "nobody was enrolled");
    computer.edit_setup(|setup| setup["computer_name"] = "pc".into())?;
    computer.enroll()?.ok()?;
    Ok(())
}

#[test]
fn an_unknown_computer_is_refused_and_takes_no_seat() -> Result<()> {
    let lab = Lab::new()?;
    let (vendor, site) = lab.vendor_and_site(2)?;
    let computer = Computer::reserved(&lab, &site, "pc", &vendor.root())?;
    computer.edit_setup(|setup| setup["computer_name"] = "stranger".into())?;
    let said = computer.enroll()?.refused()?;
    ensure!(said.contains("enrollment_code_wrong") && said.contains("clients reserve stranger"), "{said}");
    ensure!(client_names(&site)? == ["pc"], "it took a seat");
    let pending = site.json(&["clients", "pending"])?;
    let row = &pending["pending"][0];
    ensure!(row["name"] == "stranger" && row["standing"] == "no_seat" && row["key"].is_string(), "{pending}");
    site.distributor(&["clients", "reserve", "the-second-seat"])?.ok()?;
    Ok(())
}

#[test]
fn another_sites_server_with_a_good_grant_is_refused_by_its_pins() -> Result<()> {
    let lab = Lab::new()?;
    let (vendor, site) = lab.vendor_and_site(2)?;
    let other = lab.site(&vendor, "other-site", 2)?;
    let computer = Computer::reserved(&lab, &site, "pc", &vendor.root())?;
    other.distributor(&["clients", "reserve", "pc"])?.ok()?;
    let its_setup = lab.path("other.setup.json");
    other.distributor(&["clients", "setup", "pc", "--out", its_setup.to_str().context("a path")?])?.ok()?;
    let its_setup: serde_json::Value = serde_json::from_slice(&std::fs::read(&its_setup)?)?;
    let own_port = site.port()?;

    // Somebody answers at the server's address with a certificate of another site.
    computer.lead_through(other.port()?)?;
    let said = computer.enroll()?.refused()?;
    ensure!(said.to_lowercase().contains("pin"), "{said}");
    // Even with a certificate that the pin allows, the site key and the server id must be the pinned ones.
    computer.edit_setup(|setup| {
        let (server, its_server) = (&mut setup["servers"][0], &its_setup["servers"][0]);
        server["server"]["ca_spki_sha256"] = its_server["server"]["ca_spki_sha256"].clone();
        server["enrollment_code"] = its_server["enrollment_code"].clone();
    })?;
    computer.enroll()?.refused()?;
    ensure!(other.activity_of("client_enrolled")?.is_empty(), "the other site enrolled it");

    // The same for a computer that is enrolled already: it does not move over.
    let enrolled = Computer::enrolled(&lab, &site, "pc2", &vendor.root())?;
    enrolled.check()?.ok()?;
    ensure!(own_port == site.port()?, "the site's server is where it was");
    Ok(())
}
