//! Between the Primary Server and the agent: what a damaged disk or a taken-over server can do to a computer. Nothing.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use sealpost_tests::harness::{Computer, Lab, copy_tree, files_beneath, flip_a_bit, replace_tree, snapshot};

/// Files of the agent's home that hold what it believes, and not what the product or the person owns.
fn beliefs(computer: &Computer) -> Result<Vec<PathBuf>> {
    let home = computer.home();
    let mut files = files_beneath(home)?;
    files.retain(|path| {
        let name =
            path.strip_prefix(home).map(|inner| inner.to_string_lossy().into_owned()).unwrap_or_default();
        let size = fs::symlink_metadata(path).map_or(0, |found| found.len());
        !path.is_symlink()
            && !name.starts_with("products/")
            && name != "agent.toml"
            && !name.contains("lock")
            && size > 1
    });
    Ok(files)
}

#[test]
fn a_bit_flipped_in_anything_that_the_agent_believes_installs_nothing_wrong_and_breaks_no_product()
-> Result<()> {
    let lab = Lab::new()?;
    let (vendor, mut site, computer) = lab.vendor_site_and_computer()?;
    vendor.release_files("scanner", "1.0", &[("VERSION", "1.0")])?;
    site.pull_and_approve("scanner:1.0")?;
    computer.check()?.ok()?;
    computer.check()?.ok()?;
    vendor.release_files("scanner", "1.1", &[("VERSION", "1.1")])?;
    site.pull_and_approve("scanner:1.1")?;
    // Both sides go back after each try, so that every try begins from the same state.
    site.stop()?;
    let (home, server) = (lab.path("home-before"), lab.path("server-before"));
    copy_tree(computer.home(), &home)?;
    copy_tree(site.home(), &server)?;
    site.serve()?;
    let believed = beliefs(&computer)?;
    ensure!(believed.len() >= 6, "root, timestamp, lease, assignment …: {believed:?}");
    let mut refused = String::new();
    for path in believed {
        let name = path.display();
        flip_a_bit(&path)?;
        let output = computer.check()?;
        let code = output.status.code();
        ensure!(matches!(code, Some(0 | 1)), "{name}: ended with {}\n{}", output.status, output.text());
        ensure!(code == Some(0) || !output.stderr.trim().is_empty(), "{name}: a refusal without a word");
        let installed =
            computer.installed("scanner", "VERSION").with_context(|| format!("{name}: nothing runs"))?;
        ensure!(["1.0", "1.1"].contains(&installed.as_str()), "{name}: {installed} runs");
        if code == Some(1) {
            refused.push_str(&format!("{name} "));
        } else {
            // What is fetched anew may be damaged without harm; then what is installed is what was approved.
            ensure!(installed == "1.1", "{name}: it said that all is well:\n{}", output.text());
            let audited = computer.agent(&["audit"])?.text();
            ensure!(audited.contains("1.1 (current): 1 file, as signed"), "{name}: {audited}");
        }
        let said = computer.agent(&["status"])?;
        ensure!(matches!(said.status.code(), Some(0 | 1)), "{name}: status ended with {}", said.status);
        site.stop()?;
        replace_tree(&home, computer.home())?;
        replace_tree(&server, site.home())?;
        site.serve()?;
    }
    for guard in ["tuf/timestamp", "tuf/snapshot", "root.json"] {
        ensure!(refused.contains(guard), "a damaged {guard} was accepted; refused were {refused}");
    }
    computer.check()?.ok()?;
    ensure!(computer.installed("scanner", "VERSION").as_deref() == Some("1.1"), "sound again");
    Ok(())
}

