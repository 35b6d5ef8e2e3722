//! What hooks start, and what becomes of it when the agent is stopped, killed, or cannot run one of them.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use sealpost_tests::harness::{Computer, Lab, Site, Vendor, wait_until, write_executable, write_file};

/// A computer whose product is a process. Its start hook leaves it running, in a session of its own, and its stop hook ends
/// it. Each writes its name into `said`, and hangs for as long as a file `hang.NAME` is there. The stop hook puts another program
/// in the place of the one that a file `replace` names.
struct Scene {
    folder: PathBuf,
    computer: Computer,
}

const START: &str = r#"#!/bin/sh
cd FOLDER
echo start >> said
if ! kill -0 "$(cat product)" 2> /dev/null; then
  rm -f product
  (setsid /bin/sh -c 'echo $$ > product.new; mv product.new product; exec sleep 100000' > /dev/null 2>&1 &)
  while ! [ -e product ]; do sleep 0.01; done
fi
echo $$ > in.start
while [ -e hang.start ]; do sleep 0.01; done
"#;

/// While it hangs, a process that left its session and its parent waits for a word, and stops the product then.
const STOP: &str = r#"#!/bin/sh
cd FOLDER
echo stop >> said
if [ -e hang.stop ]; then
  (setsid /bin/sh -c 'echo $$ > late.new; mv late.new late
    while ! [ -e go ]; do sleep 0.01; done
    kill "$(cat product)"' > /dev/null 2>&1 &)
  while [ -e hang.stop ]; do sleep 0.01; done
fi
if [ -e replace ]; then rm -f "$(cat replace)"; cp /bin/false "$(cat replace)"; fi
kill "$(cat product)"
rm -f product
"#;

impl Scene {
    /// With release 1.0 installed and started.
    fn new(lab: &Lab, site: &Site, vendor: &Vendor) -> Result<Self> {
        let computer = Computer::enrolled(lab, site, "pc-1", &vendor.root())?;
        let folder = lab.path("hooks");
        let text = |script: &str| script.replace("FOLDER", &folder.to_string_lossy());
        write_executable(&folder.join("start"), text(START))?;
        write_executable(&folder.join("stop"), text(STOP))?;
        let hook = |name: &str| format!("{name} = [{:?}]\n", folder.join(name));
        computer.configure(&format!("[packages.scanner]\n{}{}", hook("stop"), hook("start")))?;
        vendor.release_files("scanner", "1.0", &[("VERSION", "1.0")])?;
        site.pull_and_approve("scanner:1.0")?;
        computer.check()?.ok()?;
        let scene = Self { folder, computer };
        ensure!(scene.product_runs(), "1.0 was started");
        Ok(scene)
    }

    fn product(&self) -> Option<String> {
        fs::read_to_string(self.folder.join("product")).ok()
    }

    fn product_runs(&self) -> bool {
        self.product().is_some_and(|pid| is_running(&pid))
    }

    /// Makes a hook hang from now on, or no more.
    fn hang(&self, hook: &str, hangs: bool) -> Result<()> {
        let file = self.folder.join(format!("hang.{hook}"));
        if hangs { Ok(write_file(&file, "")?) } else { Ok(fs::remove_file(file)?) }
    }

    /// Waits for a process number that a hook writes.
    fn wait_for(&self, name: &str) -> Result<String> {
        let path = self.folder.join(name);
        wait_until(&format!("a hook has written {name}"), || Ok(path.exists()))?;
        Ok(fs::read_to_string(path)?)
    }

    fn times_said(&self, hook: &str) -> usize {
        fs::read_to_string(self.folder.join("said"))
            .unwrap_or_default()
            .lines()
            .filter(|line| *line == hook)
            .count()
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        for name in ["product", "late"] {
            let pid = fs::read_to_string(self.folder.join(name)).unwrap_or_default();
            if let Some(pid) = pid.trim().parse().ok().and_then(rustix::process::Pid::from_raw) {
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            }
        }
    }
}

/// A process that has ended and was not reaped runs no more.
fn is_running(pid: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with(['Z', 'X']))
}

#[test]
fn a_stop_hook_whose_agent_was_killed_stops_nothing_after_the_agent_has_recovered() -> Result<()> {
    let lab = Lab::new()?;
    let (vendor, mut site) = lab.vendor_and_site(2)?;
    let mut scene = Scene::new(&lab, &site, &vendor)?;
    vendor.release_files("scanner", "1.1", &[("VERSION", "1.1")])?;
    site.pull_and_approve("scanner:1.1")?;
    scene.hang("stop", true)?;
    scene.computer.run()?;
    let late = scene.wait_for("late")?;
    scene.computer.kill_9()?;

    // The server cannot be reached, so the agent puts back what ran before, and installs nothing.
    site.stop()?;
    scene.hang("stop", false)?;
    let starts = scene.times_said("start");
    scene.computer.run()?;
    wait_until("the product was started again", || Ok(scene.times_said("start") > starts))?;
    scene.computer.stop()?;
    ensure!(scene.product_runs(), "the product runs after the recovery");
    ensure!(scene.computer.installed("scanner", "VERSION").as_deref() == Some("1.0"), "1.0 is in place");

    write_file(&scene.folder.join("go"), "")?;
    wait_until("what the stop hook had started is gone", || Ok(!is_running(&late)))?;
    ensure!(scene.product_runs(), "the stop hook of the killed agent stopped the product");
    Ok(())
}

