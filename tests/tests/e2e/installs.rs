//! The agent is killed at every journal step: afterwards the old or the new release is whole, and the product runs.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use sealpost_tests::harness::{Computer, Lab, Site, Vendor, write_executable};

/// A computer whose product is "running" when its start hook has said so, and not when its stop hook has.
fn computer_with_product(lab: &Lab, site: &Site, vendor: &Vendor, name: &str) -> Result<Computer> {
    let computer = Computer::enrolled(lab, site, name, &vendor.root())?;
    let hooks = lab.path(&format!("{name}.hooks"));
    let running = running_file(lab, name);
    let running = running.display();
    write_executable(&hooks.join("stop"), format!("#!/bin/sh\nrm -f {running}\n"))?;
    write_executable(
        &hooks.join("start"),
        format!(
            "#!/bin/sh\ncat {}/products/scanner/current/VERSION > {running}\n",
            computer.home().display()
        ),
    )?;
    write_executable(&hooks.join("health"), "#!/bin/sh\nexec \"$SEALPOST_SLOT/bin/check\"\n")?;
    let hook = |hook: &str| format!("{hook} = [\"{}\"]\n", hooks.join(hook).display());
    computer.configure(&format!(
        "[packages.scanner]\n{}{}{}",
        hook("stop"),
        hook("start"),
        hook("health")
    ))?;
    Ok(computer)
}

fn running_file(lab: &Lab, name: &str) -> std::path::PathBuf {
    lab.path(&format!("{name}.running"))
}

fn running(path: &Path) -> Option<String> {
    std::fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

const GOOD: (&str, &str) = ("bin/check", "#!/bin/sh\nexit 0\n");
const BAD: (&str, &str) = ("bin/check", "#!/bin/sh\nexit 1\n");

/// Steps of the journal as the agent itself lists them.
fn steps(lab: &Lab) -> Result<Vec<String>> {
    let mut command = lab.programs().command("agent-updater-faults");
    command.arg("install-steps");
    let printed = sealpost_tests::harness::run(command)?.ok()?;
    let steps: Vec<String> =
        printed.lines().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).collect();
    ensure!(steps.len() >= 8, "the agent lists its steps: {printed}");
    Ok(steps)
}

/// Steps that only a release that is given up goes through.
fn is_on_the_way_back(step: &str) -> bool {
    step.contains("back") || step.contains("restored")
}

#[test]
fn an_agent_that_is_killed_at_any_journal_step_leaves_the_old_or_the_new_release_whole_and_running()
-> Result<()> {
    let lab = Lab::new()?;
    let (vendor, site) = lab.vendor_and_site(40)?;
    let steps = steps(&lab)?;
    let mut computers = Vec::new();
    vendor.release_files("scanner", "1.0", &[("VERSION", "1.0"), GOOD])?;
    site.pull_and_approve("scanner:1.0")?;
    for step in &steps {
        let computer = computer_with_product(&lab, &site, &vendor, &format!("pc-{step}"))?;
        computer.check()?.ok()?;
        ensure!(computer.installed("scanner", "VERSION").as_deref() == Some("1.0"), "1.0 runs on {step}");
        computers.push((step, computer));
    }

    vendor.release_files("scanner", "1.1", &[("VERSION", "1.1"), GOOD])?;
    site.pull_and_approve("scanner:1.1")?;
    for (step, computer) in computers.iter().filter(|(step, _)| !is_on_the_way_back(step)) {
        kill_at(computer, step).with_context(|| format!("killed at {step}"))?;
        recovers(&lab, computer, &["1.0", "1.1"]).with_context(|| format!("after a kill at {step}"))?;
        // A release that was interrupted, and not found bad, is installed in the end.
        for _ in 0..3 {
            computer.check()?;
        }
        ensure!(
            computer.installed("scanner", "VERSION").as_deref() == Some("1.1"),
            "1.1 in the end, after {step}"
        );
        recovers(&lab, computer, &["1.1"])?;
        computer.no_leftovers("scanner")?;
    }

    // The same on the way back: 1.2 fails its health check everywhere.
    for (_, computer) in &computers {
        computer.check()?;
    }
    vendor.release_files("scanner", "1.2", &[("VERSION", "1.2"), BAD])?;
    site.pull_and_approve("scanner:1.2")?;
    for (step, computer) in computers.iter().filter(|(step, _)| is_on_the_way_back(step)) {
        kill_at(computer, step).with_context(|| format!("killed at {step}"))?;
        for _ in 0..2 {
            computer.check()?;
        }
        ensure!(
            computer.installed("scanner", "VERSION").as_deref() == Some("1.1"),
            "1.1 is back after {step}"
        );
        recovers(&lab, computer, &["1.1"]).with_context(|| format!("after a kill at {step}"))?;
        computer.no_leftovers("scanner")?;
    }
    site.verify_log()
}

fn kill_at(computer: &Computer, step: &str) -> Result<()> {
    let output =
        computer.agent_with("agent-updater-faults", &[("SEALPOST_FAULT_EXIT_AT", step)], &["check"])?;
    ensure!(output.status.signal().is_some(), "it was not killed: {}\n{}", output.status, output.text());
    let now = computer.installed("scanner", "VERSION");
    ensure!(now.is_some(), "nothing is installed any more");
    Ok(())
}

/// After the agent's next start the product runs, and what is installed is one of these versions, whole.
fn recovers(lab: &Lab, computer: &Computer, versions: &[&str]) -> Result<()> {
    let said = computer.check()?.text();
    let installed = computer.installed("scanner", "VERSION").context("something is installed")?;
    ensure!(versions.contains(&installed.as_str()), "{installed} is installed: {said}");
    let runs = running(&running_file(lab, computer.name()));
    ensure!(runs.as_deref() == Some(&installed), "{runs:?} runs, {installed} is installed: {said}");
    computer.audit()
}