#[test]
fn a_server_that_hands_out_an_older_state_of_the_metadata_is_refused() -> Result<()> {
    let lab = Lab::new()?;
    let (vendor, mut site, computer) = lab.vendor_site_and_computer()?;
    vendor.release_files("scanner", "1.0", &[("VERSION", "1.0")])?;
    site.pull_and_approve("scanner:1.0")?;
    computer.check()?.ok()?;
    site.stop()?;
    let older = lab.path("mirror-older");
    copy_tree(&site.home().join("mirror"), &older)?;
    site.serve()?;
    vendor.release_files("scanner", "1.1", &[("VERSION", "1.1")])?;
    site.pull_and_approve("scanner:1.1")?;
    computer.check()?.ok()?;
    ensure!(computer.installed("scanner", "VERSION").as_deref() == Some("1.1"), "1.1 is installed");
    vendor.release_files("scanner", "1.2", &[("VERSION", "1.2")])?;
    site.pull_and_approve("scanner:1.2")?;
    site.stop()?;
    let newer = lab.path("mirror-newer");
    copy_tree(&site.home().join("mirror"), &newer)?;
    replace_tree(&older, &site.home().join("mirror"))?;
    site.serve()?;
    let before = snapshot(&computer.home().join("products"))?;
    let said = computer.check()?.refused()?;
    ensure!(!said.is_empty(), "it says why");
    ensure!(snapshot(&computer.home().join("products"))? == before, "something was installed: {said}");
    site.stop()?;
    replace_tree(&newer, &site.home().join("mirror"))?;
    site.serve()?;
    computer.check()?.ok()?;
    ensure!(computer.installed("scanner", "VERSION").as_deref() == Some("1.2"), "1.2 after the repair");
    Ok(())
}

/// All stored files but the vendor's trust document: without that one the server counts no grant, and hands nothing out.
fn what_a_computer_fetches(blobs: &Path) -> Result<Vec<PathBuf>> {
    let mut fetched = files_beneath(blobs)?;
    let mut is_read = Ok(());
    fetched.retain(|path| match fs::read(path) {
        Ok(bytes) => !String::from_utf8_lossy(&bytes).replace('\\', "").contains("\"type\":\"trust\""),
        Err(error) => {
            is_read = Err(error);
            true
        }
    });
    is_read?;
    Ok(fetched)
}

#[test]
fn a_server_that_hands_out_other_bytes_than_the_vendor_signed_is_refused() -> Result<()> {
    let lab = Lab::new()?;
    let (vendor, mut site, computer) = lab.vendor_site_and_computer()?;
    computer.check()?.ok()?;
    vendor.release_files("scanner", "1.0", &[("VERSION", "1.0")])?;
    site.pull_and_approve("scanner:1.0")?;
    let blobs = site.home().join("blobs");
    site.stop()?;
    let sound = lab.path("blobs-sound");
    copy_tree(&blobs, &sound)?;
    for path in what_a_computer_fetches(&blobs)? {
        let mut bytes = fs::read(&path)?;
        bytes.push(b'!');
        let mode = fs::metadata(&path)?.permissions();
        fs::remove_file(&path)?;
        fs::write(&path, bytes)?;
        fs::set_permissions(&path, mode)?;
    }
    site.serve()?;
    let said = computer.check()?.refused()?;
    ensure!(computer.installed("scanner", "VERSION").is_none(), "longer bytes were installed: {said}");
    site.stop()?;
    replace_tree(&sound, &blobs)?;
    for path in what_a_computer_fetches(&blobs)? {
        flip_a_bit(&path)?;
    }
    site.serve()?;
    let said = computer.check()?.refused()?;
    ensure!(computer.installed("scanner", "VERSION").is_none(), "other bytes were installed: {said}");
    site.stop()?;
    replace_tree(&sound, &blobs)?;
    site.serve()?;
    computer.check()?.ok()?;
    ensure!(computer.installed("scanner", "VERSION").as_deref() == Some("1.0"), "sound again");
    Ok(())
}

#[test]
fn an_installed_file_that_was_changed_is_found_by_the_audit() -> Result<()> {
    let lab = Lab::new()?;
    let (vendor, site, computer) = lab.vendor_site_and_computer()?;
    vendor.release_files("scanner", "1.0", &[("VERSION", "1.0"), ("data", "some data")])?;
    site.pull_and_approve("scanner:1.0")?;
    computer.check()?.ok()?;
    computer.audit()?;
    flip_a_bit(&computer.current("scanner").join("data"))?;
    let output = computer.agent(&["audit"])?;
    ensure!(output.status.code() == Some(1), "{}", output.text());
    ensure!(output.text().contains("data"), "it names the file: {}", output.text());
    Ok(())
}
