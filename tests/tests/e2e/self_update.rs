//! The agent itself is a release: it goes forward, back from what does not work, and on over kills. The products, and what
//! their hooks started, do not notice.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use sealpost_test_support::folders::write_executable;
use sealpost_tests::harness::{Computer, Lab, Site, Vendor, run, wait_until, write_executable as write_hook};
use serde_json::Value;

/// A vendor that sold seats of its product only, and a site with them: no license names the agent.
fn line(lab: &Lab, seats: u32) -> Result<(Vendor, Site)> {
    let mut vendor = Vendor::new(lab, "vendor")?;
    let url = vendor.serve()?;
    vendor.release_files("scanner", "1.0", &[("VERSION", "1.0")])?;
    let seats = seats.to_string();
    let sold = vendor.publisher(&["serial", "new", "--seats", &seats, "--package", "scanner"])?.ok()?;
    let mut site = Site::new(lab, "site", &url, &vendor.root())?;
    site.serve()?;
    site.register(sold.lines().next().context("a serial number")?)?;
    site.pull_and_approve("scanner:1.0")?;
    Ok((vendor, site))
}

/// A copy of a program without what a debugger needs, if that can be had.
fn stripped(program: &Path, to: &Path) -> Result<()> {
    write_executable(to, fs::read(program)?)?;
    drop(Command::new("strip").arg(to).stderr(Stdio::null()).status());
    Ok(())
}

/// Publishes an agent whose program is this one, without what a debugger needs, and approves it. The version that counts
/// is the manifest's.
fn release(lab: &Lab, vendor: &Vendor, site: &Site, version: &str, program: &Path) -> Result<()> {
    let folder = lab.path(&format!("agent-{version}.release"));
    let to = folder.join("agent-updater");
    stripped(program, &to)?;
    // Another one than whatever runs, or there would be nothing to try.
    File::options().append(true).open(&to)?.write_all(&[0])?;
    vendor.release_agent(&folder, version)?;
    site.pull_and_approve(&format!("agent-updater:{version}"))
}

/// Judges new agents within seconds.
const IMPATIENT: &str =
    "[self_update]\nconfirm_within_secs = 8\nprobation_secs = 2\n[cadence]\nlost_secs = 2\n";

/// A computer whose product is a process that its start hook leaves behind.
fn computer(lab: &Lab, site: &Site, vendor: &Vendor, name: &str) -> Result<(Computer, PathBuf)> {
    let computer = Computer::enrolled(lab, site, name, &vendor.root())?;
    let (hook, product) = (lab.path(&format!("{name}.start")), lab.path(&format!("{name}.pid")));
    let script = format!(
        "#!/bin/sh\n/bin/sleep 600 </dev/null >/dev/null 2>&1 &\necho $! > {pid}.new\nmv {pid}.new {pid}\n",
        pid = product.display()
    );
    write_hook(&hook, script)?;
    computer.configure(&format!("{IMPATIENT}[packages.scanner]\nstart = [\"{}\"]\n", hook.display()))?;
    Ok((computer, product))
}

fn agent(computer: &Computer) -> Result<Value> {
    Ok(computer.status()?["agent"].clone())
}

/// Waits until this version of the agent runs, confirmed, and nothing is on trial.
fn wait_for_agent(computer: &Computer, version: &str) -> Result<()> {
    wait_until(&format!("the agent of {} is {version}", computer.name()), || {
        let status = computer.status()?;
        let agent = &status["agent"];
        Ok(status["daemon"] == true
            && agent["version"] == version
            && agent["why"] == "confirmed"
            && agent["on_trial"].is_null())
    })
}

/// The product that the start hook started; the release is in place a moment before.
fn started(computer: &Computer, file: &Path) -> Result<String> {
    computer.wait_for_installed("scanner", "VERSION", "1.0")?;
    wait_until("the product is started", || Ok(file.is_file()))?;
    product(file)
}

fn product(file: &Path) -> Result<String> {
    let pid = fs::read_to_string(file)?.trim().to_owned();
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).context("the product was ended")?;
    ensure!(name.trim() == "sleep", "another process has its id: {name}");
    Ok(pid)
}

fn end(product: &str) {
    drop(Command::new("kill").arg(product).status());
}

#[test]
fn the_agent_goes_forward_and_back_from_what_does_not_work_while_products_run_on() -> Result<()> {
    let lab = Lab::new()?;
    let (vendor, site) = line(&lab, 1)?;
    let (mut computer, pid_file) = computer(&lab, &site, &vendor, "pc")?;
    // The builds without fault points know nothing of this.
    computer.run_with("agent-updater", &[("SEALPOST_FAULT_HANG_AT", "daemon-begins")])?;
    let started = started(&computer, &pid_file)?;
    ensure!(agent(&computer)?["why"] == "packaged", "{}", agent(&computer)?);

    let good = lab.programs().path("agent-updater");
    release(&lab, &vendor, &site, "1.0", &good)?;
    wait_for_agent(&computer, "1.0")?;
    site.wait_for_activity("step_reported", &["\"keep\"", "\"agent-updater\"", "\"1.0\""])?;

    // One that hangs before its contact.
    release(&lab, &vendor, &site, "1.1", &lab.programs().path("agent-updater-faults"))?;
    let told = site.wait_for_activity("step_reported", &["\"roll_back\"", "\"1.1\""])?;
    ensure!(told.contains("agent_silent"), "{told}");
    wait_for_agent(&computer, "1.0")?;

    release(&lab, &vendor, &site, "1.2", &good)?;
    wait_for_agent(&computer, "1.2")?;
    ensure!(product(&pid_file)? == started, "the product was started once");
    ensure!(computer.is_open("scanner", "run")?, "it may run");
    computer.check()?.ok()?;
    computer.audit()?;
    computer.no_leftovers("agent-updater")?;
    let status = computer.agent(&["status"])?.ok()?;
    ensure!(status.contains("1.2: the last update of the agent that was confirmed"), "{status}");

    // A person goes back; the newer one is not installed again by itself.
    computer.agent(&["rollback", "agent-updater"])?.ok()?;
    wait_for_agent(&computer, "1.0")?;
    computer.stop()?;
    ensure!(product(&pid_file)? == started, "the end of the agent is no end of a product");
    computer.run()?;
    wait_for_agent(&computer, "1.0")?;
    computer.stop()?;
    end(&started);
    site.verify_log()
}

