//! A computer with two Primary Servers of its own: one is killed, the other serves, and the first comes back.

use anyhow::{Context, Result, ensure};
use sealpost_tests::harness::{Computer, Lab, Site, Tool, Vendor};
use serde_json::Value;

const PACKAGE: &str = "scanner";

/// A vendor, the site that decides about updates, a further one, and a computer that is enrolled with both and runs 1.0.
fn two_sites(lab: &Lab) -> Result<(Vendor, Site, Site, Computer)> {
    let (vendor, main) = lab.vendor_and_site(2)?;
    vendor.release_files(PACKAGE, "1.0", &[("VERSION", "1.0")])?;
    main.pull_and_approve("scanner:1.0")?;
    let backup = lab.site(&vendor, "backup", 2)?;
    let computer = Computer::enrolled(lab, &main, "pc", &vendor.root())?;
    computer.check()?.ok()?;
    let said = computer.add_server(lab, &backup)?.ok()?;
    ensure!(said.contains("(secondary) as pc"), "{said}");
    computer.check()?.ok()?;
    ensure!(serving(&computer)? == (port_of(&main)?, "preferred".to_owned()), "the first one serves");
    Ok((vendor, main, backup, computer))
}

fn port_of(site: &Site) -> Result<String> {
    Ok(site.port()?.to_string())
}

/// The port of the server that serves, and why it does.
fn serving(computer: &Computer) -> Result<(String, String)> {
    let serving = computer.status()?["serving"].clone();
    let text = |name: &str| Ok::<_, anyhow::Error>(serving[name].as_str().context("a word")?.to_owned());
    let port = text("name")?.rsplit(':').next().context("a port")?.to_owned();
    Ok((port, text("why")?))
}

/// The names that hold a seat at a site.
fn reserved(site: &Site) -> Result<Vec<String>> {
    let listed = site.json(&["clients", "list"])?;
    let names =
        listed["clients"].as_array().context("clients")?.iter().filter_map(|client| client["name"].as_str());
    Ok(names.map(str::to_owned).collect())
}

fn used_seats(site: &Site) -> Result<Value> {
    Ok(site.json(&["status"])?["licenses"].clone())
}

#[test]
fn while_one_server_is_dead_the_other_serves_and_the_first_takes_its_place_back_after_a_hold() -> Result<()> {
    if !Tool::Faketime.is_here("the hold")? {
        return Ok(());
    }
    let lab = Lab::new()?;
    let (_vendor, mut main, backup, mut computer) = two_sites(&lab)?;
    let main_port = port_of(&main)?;
    main.kill_9()?;
    let said = computer.check()?.refused()?;
    ensure!(said.contains("no server answered"), "{said}");
    ensure!(serving(&computer)? == (port_of(&backup)?, "no_answer".to_owned()), "the secondary serves");
    for permission in ["run", "upload"] {
        ensure!(computer.is_open(PACKAGE, permission)?, "{permission} stays open: contact is good");
    }
    let shown = computer.agent(&["status"])?.stdout;
    let line = shown.lines().find(|line| line.starts_with("Served by")).context("a line of who serves")?;
    for part in ["(secondary)", "did not answer", "updates wait for"] {
        ensure!(line.contains(part), "{line}");
    }
    let failed = shown.lines().find(|line| line.starts_with("Contact")).context("a line of what failed")?;
    ensure!(
        failed.contains("failed with the first server, ") && !failed.contains("no server answered"),
        "{failed}"
    );
    // Back: not at its first answer, and not before the hold is over.
    main.serve()?;
    ensure!(port_of(&main)? == main_port, "it listens where it did");
    for clock in [None, Some("+10m")] {
        computer.set_clock(clock);
        computer.check()?.ok()?;
        ensure!(serving(&computer)?.1 == "no_answer", "at {clock:?} the secondary still serves");
    }
    computer.set_clock(Some("+16m"));
    computer.check()?.ok()?;
    ensure!(serving(&computer)? == (main_port, "came_back".to_owned()), "the first one serves again");
    ensure!(computer.is_open(PACKAGE, "upload")?, "and nothing was closed");
    main.verify_log()?;
    backup.verify_log()
}

#[test]
fn an_outage_brings_no_release_of_the_other_site_and_takes_no_seat_there() -> Result<()> {
    let lab = Lab::new()?;
    let (vendor, mut main, backup, computer) = two_sites(&lab)?;
    let stranger = Computer::enrolled(&lab, &main, "pc-2", &vendor.root())?;
    stranger.check()?.ok()?;
    vendor.release_files(PACKAGE, "2.0", &[("VERSION", "2.0")])?;
    for site in [&main, &backup] {
        site.pull_and_approve("scanner:2.0")?;
    }
    main.distributor(&["updates", "halt", "scanner:2.0", "--reason", "it hangs"])?.ok()?;
    computer.check()?.ok()?;
    let (names, seats) = (reserved(&backup)?, used_seats(&backup)?);
    main.kill_9()?;
    for computer in [&computer, &stranger] {
        for _ in 0..2 {
            let _ = computer.check()?.refused()?;
        }
        ensure!(computer.installed(PACKAGE, "VERSION").as_deref() == Some("1.0"), "2.0 is halted");
        ensure!(computer.is_open(PACKAGE, "run")?, "the product runs on");
    }
    ensure!(serving(&computer)?.0 == port_of(&backup)?);
    ensure!(!stranger.is_open(PACKAGE, "upload")?, "who has no seat there is not served there");
    ensure!(
        names == ["pc"] && reserved(&backup)? == names && used_seats(&backup)? == seats,
        "no seat was taken"
    );
    // Only a person lets the other one decide.
    computer.agent(&["servers", "prefer", &format!("127.0.0.1:{}", backup.port()?)])?.ok()?;
    computer.check()?.ok()?;
    ensure!(computer.installed(PACKAGE, "VERSION").as_deref() == Some("2.0"), "it is assigned there");
    ensure!(reserved(&backup)? == names, "and that took no seat either");
    backup.verify_log()
}
