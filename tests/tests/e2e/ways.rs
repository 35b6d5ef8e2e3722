//! The ways on which one release comes: packed to a new computer, by one delta, by several where a computer is far behind, and by
//! deltas that the vendor published.

use std::fmt::Write as _;
use std::fs;

use anyhow::{Result, ensure};
use sealpost_test_support::folders::write_folder;
use sealpost_test_support::release::noise;
use sealpost_tests::harness::{Computer, Lab, Site, wait_until};

/// A release of one program and data that pack well; each version changes one byte of the program.
fn version(lab: &Lab, number: u8) -> Result<std::path::PathBuf> {
    let folder = lab.path(&format!("release-{number}"));
    let mut program = noise(20_000);
    program[4_000] = number;
    let mut text = String::new();
    for line in 0..8_000_u64 {
        let word = line * 2_654_435_761 * 40_503 % 4_294_967_291;
        writeln!(text, "{word:08x} rule-{}-{}", line / 60, line % 60)?;
    }
    let version = number.to_string();
    write_folder(
        &folder,
        &[
            ("VERSION", version.as_bytes()),
            ("bin/program", program.as_slice()),
            ("share/text", text.as_bytes()),
        ],
    )?;
    Ok(folder)
}

/// Waits until the server has packed a release; who comes before that gets the payload.
fn is_packed(site: &Site, number: u8) -> Result<()> {
    let log = site.home().with_extension("log");
    wait_until(&format!("release {number} is packed"), || {
        let text = fs::read_to_string(&log)?;
        let of_release =
            |line: &&str| line.contains(&format!("scanner {number} ")) && line.contains("nothing");
        Ok(text.lines().filter(of_release).any(|line| line.contains("a delta was made")))
    })
}

#[test]
fn each_computer_gets_a_release_on_the_way_of_the_fewest_bytes() -> Result<()> {
    let lab = Lab::new()?;
    let (vendor, site) = lab.vendor_and_site(10)?;
    let mut computers: Vec<Computer> = Vec::new();
    // One computer stays with each of the first four: the site makes deltas from the three newest of them.
    for number in 1..=4 {
        vendor.release_program(&version(&lab, number)?, "scanner", &number.to_string())?;
        site.pull_and_approve(&format!("scanner:{number}"))?;
        is_packed(&site, number)?;
        let computer = Computer::enrolled(&lab, &site, &format!("pc-{number}"), &vendor.root())?;
        computer.check()?.ok()?;
        ensure!(
            computer.installed("scanner", "VERSION") == Some(number.to_string()),
            "{number} is installed"
        );
        computers.push(computer);
    }
    site.wait_for_activity("step_reported", &["\"way\":\"packed\"", "scanner"])?;

    // The vendor publishes the delta from the newest one.
    let folder = version(&lab, 5)?;
    let folder = folder.to_string_lossy();
    let words = ["release", &folder, "--package", "scanner", "--version", "5", "--kind", "program"];
    let words = [&words[..], &["--channel", "stable", "--deltas-from", "1"]].concat();
    let said = vendor.publisher(&words)?.ok()?;
    ensure!(said.contains("delta from 4: "), "{said}");
    site.pull_and_approve("scanner:5")?;
    is_packed(&site, 5)?;
    let shown = site.json(&["updates", "show", "scanner:5"])?;
    let deltas = shown["update"]["deltas"].as_array().map_or(0, Vec::len);
    ensure!(deltas >= 3, "three deltas lead to it: {shown:#}");
    for (number, computer) in (1..).zip(&computers) {
        computer.check()?.ok()?;
        ensure!(computer.installed("scanner", "VERSION").as_deref() == Some("5"), "from {number}");
        computer.audit()?;
        computer.no_leftovers("scanner")?;
        let way = if number == 1 { "\"way\":\"chain\"" } else { "\"way\":\"delta\"" };
        site.wait_for_activity("step_reported", &[way, &format!("\"pc-{number}\"")])?;
    }
    let late = Computer::enrolled(&lab, &site, "pc-5", &vendor.root())?;
    late.check()?.ok()?;
    ensure!(late.installed("scanner", "VERSION").as_deref() == Some("5"), "a new computer");
    site.wait_for_activity("step_reported", &["\"way\":\"packed\"", "\"pc-5\""])?;
    site.verify_log()
}
