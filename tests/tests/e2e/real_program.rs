//! A real program, updated between two releases that its vendor made.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, ensure};
use sealpost_tests::harness::{Lab, Tool, fetched_program, run};

fn version_of(program: &Path) -> Result<String> {
    let mut command = Command::new(program);
    command.arg("--version");
    Ok(run(command)?.ok()?.trim().to_owned())
}

#[test]
fn a_real_program_is_installed_run_updated_by_delta_run_rolled_back_and_run() -> Result<()> {
    if !Tool::Npm.is_here("a real program")? {
        return Ok(());
    }
    let releases = fetched_program()?;
    let lab = Lab::new()?;
    let (vendor, site, computer) = lab.vendor_site_and_computer()?;
    let program = computer.current("esbuild").join("bin/esbuild");

    vendor.release_program(&releases.join("0.28.1"), "esbuild", "0.28.1")?;
    site.pull_and_approve("esbuild:0.28.1")?;
    computer.check()?.ok()?;
    ensure!(version_of(&program)? == "0.28.1", "installed");

    vendor.release_program(&releases.join("0.28.2"), "esbuild", "0.28.2")?;
    site.pull_and_approve("esbuild:0.28.2")?;
    computer.check()?.ok()?;
    ensure!(version_of(&program)? == "0.28.2", "updated");
    computer.check()?.ok()?;
    site.wait_for_activity("step_reported", &["\"download\"", "\"by_delta\"", "\"0.28.2\""])?;
    let made = site.activity_of("delta_made")?;
    ensure!(made.len() == 1, "one delta was made: {made:?}");
    computer.audit()?;

    computer.agent(&["rollback", "esbuild"])?.ok()?;
    ensure!(version_of(&program)? == "0.28.1", "rolled back");
    computer.audit()?;
    computer.check()?;
    ensure!(version_of(&program)? == "0.28.1", "what a person rolled back is not installed again by itself");
    site.wait_for_activity("step_reported", &["\"roll_back\"", "asked_locally"])?;
    site.verify_log()
}