#[test]
fn an_agent_that_ends_at_once_or_does_not_start_at_all_is_not_kept() -> Result<()> {
    let lab = Lab::new()?;
    let (vendor, site) = line(&lab, 1)?;
    let (mut computer, pid_file) = computer(&lab, &site, &vendor, "pc")?;
    computer.run()?;
    let started = started(&computer, &pid_file)?;
    release(&lab, &vendor, &site, "1.0", Path::new("/bin/true"))?;
    let told = site.wait_for_activity("step_reported", &["\"roll_back\"", "\"agent-updater\""])?;
    ensure!(told.contains("agent_failed"), "{told}");
    let now = agent(&computer)?;
    ensure!(now["why"] == "packaged" && now["on_trial"].is_null(), "{now}");
    let said = computer.check()?;
    ensure!(!said.status.success() && said.text().contains("given up"), "{}", said.text());

    // One that does not start is not even tried.
    release(&lab, &vendor, &site, "1.1", Path::new("/bin/false"))?;
    let told = site.wait_for_activity("step_reported", &["\"test_load\"", "\"1.1\""])?;
    ensure!(told.contains("agent_failed"), "{told}");

    release(&lab, &vendor, &site, "1.2", &lab.programs().path("agent-updater"))?;
    wait_for_agent(&computer, "1.2")?;
    ensure!(product(&pid_file)? == started, "the product was started once");
    computer.stop()?;
    end(&started);
    site.verify_log()
}

#[test]
fn an_agent_that_is_killed_at_any_step_of_its_own_update_is_updated_in_the_end() -> Result<()> {
    let lab = Lab::new()?;
    let (vendor, site) = line(&lab, 20)?;
    let mut command = lab.programs().command("agent-updater-faults");
    command.arg("self-update-steps");
    let printed = run(command)?.ok()?;
    // The others are steps of an update that goes back, or of damage; they are killed at in the agent's own tests.
    let points: Vec<&str> = printed
        .lines()
        .filter(|point| ["on-trial", "confirmed", "settled"].iter().any(|on| point.ends_with(on)))
        .collect();
    ensure!(points.len() == 6, "{printed}");
    let mut computers = Vec::new();
    for point in points {
        let (mut computer, pid_file) = computer(&lab, &site, &vendor, &format!("pc-{point}"))?;
        computer.run_with("agent-updater-faults", &[("SEALPOST_FAULT_EXIT_AT", point)])?;
        let started = started(&computer, &pid_file)?;
        computers.push((computer, pid_file, started));
    }
    release(&lab, &vendor, &site, "1.0", &lab.programs().path("agent-updater-faults"))?;
    for (computer, pid_file, started) in &mut computers {
        computer.wait_for_end()?;
        computer.run()?;
        wait_for_agent(computer, "1.0")?;
        ensure!(product(pid_file)? == *started, "the product of {} runs on", computer.name());
        computer.check()?.ok()?;
        computer.audit()?;
        computer.no_leftovers("agent-updater")?;
        computer.stop()?;
        end(started);
    }
    site.verify_log()
}

#[test]
fn an_agent_that_is_the_release_already_and_is_killed_at_any_step_is_it_in_the_end() -> Result<()> {
    let lab = Lab::new()?;
    let (vendor, site) = line(&lab, 4)?;
    let folder = lab.path("agent.release");
    let laid = folder.join("agent-updater");
    stripped(&lab.programs().path("agent-updater-faults"), &laid)?;
    vendor.release_agent(&folder, "1.0")?;
    site.pull_and_approve("agent-updater:1.0")?;
    let program = laid.to_str().context("a path in UTF-8")?;
    for point in ["before-confirmed", "after-confirmed", "before-settled", "after-settled"] {
        let computer = Computer::enrolled(&lab, &site, &format!("pc-{point}"), &vendor.root())?;
        let killed = computer.agent_with(program, &[("SEALPOST_FAULT_EXIT_AT", point)], &["check"])?;
        ensure!(!killed.status.success(), "{point} was not reached: {}", killed.text());
        computer.agent_with(program, &[], &["check"])?.ok()?;
        let status = computer.status()?;
        ensure!(status["agent"]["on_trial"].is_null(), "{point}: {}", status["agent"]);
        let packages = status["packages"].as_array().context("packages")?;
        let own = packages.iter().find(|package| package["package"] == "agent-updater");
        ensure!(own.is_some_and(|own| own["installed"] == "1.0"), "{point}: {status}");
        computer.audit()?;
        computer.no_leftovers("agent-updater")?;
    }
    let steps: Vec<String> = site.activity_of("step_reported")?.iter().map(Value::to_string).collect();
    let (own, others): (Vec<_>, Vec<_>) = steps.iter().partition(|step| step.contains("\"agent-updater\""));
    ensure!(others.iter().any(|step| step.contains("\"download\"")), "the product was fetched: {others:?}");
    let is_of_a_trial = |step: &&String| step.contains("\"download\"") || step.contains("\"switch\"");
    ensure!(!own.is_empty() && !own.iter().any(is_of_a_trial), "{own:?}");
    site.verify_log()
}
