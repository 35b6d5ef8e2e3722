//! Releases through which computers pass on their way, also when they are marked late; and how old signature files are.

use anyhow::{Context, Result, ensure};
use sealpost_tests::harness::{Computer, Lab, Site, wait_until};

const PACKAGE: &str = "scanner";

/// What a computer runs.
fn runs(computer: &Computer) -> Option<String> {
    computer.installed(PACKAGE, "VERSION")
}

/// What the server says about a computer.
fn why(site: &Site, computer: &Computer) -> Result<String> {
    site.distributor(&["updates", "why", computer.name()])?.ok()
}

fn approve(site: &Site, version: &str) -> Result<()> {
    let reference = format!("scanner:{version}");
    site.distributor(&["updates", "approve", &reference, "--yes"])?.ok()?;
    site.wait_for_activity("ring_opened", &[&format!("scanner {version}"), "canary"])?;
    Ok(())
}

#[test]
fn a_computer_walks_through_a_mandatory_release_and_one_that_is_newer_is_never_sent_back() -> Result<()> {
    let lab = Lab::new()?;
    let (vendor, site) = lab.vendor_and_site(2)?;
    let walker = Computer::enrolled(&lab, &site, "pc-01", &vendor.root())?;
    vendor.release_files(PACKAGE, "1.0", &[("VERSION", "1.0")])?;
    site.pull_and_approve("scanner:1.0")?;
    walker.check()?.ok()?;
    vendor.release_files(PACKAGE, "2.0", &[("VERSION", "2.0")])?;
    vendor.publisher(&["channel", "mandatory", PACKAGE, "2.0"])?.ok()?;
    vendor.release_files(PACKAGE, "3.0", &[("VERSION", "3.0")])?;
    site.pull()?;
    // Nobody approved the one on the way yet.
    approve(&site, "3.0")?;
    walker.check()?.ok()?;
    ensure!(runs(&walker).as_deref() == Some("1.0"), "{:?}", runs(&walker));
    let said = why(&site, &walker)?;
    ensure!(said.contains("pass through 2.0 first"), "{said}");
    // Each comes through a rollout of its own: its only computer is the first ring of both.
    approve(&site, "2.0")?;
    let said = why(&site, &walker)?;
    ensure!(said.contains("should run 2.0, through which it passes on its way to 3.0"), "{said}");
    // It hears of the next one when it reports this one, and has not installed everything then.
    let first = walker.check()?;
    ensure!(first.stderr.contains("scanner 3.0"), "{first:?}");
    ensure!(runs(&walker).as_deref() == Some("2.0"), "{:?}", runs(&walker));
    walker.check()?.ok()?;
    ensure!(runs(&walker).as_deref() == Some("3.0"), "{:?}", runs(&walker));
    let rollouts = site.json(&["rollouts", "list"])?;
    let told = |version: &str| {
        let all = rollouts["rollouts"].as_array()?;
        let of = all.iter().find(|one| one["release"]["version"] == version)?;
        of["rings"][0]["counts"]["succeeded"].as_u64()
    };
    ensure!((told("2.0"), told("3.0")) == (Some(1), Some(1)), "{rollouts}");
    // Marked late: it concerns nobody who runs something newer.
    vendor.publisher(&["channel", "mandatory", PACKAGE, "2.0", "--remove"])?.ok()?;
    site.pull()?;
    site.wait_for_activity("release_mandatory_changed", &["scanner 2.0"])?;
    vendor.publisher(&["channel", "mandatory", PACKAGE, "2.0"])?.ok()?;
    site.pull()?;
    walker.check()?.ok()?;
    ensure!(runs(&walker).as_deref() == Some("3.0"), "{:?}", runs(&walker));
    let said = why(&site, &walker)?;
    ensure!(said.contains("runs scanner 3.0 as it should"), "{said}");
    site.verify_log()
}

#[test]
fn a_computer_that_was_away_walks_through_two_mandatory_releases_in_their_order() -> Result<()> {
    let lab = Lab::new()?;
    let (vendor, site) = lab.vendor_and_site(1)?;
    let walker = Computer::enrolled(&lab, &site, "pc-01", &vendor.root())?;
    vendor.release_files(PACKAGE, "1.0", &[("VERSION", "1.0")])?;
    site.pull_and_approve("scanner:1.0")?;
    walker.check()?.ok()?;
    for version in ["2.0", "3.0", "4.0"] {
        vendor.release_files(PACKAGE, version, &[("VERSION", version)])?;
    }
    for version in ["2.0", "3.0"] {
        vendor.publisher(&["channel", "mandatory", PACKAGE, version])?.ok()?;
    }
    site.pull()?;
    // Approved from the newest down: it is the counters that make the order.
    for version in ["4.0", "3.0", "2.0"] {
        approve(&site, version)?;
    }
    let said = why(&site, &walker)?;
    ensure!(said.contains("should run 2.0, through which it passes on its way to 4.0"), "{said}");
    let mut walked = vec!["1.0".to_owned()];
    for _ in 0..8 {
        walker.check()?;
        let now = runs(&walker).context("a release that runs")?;
        if walked.last() != Some(&now) {
            walked.push(now);
        }
    }
    ensure!(walked == ["1.0", "2.0", "3.0", "4.0"], "{walked:?}");
    // No more was tried than was needed: each of them once.
    let kept = site.activity_of("step_reported")?;
    let kept = kept.iter().filter(|entry| entry["entry"]["change"]["report"]["step"] == "keep").count();
    ensure!(kept == 4, "{kept}");
    site.verify_log()
}

