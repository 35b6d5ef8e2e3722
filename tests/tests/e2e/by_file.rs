//! Computers without any network: enrolled, licensed, updated and heard of by files alone. Their agents run in a network
//! namespace of their own, in which nothing can be reached.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use sealpost_test_support::skips;
use sealpost_tests::harness::{
    Computer, Daemon, Lab, Output, Site, Vendor, flip_a_bit, run, snapshot, wait_until,
};

const GOOD: (&str, &str) = ("bin/check", "#!/bin/sh\nexit 0\n");

/// Whether a process can be cut off from every network here.
fn can_be_cut_off() -> bool {
    Command::new("unshare").args(["-n", "true"]).output().is_ok_and(|ended| ended.status.success())
}

/// A command of a computer's agent that reaches nothing.
fn offline(lab: &Lab, computer: &Computer, arguments: &[&str]) -> Command {
    // The environment is that of the other programs; `unshare` becomes the agent.
    let mut command = lab.programs().command("agent-updater");
    let program = command.get_program().to_owned();
    let environment: Vec<_> =
        command.get_envs().filter_map(|(key, value)| Some((key.to_owned(), value?.to_owned()))).collect();
    command = Command::new("unshare");
    command.env_clear().envs(environment).stdin(std::process::Stdio::null());
    command.arg("-n").arg(program).arg("--home").arg(computer.home()).args(arguments);
    command
}

fn agent(lab: &Lab, computer: &Computer, arguments: &[&str]) -> Result<Output> {
    run(offline(lab, computer, arguments))
}

/// Files that are carried between a computer and the server.
struct Carried {
    folder: PathBuf,
}

