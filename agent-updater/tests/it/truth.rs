//! What a computer says of itself, to its server and to people, is what is there.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use jiff::SignedDuration;
use sealpost_agent_updater::app::Agent;
use sealpost_agent_updater::control::ToUnwanted;
use sealpost_agent_updater::flows::status::ProblemKind;
use sealpost_manifests::wire::contact::DriftKind;
use sealpost_manifests::wire::report::{InstallStep, Outcome};
use sealpost_test_support::folders::{set_mode, write_executable, write_file};
use sealpost_test_support::wait;

use crate::site::{Site, package};

fn product(site: &Site) -> PathBuf {
    site.computer.path().join("home/products/acme")
}

/// Configures a start and a stop hook; the start hook writes what it started into a file.
fn with_hooks(site: &Site) -> PathBuf {
    let home = site.computer.path().join("home");
    let runs = site.computer.path().join("runs");
    let start = site.computer.path().join("start");
    let stop = site.computer.path().join("stop");
    write_executable(&start, good_start(&runs)).unwrap();
    write_executable(&stop, format!("#!/bin/sh\nrm -f {}\n", runs.display())).unwrap();
    fs::create_dir_all(&home).unwrap();
    set_mode(&home, 0o755).unwrap();
    let config = format!("[packages.acme]\nstart = [{:?}]\nstop = [{:?}]\n", text(&start), text(&stop));
    write_file(&home.join("agent.toml"), config).unwrap();
    runs
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

fn good_start(runs: &Path) -> String {
    format!("#!/bin/sh\ncp \"$SEALPOST_CURRENT/text\" {}\n", runs.display())
}

fn installed(site: &Site) -> Agent {
    let agent = site.enrolled();
    site.release("1", 1, "one");
    assert!(agent.cycle().problems.is_empty());
    agent
}

/// The kinds of drift in the last contact.
fn told(site: &Site) -> Vec<DriftKind> {
    let contact = site.contacts().pop().unwrap();
    contact.drift.into_iter().map(|drift| drift.kind).collect()
}

#[test]
fn a_product_that_could_not_be_started_is_told_to_server_and_person_until_it_starts() {
    let site = Site::new();
    let runs = with_hooks(&site);
    let agent = installed(&site);
    let start = site.computer.path().join("start");
    write_executable(&start, "#!/bin/sh\necho the port is taken\nexit 3\n").unwrap();
    site.release("2", 2, "two");
    let cycle = agent.cycle();
    let said = cycle.problems.join("\n");
    assert!(said.contains("acme 1 (any) does not run since") && said.contains("the port is taken"), "{said}");
    assert!(!cycle.answer().ok);
    let pause = cycle.next_contact.duration_since(agent.context.host.now());
    assert!(pause <= SignedDuration::from_mins(1), "the timer tries it again: {pause}");
    assert_eq!(told(&site), [DriftKind::NotStarted]);
    let codes: Vec<ProblemKind> = agent.status().problems.iter().map(|problem| problem.code).collect();
    assert!(codes.contains(&ProblemKind::NotStarted), "{codes:?}");
    let report = site.server.lock().unwrap().reports.last().cloned().unwrap();
    assert_eq!((report.step, report.outcome), (InstallStep::RollBack, Outcome::Failed));
    assert!(report.detail.contains("the port is taken") && !report.detail.contains(" runs;"), "{report:?}");
    // Tried again by a check of a person, as at a start of the agent.
    write_executable(&start, good_start(&runs)).unwrap();
    let said = agent.cycle().problems.join("\n");
    assert!(said.contains("given up") && said.contains("the port is taken"), "the hook's last words: {said}");
    assert!(!said.contains("does not run"), "{said}");
    assert_eq!(fs::read_to_string(&runs).unwrap(), "one");
    assert!(told(&site).is_empty());
}

#[test]
fn a_repair_starts_a_whole_product_that_could_not_be_started() {
    let site = Site::new();
    let runs = with_hooks(&site);
    let agent = installed(&site);
    let start = site.computer.path().join("start");
    write_executable(&start, "#!/bin/sh\nexit 3\n").unwrap();
    site.release("2", 2, "two");
    assert!(!agent.cycle().problems.is_empty());
    let repair = || sealpost_agent_updater::flows::repair::repair(&agent.context, Some(&package())).1;
    let answer = repair();
    assert!(!answer.ok && answer.lines.join(" ").contains("does NOT run"), "{answer:?}");
    write_executable(&start, good_start(&runs)).unwrap();
    let answer = repair();
    assert!(answer.ok && answer.lines.join(" ").contains("is repaired and started"), "{answer:?}");
    assert_eq!(fs::read_to_string(&runs).unwrap(), "one");
}

#[test]
fn an_audit_is_told_to_the_server_by_the_next_contact() {
    let site = Site::new();
    let agent = installed(&site);
    let audits = || {
        let reports = site.server.lock().unwrap().reports.clone();
        let audits = reports.into_iter().filter(|report| report.step == InstallStep::Audit);
        audits.map(|report| (report.outcome, report.detail)).collect::<Vec<_>>()
    };
    assert!(agent.audit().unwrap()[0].problems.is_empty());
    agent.cycle();
    assert_eq!(audits().len(), 1);
    assert_eq!(audits()[0].0, Outcome::Ok);
    let file = product(&site).join("current/text");
    set_mode(&file, 0o644).unwrap();
    fs::write(&file, "changed").unwrap();
    let problems = agent.audit().unwrap()[0].problems.join("\n");
    assert!(problems.contains("text has another content and another mode"), "{problems}");
    agent.cycle();
    let (outcome, detail) = audits().pop().unwrap();
    assert_eq!((audits().len(), outcome), (2, Outcome::Failed));
    assert!(detail.contains("text has another content and another mode"), "{detail}");
}

#[test]
fn a_second_rollback_says_that_it_goes_to_the_release_that_was_left() {
    let site = Site::new();
    let agent = installed(&site);
    site.release("2", 2, "two");
    assert!(agent.cycle().problems.is_empty());
    let back = agent.asked_back(&package(), ToUnwanted::Refuse).unwrap();
    assert!(back.ok && back.lines[0].contains("is back at 1, which ran here before 2"), "{back:?}");
    let forward = agent.asked_back(&package(), ToUnwanted::Refuse).unwrap();
    assert!(forward.ok && forward.lines[0].contains("is at 2 AGAIN"), "{forward:?}");
    assert!(forward.lines[0].contains("by an earlier rollback at this computer"), "{forward:?}");
    assert_eq!(site.installed().as_deref(), Some("two"));
}

#[test]
fn a_record_that_names_another_release_than_the_link_is_told_as_the_link_has_it() {
    let site = Site::new();
    let agent = installed(&site);
    site.release("2", 2, "two");
    assert!(agent.cycle().problems.is_empty());
    site.server.lock().unwrap().assigned.clear();
    // What a computer of an earlier agent may have: its record says 2, and 1 is what the link leads to.
    let folder = product(&site);
    let one = fs::read_dir(folder.join("slots")).unwrap().map(|entry| entry.unwrap().file_name());
    let one = one.into_iter().find(|name| name.to_string_lossy().starts_with("1-")).unwrap();
    fs::remove_file(folder.join("current")).unwrap();
    std::os::unix::fs::symlink(Path::new("slots").join(one), folder.join("current")).unwrap();
    assert_eq!(agent.status().packages[0].runs.as_deref(), Some("1"));
    assert!(agent.cycle().problems.is_empty());
    let contact = site.contacts().pop().unwrap();
    assert_eq!(contact.packages[0].release.version.as_str(), "1");
    assert!(contact.drift.is_empty(), "{:?}", contact.drift);
    site.release("3", 3, "three");
    assert!(agent.cycle().problems.is_empty());
    assert_eq!(site.installed().as_deref(), Some("three"), "and nothing later is refused");
    let back = agent.asked_back(&package(), ToUnwanted::Refuse).unwrap();
    assert!(back.ok, "{back:?}");
    assert_eq!(site.installed().as_deref(), Some("one"));
}

/// A daemon of the built program; killed when the test ends.
struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn another_user_is_told_whether_the_daemon_runs() {
    if !rustix::process::geteuid().is_root() {
        sealpost_test_support::skips::needs("root").unwrap();
        return;
    }
    let site = Site::new();
    drop(installed(&site));
    let home = site.computer.path().join("home");
    // Where everybody may execute it.
    let program = site.computer.path().join("agent-updater");
    fs::copy(env!("CARGO_BIN_EXE_agent-updater"), &program).unwrap();
    set_mode(&program, 0o755).unwrap();
    let status = || {
        let mut command = Command::new(&program);
        command.arg("--home").arg(&home).args(["status", "--json"]).uid(65_534).gid(65_534);
        let said = command.stdin(Stdio::null()).output().unwrap();
        let text = String::from_utf8(said.stdout).unwrap();
        let status: serde_json::Value = serde_json::from_str(&text).unwrap();
        (status["daemon"].as_bool().unwrap(), status["daemon_known"].as_bool().unwrap())
    };
    assert_eq!(status(), (false, true));
    let mut command = Command::new(&program);
    command.arg("--home").arg(&home).arg("run").env_remove("NOTIFY_SOCKET");
    let daemon = Daemon(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    wait::until("the daemon is seen by another user", || status() == (true, true));
    drop(daemon);
    assert_eq!(status(), (false, true), "its socket is still there");
}
