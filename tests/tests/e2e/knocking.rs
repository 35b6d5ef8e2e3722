//! Computers that ask without a code, and who of them gets in.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use sealpost_tests::harness::{Computer, Lab, wait_until};

use crate::licensing::client_names;

/// As it shows it to people: the fingerprint of its key.
fn key_of(computer: &Computer) -> Result<String> {
    Ok(computer.status()?["admission"]["key"].as_str().context("a computer that waits")?.to_owned())
}

#[test]
fn a_computer_that_knocks_is_admitted_by_its_key_and_enrolls_by_itself_and_a_stranger_of_its_name_never_does()
-> Result<()> {
    let lab = Lab::new()?;
    let (vendor, site) = lab.vendor_and_site(1)?;
    let setup = lab.path("knock.json");
    let file = setup.to_str().context("a path")?;
    site.distributor(&["clients", "setup", "--knock", file])?.ok()?;
    site.distributor(&["clients", "setup", "--knock", file])?.ok()?;
    let text = fs::read_to_string(&setup)?;
    ensure!(!text.contains("_code") && !text.contains("code_"), "nothing in it is secret: {text}");
    ensure!(fs::metadata(&setup)?.permissions().mode() & 0o777 == 0o644, "and it may be read");

    let mut computer = Computer::knocking(&lab, &setup, "computer", &vendor.root())?;
    let mut stranger = Computer::knocking(&lab, &setup, "stranger", &vendor.root())?;
    for one in [&computer, &stranger] {
        one.configure("[cadence]\nwaiting_secs = 1\nunlicensed_secs = 1\n")?;
        let waits = one.knock("lab-7")?;
        let (said, key) = (waits.text(), key_of(one)?);
        waits.refused()?;
        let command = format!("`distributor clients admit lab-7 --key {key}`");
        ensure!(said.contains("lab-7 waits to be admitted") && said.contains(&command), "{said}");
        ensure!(one.agent(&["status"])?.refused()?.is_empty(), "the status says that a person is needed");
    }
    computer.run()?;
    stranger.run()?;
    computer.kill_9()?;
    computer.run()?;
    let key = key_of(&computer)?;
    let pending = site.json(&["clients", "pending"])?;
    let rows = pending["pending"].as_array().context("rows")?;
    let keys: Vec<_> = rows.iter().filter_map(|row| row["key"].as_str()).collect();
    ensure!(keys == [key.as_str(), key_of(&stranger)?.as_str()], "{pending}");
    ensure!(rows.iter().all(|row| row["standing"] == "no_seat"), "{pending}");
    let table = site.distributor(&["clients", "pending"])?.ok()?;
    ensure!(table.contains(&key) && table.contains("no seat"), "{table}");
    ensure!(client_names(&site)?.is_empty(), "who waits takes no seat");

    let other = "0".repeat(64);
    let said = site.distributor(&["clients", "admit", "lab-7", "--key", &other])?.refused()?;
    ensure!(said.contains("not_found") && said.contains(&key), "{said}");
    let half = &key[..32];
    let typed = site.distributor(&["clients", "admit", "lab-7", "--key", half])?;
    ensure!(typed.status.code() == Some(2), "a part of a key is a typing error: {}", typed.text());
    // As a person types it.
    let typed: Vec<String> =
        key.as_bytes().chunks(8).map(|group| String::from_utf8_lossy(group).to_uppercase()).collect();
    let said = site.distributor(&["clients", "admit", "lab-7", "--key", &typed.join("-")])?;
    let text = said.text();
    said.ok()?;
    ensure!(text.contains("is never moved") && text.contains("lab-7 is admitted"), "{text}");
    wait_until("the admitted computer has its lease", || Ok(computer.status()?["lease"]["live"] == true))?;
    site.distributor(&["clients", "admit", "lab-7", "--key", &key])?.ok()?;
    let shown = site.distributor(&["clients", "show", "lab-7"])?.ok()?;
    ensure!(shown.contains("by its key") && shown.contains(&key), "{shown}");

    // It asks each second.
    thread::sleep(Duration::from_secs(3));
    ensure!(stranger.status()?["admission"]["computer_name"] == "lab-7", "the stranger waits");
    ensure!(site.activity_of("client_enrolled")?.len() == 1, "one computer was enrolled");
    ensure!(client_names(&site)? == ["lab-7"], "and holds the only seat");
    computer.check()?.ok()?;
    stranger.stop()?;
    computer.stop()?;
    site.verify_log()
}