#[test]
fn a_product_lives_through_the_stop_the_death_and_every_start_of_the_agent() -> Result<()> {
    let lab = Lab::new()?;
    let (vendor, site) = lab.vendor_and_site(2)?;
    let mut scene = Scene::new(&lab, &site, &vendor)?;
    let product = scene.product().context("a product")?;
    for _ in 0..2 {
        scene.computer.run()?;
        scene.computer.stop()?;
        ensure!(is_running(&product), "the product went with the agent that was stopped");
        scene.computer.run()?;
        scene.computer.kill_9()?;
        ensure!(is_running(&product), "the product went with the agent that was killed");
    }
    ensure!(scene.product() == Some(product), "it is another process");
    ensure!((scene.times_said("stop"), scene.times_said("start")) == (0, 1), "no hook ran in between");
    Ok(())
}

#[test]
fn an_agent_that_is_killed_inside_a_start_hook_takes_the_hook_along_and_not_the_product() -> Result<()> {
    let lab = Lab::new()?;
    let (vendor, site) = lab.vendor_and_site(2)?;
    let mut scene = Scene::new(&lab, &site, &vendor)?;
    fs::remove_file(scene.folder.join("in.start"))?;
    vendor.release_files("scanner", "1.1", &[("VERSION", "1.1")])?;
    site.pull_and_approve("scanner:1.1")?;
    scene.hang("start", true)?;
    scene.computer.run()?;
    let hook = scene.wait_for("in.start")?;
    let product = scene.product().context("a product")?;
    scene.computer.kill_9()?;
    wait_until("the start hook is gone", || Ok(!is_running(&hook)))?;
    ensure!(is_running(&product), "the product went with the agent");

    scene.hang("start", false)?;
    scene.computer.check()?;
    let installed = scene.computer.installed("scanner", "VERSION");
    ensure!(scene.product_runs() && installed.is_some(), "{installed:?} is in place and runs");
    scene.computer.audit()
}

#[test]
fn no_product_is_stopped_whose_start_hook_lost_its_execute_bit() -> Result<()> {
    let lab = Lab::new()?;
    let (vendor, site) = lab.vendor_and_site(2)?;
    let scene = Scene::new(&lab, &site, &vendor)?;
    let product = scene.product().context("a product")?;
    vendor.release_files("scanner", "1.1", &[("VERSION", "1.1")])?;
    site.pull_and_approve("scanner:1.1")?;
    let start = scene.folder.join("start");
    let text = fs::read(&start)?;
    fs::remove_file(&start)?;
    write_file(&start, &text)?;
    let said = scene.computer.check()?.text();
    ensure!(said.contains("chmod +x"), "{said}");
    ensure!(is_running(&product) && scene.times_said("stop") == 0, "the product was stopped: {said}");
    let told = site.wait_for_activity("step_reported", &["hook_refused", "chmod +x"])?;
    ensure!(told.contains("scanner"), "{told}");

    write_executable(&start, &text)?;
    scene.computer.agent(&["retry", "scanner"])?;
    scene.computer.check()?;
    scene.computer.wait_for_installed("scanner", "VERSION", "1.1")?;
    ensure!(scene.product_runs() && !is_running(&product), "1.1 was started in its place");
    Ok(())
}

/// As a package manager does it while the agent runs.
#[test]
fn hooks_run_while_the_program_of_the_agent_is_replaced_by_another() -> Result<()> {
    let lab = Lab::new()?;
    let (vendor, site) = lab.vendor_and_site(2)?;
    let scene = Scene::new(&lab, &site, &vendor)?;
    vendor.release_files("scanner", "1.1", &[("VERSION", "1.1")])?;
    site.pull_and_approve("scanner:1.1")?;
    let program = lab.path("agent-updater");
    let program_text = program.to_str().context("a file name in UTF-8")?;
    fs::copy(lab.programs().path("agent-updater"), &program)?;
    write_file(&scene.folder.join("replace"), program_text)?;
    scene.computer.agent_with(program_text, &[], &["check"])?.ok()?;
    ensure!(fs::read(&program)? == fs::read("/bin/false")?, "the program was replaced");
    ensure!(scene.computer.installed("scanner", "VERSION").as_deref() == Some("1.1"), "1.1 is in place");
    ensure!(scene.product_runs() && scene.times_said("start") == 2, "1.1 was started");
    Ok(())
}