#[test]
fn a_computer_that_is_pinned_walks_through_the_mandatory_release_to_its_pin_and_no_further() -> Result<()> {
    let lab = Lab::new()?;
    let (vendor, site) = lab.vendor_and_site(2)?;
    let [pinned, free] = ["pc-01", "pc-02"].map(|name| Computer::enrolled(&lab, &site, name, &vendor.root()));
    let (pinned, free) = (pinned?, free?);
    vendor.release_files(PACKAGE, "1.0", &[("VERSION", "1.0")])?;
    site.pull_and_approve("scanner:1.0")?;
    for computer in [&pinned, &free] {
        computer.check()?.ok()?;
    }
    let file = lab.path("site.toml");
    let pin = "[pins.laboratory]\nof = { computer = \"pc-01\" }\npackage = \"scanner\"\nversion = \"3.0\"\n\
               why = \"the instrument is certified with it\"\n";
    std::fs::write(&file, pin)?;
    let file = file.display().to_string();
    site.distributor(&["config", "apply", &file, "--yes", "--why", "the laboratory"])?.ok()?;
    for version in ["2.0", "3.0", "4.0"] {
        vendor.release_files(PACKAGE, version, &[("VERSION", version)])?;
        // A site takes what a channel points to.
        site.pull()?;
    }
    vendor.publisher(&["channel", "mandatory", PACKAGE, "2.0"])?.ok()?;
    site.pull()?;
    let approve = |version: &str| {
        let reference = format!("scanner:{version}");
        let arguments = ["updates", "approve", &reference, "--strategy", "everyone-now", "--yes"];
        site.distributor(&arguments)?.ok()
    };
    // Nobody approved the one on the way yet: neither of them leaves what it runs, and each is told why.
    approve("3.0")?;
    approve("4.0")?;
    for computer in [&pinned, &free] {
        computer.check()?.ok()?;
        ensure!(runs(computer).as_deref() == Some("1.0"), "{:?}", runs(computer));
        let said = why(&site, computer)?;
        ensure!(said.contains("pass through 2.0 first"), "{said}");
    }
    approve("2.0")?;
    let said = why(&site, &pinned)?;
    ensure!(said.contains("should run 2.0, through which it passes on its way to 3.0"), "{said}");
    let walks = |computer: &Computer| -> Result<Vec<String>> {
        let mut walked = vec!["1.0".to_owned()];
        for _ in 0..6 {
            computer.check()?;
            let now = runs(computer).context("a release that runs")?;
            if walked.last() != Some(&now) {
                walked.push(now);
            }
        }
        Ok(walked)
    };
    let walked = walks(&pinned)?;
    ensure!(walked == ["1.0", "2.0", "3.0"], "{walked:?}");
    let walked = walks(&free)?;
    ensure!(walked == ["1.0", "2.0", "4.0"], "{walked:?}");
    let said = why(&site, &pinned)?;
    let pin = ["does not get 4.0 yet", "the pin `laboratory` keeps it at 3.0", "the instrument is certified"];
    ensure!(pin.iter().all(|part| said.contains(part)), "{said}");
    // It goes on by itself once the pin is gone.
    std::fs::write(lab.path("site.toml"), "")?;
    site.distributor(&["config", "apply", &file, "--yes", "--force", "--why", "certified anew"])?.ok()?;
    pinned.check()?.ok()?;
    ensure!(runs(&pinned).as_deref() == Some("4.0"), "{:?}", runs(&pinned));
    site.verify_log()
}

#[test]
fn the_age_of_signature_files_is_said_for_all_and_for_each_group() -> Result<()> {
    let lab = Lab::new()?;
    let (vendor, site) = lab.vendor_and_site(1)?;
    let computer = Computer::enrolled(&lab, &site, "pc-01", &vendor.root())?;
    let folder = lab.path("signatures");
    std::fs::create_dir_all(&folder)?;
    std::fs::write(folder.join("VERSION"), "7")?;
    vendor.release_signatures(&folder, "scanner-signatures", "7")?;
    site.distributor(&["groups", "add", "pilots", "--why", "a test"])?.ok()?;
    site.distributor(&["groups", "members", "pilots", "--add", "pc-01"])?.ok()?;
    site.pull()?;
    site.distributor(&["updates", "approve", "scanner-signatures:7", "--yes"])?.ok()?;
    site.wait_for_activity("ring_opened", &["scanner-signatures 7"])?;
    computer.check()?.ok()?;
    wait_until("the computer said that it runs it", || {
        Ok(site.json(&["clients", "show", "pc-01"])?["installed"]
            .as_array()
            .is_some_and(|all| !all.is_empty()))
    })?;
    let report = site.json(&["rollouts", "report", "1"])?;
    let all = &report["content"][0];
    ensure!(all["package"] == "scanner-signatures" && all["computers"] == 1, "{report}");
    ensure!(report["content"][1]["group"] == "pilots", "{report}");
    let status = site.distributor(&["status"])?;
    ensure!(status.stdout.contains("scanner-signatures in pilots: 1 computer, age p50"), "{status:?}");
    let listed = site.json(&["clients", "list", "--runs"])?;
    let content = &listed["clients"][0]["content"][0];
    let age = content["age_secs"].as_i64().context("an age")?;
    ensure!(content["package"] == "scanner-signatures" && (0..3600).contains(&age), "{listed}");
    Ok(())
}
