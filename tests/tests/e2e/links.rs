//! Computers behind one link take turns: nobody fails, everybody gets the release, and whoever asks hears why it takes a while.

use std::fs;

use anyhow::{Context, Result, ensure};
use sealpost_tests::harness::{Computer, Lab, Site, wait_until};

const PACKAGE: &str = "scanner";

/// Every computer of this test comes from loopback.
const LINK: &str = "[links.branch-north]\nsubnets = [\"127.0.0.0/8\"]\nrate = \"150 kB/s\"\nconcurrent = 1\n";

/// Text that does not become much shorter.
fn noise(length: usize) -> String {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        char::from(b'0' + u8::try_from(state >> 58).unwrap_or_default())
    };
    std::iter::repeat_with(next).take(length).collect()
}

fn why(site: &Site, computer: &Computer) -> Result<String> {
    let shown = site.json(&["clients", "show", computer.name()])?;
    Ok(shown["explanations"][0]["sentence"].as_str().context("a sentence")?.to_owned())
}

#[test]
fn three_computers_behind_a_link_of_one_turn_all_get_the_release_and_none_fails() -> Result<()> {
    let lab = Lab::new()?;
    let (vendor, site) = lab.vendor_and_site(3)?;
    let mut computers = Vec::new();
    for name in ["pc-01", "pc-02", "pc-03"] {
        let computer = Computer::enrolled(&lab, &site, name, &vendor.root())?;
        computer.check()?;
        computers.push(computer);
    }
    let file = lab.path("site.toml");
    fs::write(&file, LINK)?;
    let file = file.to_str().context("a path")?;
    site.distributor(&["config", "apply", file, "--yes", "--why", "the line to the branch"])?.ok()?;
    let exported = site.distributor(&["config", "export"])?.ok()?;
    ensure!(exported.contains("[links.branch-north]"), "{exported}");
    let engine = noise(900_000);
    vendor.release_files(PACKAGE, "1.0", &[("VERSION", "1.0"), ("engine", engine.as_str())])?;
    site.pull()?;
    let preview = site.distributor(&["updates", "show", "scanner:1.0"])?.ok()?;
    ensure!(preview.contains("3 computers behind branch-north, 150 kB/s (1 at a time)"), "{preview}");
    ensure!(preview.contains("canary: 1 computer behind branch-north, 150 kB/s: "), "{preview}");
    site.pull_and_approve("scanner:1.0")?;
    for computer in &mut computers {
        computer.run()?;
    }
    wait_until("a computer to wait for its turn", || {
        for computer in &computers {
            if why(&site, computer)?
                .contains("it waits for its turn on the link branch-north (150 kB/s, 1 at a time)")
            {
                return Ok(true);
            }
        }
        Ok(false)
    })?;
    for computer in &computers {
        computer.wait_for_installed(PACKAGE, "VERSION", "1.0")?;
    }
    wait_until("every computer to say that it runs it", || {
        let reports = site.activity_of("step_reported")?;
        let kept = reports.iter().filter(|entry| entry["entry"]["change"]["report"]["step"] == "keep");
        Ok(kept.count() == 3)
    })?;
    let reports = site.activity_of("step_reported")?;
    let outcomes = reports.iter().map(|entry| &entry["entry"]["change"]["report"]["outcome"]);
    ensure!(outcomes.clone().all(|outcome| outcome == "ok"), "{:?}", outcomes.collect::<Vec<_>>());
    let downloads = |entry: &&serde_json::Value| entry["entry"]["change"]["report"]["step"] == "download";
    ensure!(reports.iter().filter(downloads).count() == 3, "each was fetched once");
    for mut computer in computers {
        computer.stop()?;
    }
    site.verify_log()
}