impl Carried {
    fn new(lab: &Lab, name: &str) -> Result<Self> {
        let folder = lab.path(name);
        fs::create_dir(&folder)?;
        Ok(Self { folder })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn text(&self, name: &str) -> Result<String> {
        text(&self.path(name))
    }

    /// Has the server answer a computer's file; gives the answer's path.
    fn answer(&self, site: &Site, computer: &Computer, file: &str) -> Result<String> {
        let out = text(&self.folder)?;
        site.distributor(&["folder", "answer", &self.text(file)?, "--out", &out])?.ok()?;
        self.text(&format!("{}.answer.sealed", computer.name()))
    }

    /// One contact by hand: written, answered, taken.
    fn contact(&self, lab: &Lab, site: &Site, computer: &Computer) -> Result<Output> {
        let file = self.text(&format!("{}.contact.json", computer.name()))?;
        agent(lab, computer, &["contact", "--out", &file])?.ok()?;
        let answer = self.answer(site, computer, &format!("{}.contact.json", computer.name()))?;
        let releases = self.text("releases")?;
        agent(lab, computer, &["contact", "--in", &answer, "--releases", &releases])
    }
}

fn text(path: &Path) -> Result<String> {
    Ok(path.to_str().context("a file name in UTF-8")?.to_owned())
}

fn enroll(lab: &Lab, site: &Site, vendor: &Vendor, carried: &Carried, computer: &Computer) -> Result<()> {
    let file = carried.text(&format!("{}.contact.json", computer.name()))?;
    let (setup, root) = (text(computer.setup())?, text(&vendor.root())?);
    agent(lab, computer, &["contact", "--setup", &setup, "--root", &root, "--out", &file])?.ok()?;
    let request = fs::read_to_string(&file)?;
    let setup: serde_json::Value = serde_json::from_slice(&fs::read(computer.setup())?)?;
    let code = setup["servers"][0]["enrollment_code"].as_str().context("a code")?;
    ensure!(!request.contains(code), "the enrollment code is in the file that is carried around");
    let answer = carried.answer(site, computer, &format!("{}.contact.json", computer.name()))?;
    let said = agent(lab, computer, &["contact", "--in", &answer])?.ok()?;
    ensure!(said.contains(&format!("enrolled as {}", computer.name())), "{said}");
    Ok(())
}

#[test]
fn a_computer_without_a_network_enrolls_is_licensed_updates_and_reports_by_files() -> Result<()> {
    if !can_be_cut_off() {
        return Ok(skips::needs("root, to run an agent in a network namespace")?);
    }
    let lab = Lab::new()?;
    let (vendor, site) = lab.vendor_and_site(2)?;
    vendor.release_files("scanner", "1.0", &[("VERSION", "1.0"), GOOD])?;
    site.pull_and_approve("scanner:1.0")?;
    let carried = Carried::new(&lab, "stick")?;
    let stick = text(&carried.folder)?;
    let computer = Computer::reserved(&lab, &site, "pc", &vendor.root())?;
    enroll(&lab, &site, &vendor, &carried, &computer)?;
    let alone = agent(&lab, &computer, &["check"])?;
    ensure!(!alone.status.success(), "the computer reaches its server: {}", alone.stdout);

    site.distributor(&["folder", "sync", &stick])?.ok()?;
    let said = carried.contact(&lab, &site, &computer)?.ok()?;
    ensure!(computer.installed("scanner", "VERSION").as_deref() == Some("1.0"), "{said}");
    ensure!(site.activity_of("step_reported")?.is_empty(), "it could not report yet");
    carried.contact(&lab, &site, &computer)?.ok()?;
    site.wait_for_activity("step_reported", &["\"keep\"", "\"scanner\""])?;
    computer.audit()?;
    ensure!(computer.is_open("scanner", "run")?, "the product may run");

    vendor.release_files("scanner", "1.1", &[("VERSION", "1.1"), GOOD])?;
    site.pull_and_approve("scanner:1.1")?;
    site.distributor(&["folder", "sync", &stick])?.ok()?;
    // What somebody changed on the way is not installed, and the next visit puts it right.
    let targets = fs::read_dir(carried.path("releases/targets"))?.collect::<Result<Vec<_>, _>>()?;
    let payload = targets.iter().map(fs::DirEntry::path).find(|path| {
        path.to_string_lossy().contains("scanner_1.1") && path.to_string_lossy().ends_with(".tar.gz")
    });
    let payload = payload.context("the payload of 1.1 in the folder")?;
    fs::remove_dir_all(carried.path("releases/deltas"))?;
    flip_a_bit(&payload)?;
    let said = carried.contact(&lab, &site, &computer)?;
    ensure!(!said.status.success() && said.stderr.contains("payload_invalid"), "{}", said.stderr);
    ensure!(computer.installed("scanner", "VERSION").as_deref() == Some("1.0"), "{}", said.stderr);
    site.distributor(&["folder", "sync", &stick])?.ok()?;
    carried.contact(&lab, &site, &computer)?.ok()?;
    ensure!(computer.installed("scanner", "VERSION").as_deref() == Some("1.1"), "1.1 is installed");
    let before = snapshot(&carried.folder)?;
    let said = site.distributor(&["folder", "sync", &stick])?.ok()?;
    ensure!(said.contains("0 files written") && snapshot(&carried.folder)? == before, "{said}");
    site.verify_log()
}

#[test]
fn an_answer_that_is_old_given_twice_cut_or_for_another_computer_changes_nothing() -> Result<()> {
    if !can_be_cut_off() {
        return Ok(skips::needs("root, to run an agent in a network namespace")?);
    }
    let lab = Lab::new()?;
    let (vendor, site) = lab.vendor_and_site(2)?;
    let carried = Carried::new(&lab, "stick")?;
    let (pc, other) = (
        Computer::reserved(&lab, &site, "pc", &vendor.root())?,
        Computer::reserved(&lab, &site, "other", &vendor.root())?,
    );
    enroll(&lab, &site, &vendor, &carried, &pc)?;
    enroll(&lab, &site, &vendor, &carried, &other)?;
    let refused = |answer: &str, part: &str| -> Result<()> {
        let before = snapshot(&pc.home().join("state"))?;
        let said = agent(&lab, &pc, &["contact", "--in", answer])?;
        ensure!(!said.status.success(), "{answer} was taken: {}", said.stdout);
        ensure!(said.stderr.contains(part), "{}", said.stderr);
        let contacts = |state: &std::collections::BTreeMap<PathBuf, Vec<u8>>| {
            state
                .iter()
                .filter(|(path, _)| {
                    ["contact.json", "lease.json", "assignment.json"].iter().any(|name| path.ends_with(name))
                })
                .map(|(path, bytes)| (path.clone(), bytes.clone()))
                .collect::<Vec<_>>()
        };
        let after = snapshot(&pc.home().join("state"))?;
        ensure!(contacts(&before) == contacts(&after), "a refused answer changed a record");
        Ok(())
    };

    // The same contact until it is answered, however often it is written.
    let file = carried.text("pc.contact.json")?;
    agent(&lab, &pc, &["contact", "--out", &file])?.ok()?;
    let first = fs::read(&file)?;
    agent(&lab, &pc, &["contact", "--out", &file])?.ok()?;
    ensure!(fs::read(&file)? == first, "a contact that waits was made anew");
    let answer = carried.answer(&site, &pc, "pc.contact.json")?;
    let kept = carried.text("kept.answer")?;
    fs::copy(&answer, &kept)?;

    // Of another computer, flipped, cut, nothing.
    agent(&lab, &other, &["contact", "--out", &carried.text("other.contact.json")?])?.ok()?;
    let others = carried.answer(&site, &other, "other.contact.json")?;
    refused(&others, "sealed for key")?;
    let bad = carried.path("bad.answer");
    fs::copy(&answer, &bad)?;
    flip_a_bit(&bad)?;
    refused(&text(&bad)?, "no answer for this computer")?;
    fs::write(&bad, &fs::read(&answer)?[..300])?;
    refused(&text(&bad)?, "no answer for this computer")?;
    fs::write(&bad, b"")?;
    refused(&text(&bad)?, "no answer for this computer")?;

    agent(&lab, &pc, &["contact", "--in", &answer])?;
    ensure!(pc.status()?.to_string().contains("lease"), "the computer is licensed");
    refused(&kept, "not to the contact that waits")?;
    // The next contact waits now, and the old answer is none to it; the server answers it in order all the same.
    agent(&lab, &pc, &["contact", "--out", &file])?.ok()?;
    refused(&kept, "not to the contact that waits")?;
    let next = carried.answer(&site, &pc, "pc.contact.json")?;
    agent(&lab, &pc, &["contact", "--in", &next])?.ok()?;
    // An old contact again is a fork of nothing: it is answered as it was, or refused, and the computer goes on.
    fs::write(&file, &first)?;
    let old = carried.text("old.contact.json")?;
    fs::write(&old, &first)?;
    let said = site.distributor(&["folder", "answer", &old, "--out", &text(&carried.folder)?])?;
    ensure!(!said.status.success() || !said.stdout.is_empty(), "nothing was said");
    let went_on = carried.contact(&lab, &site, &other)?;
    ensure!(went_on.status.success() || went_on.stderr.contains("nothing is assigned"), "{}", went_on.stderr);
    Ok(())
}

#[test]
fn a_folder_serves_computers_without_a_network_by_itself_and_what_is_hostile_in_it_is_refused() -> Result<()>
{
    if !can_be_cut_off() {
        return Ok(skips::needs("root, to run an agent in a network namespace")?);
    }
    let lab = Lab::new()?;
    let (vendor, site) = lab.vendor_and_site(3)?;
    vendor.release_files("scanner", "1.0", &[("VERSION", "1.0"), GOOD])?;
    site.pull_and_approve("scanner:1.0")?;
    let share = lab.path("share");
    fs::create_dir(&share)?;
    site.configure(&format!("[folder]\npath = \"{}\"\nevery = \"5s\"\n", share.display()))?;
    let computer = Computer::reserved(&lab, &site, "pc", &vendor.root())?;
    computer.configure(&format!(
        "[folder]\npath = \"{}\"\npoll_secs = 1\n[cadence]\nunlicensed_secs = 1\nlicensed_secs = 2\n",
        share.display()
    ))?;
    let (setup, root) = (text(computer.setup())?, text(&vendor.root())?);
    // It waits for its answer, and says so.
    let waits = agent(&lab, &computer, &["contact", "--setup", &setup, "--root", &root])?;
    ensure!(waits.stderr.contains("waits for its answer"), "{}", waits.stderr);

    // Strangers' files, before anything else is there.
    let computers = share.join("computers");
    symlink("/etc", computers.join("linked"))?;
    fs::create_dir(computers.join("other"))?;
    symlink("/etc/passwd", computers.join("other/contact.json"))?;
    fs::create_dir(computers.join("third"))?;
    fs::File::create(computers.join("third/contact.json"))?.set_len(1 << 40)?;
    fs::create_dir(computers.join("fourth"))?;
    run({
        let mut mkfifo = Command::new("mkfifo");
        mkfifo.arg(computers.join("fourth/contact.json"));
        mkfifo
    })?
    .ok()?;
    let copied = computers.join("pc/contact.json");
    fs::create_dir(computers.join("fifth"))?;
    fs::copy(&copied, computers.join("fifth/contact.json"))?;
    fs::create_dir(computers.join("not a name!"))?;
    let synced = site.distributor(&["folder", "sync", "--json"])?;
    for name in ["linked", "fourth", "third", "fifth", "not a name!"] {
        ensure!(synced.stdout.contains(name), "nothing is said of {name}: {}", synced.stdout);
        ensure!(!computers.join(name).join("answer.sealed").exists(), "{name} was answered");
    }
    ensure!(!computers.join("other/answer.sealed").exists(), "a link was followed");

    let log = lab.path("pc.agent.log");
    let (daemon, _) = Daemon::start(offline(&lab, &computer, &["run"]), "agent of pc", &log, "running")?;
    computer.wait_for_installed("scanner", "VERSION", "1.0")?;
    site.wait_for_activity("step_reported", &["\"keep\"", "\"scanner\""])?;

    vendor.release_files("scanner", "1.1", &[("VERSION", "1.1"), GOOD])?;
    site.pull_and_approve("scanner:1.1")?;
    computer.wait_for_installed("scanner", "VERSION", "1.1")?;
    // A folder that is gone for a while ends nothing.
    fs::rename(&share, lab.path("away"))?;
    wait_until("the agent says that the folder is gone", || Ok(daemon.log()?.contains("cannot be used")))?;
    fs::rename(lab.path("away"), &share)?;
    vendor.release_files("scanner", "1.2", &[("VERSION", "1.2"), GOOD])?;
    site.pull_and_approve("scanner:1.2")?;
    computer.wait_for_installed("scanner", "VERSION", "1.2")?;
    computer.audit()?;
    site.verify_log()?;
    daemon.stop()
}
