//! The built program: its daemon under signals and a service manager, its exit statuses, and a home far down.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use sealpost_agent_updater::home::Home;
use sealpost_test_support::folders::{set_mode, write_executable, write_file};
use sealpost_test_support::wait;
use sealpost_test_support::web::{Fault, Times};

use crate::site::Site;

fn program(home: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_agent-updater"));
    command.arg("--home").arg(home).env_remove("NOTIFY_SOCKET");
    command
}

fn said(output: &Output) -> String {
    let both = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    String::from_utf8(both).unwrap()
}

/// A running daemon; killed when the test ends.
struct Daemon(Child);

impl Daemon {
    fn start(command: &mut Command) -> Self {
        let mut child = command.arg("run").stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "running\n");
        Self(child)
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.0.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    fn is_running(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn home(site: &Site) -> PathBuf {
    site.computer.path().join("home")
}

#[test]
fn a_hang_up_reads_the_configuration_again_and_ends_nothing() {
    let site = Site::new();
    site.enrolled();
    site.server.lock().unwrap().wake = Some(b"event: contact\ndata: now\n\n".to_vec());
    let home = home(&site);
    let mut daemon = Daemon::start(&mut program(&home));
    let contacts = || site.server.lock().unwrap().contacts.len();
    wait::until("the first contact", || contacts() > 0);
    // From now on a release that a hook refuses is not installed; before, there was no hook.
    let hook = site.computer.path().join("test_load");
    write_executable(&hook, "#!/bin/sh\nexit 1\n").unwrap();
    let config = format!(
        "[packages.acme]\ntest_load = [{:?}]\ntest_load_user = \"0:0\"\n",
        hook.display().to_string()
    );
    write_file(&home.join("agent.toml"), config).unwrap();
    // A socket that somebody removed is there again as well.
    let socket = Home::at(&home).unwrap().socket();
    fs::remove_file(&socket).unwrap();
    daemon.signal(Signal::HUP);
    wait::until("the socket is there again", || socket.exists());
    site.release("1", 1, "one");
    let before = contacts();
    wait::until("wakes go on", || contacts() > before);
    let checked = program(&home).arg("check").output().unwrap();
    assert_eq!(checked.status.code(), Some(1), "{}", said(&checked));
    assert!(said(&checked).contains("given up"), "{}", said(&checked));
    let status = program(&home).args(["status", "--json"]).output().unwrap();
    let shown: serde_json::Value = serde_json::from_slice(&status.stdout).unwrap();
    assert_eq!(status.status.code(), Some(1), "a release that was given up needs a person: {shown}");
    assert_eq!(shown["problems"][0]["code"], "given_up");
    assert_eq!(shown["packages"][0]["decision"], "given_up");
    // What cannot be read leaves the old configuration in force, and the daemon running.
    write_file(&home.join("agent.toml"), "no configuration").unwrap();
    daemon.signal(Signal::HUP);
    fs::remove_file(&socket).unwrap();
    daemon.signal(Signal::HUP);
    wait::until("the socket is there again", || socket.exists());
    assert!(daemon.is_running());
    daemon.signal(Signal::TERM);
    wait::until("it ends when it is told to", || !daemon.is_running());
}

#[test]
fn a_daemon_hears_the_server_while_a_download_drips() {
    let site = Site::new();
    site.enrolled();
    site.server.lock().unwrap().wake = Some(b"event: contact\ndata: now\n\n".to_vec());
    site.web.fail(".tar.gz", Fault::Drip, Times::Always);
    site.release("1", 1, "one");
    let daemon = Daemon::start(&mut program(&home(&site)));
    for downloads in 1..3 {
        wait::until("the download goes on", || site.web.asked(".tar.gz").len() > downloads);
    }
    assert!(site.contacts().len() > 2, "each was interrupted by a contact");
    drop(daemon);
}

#[test]
fn a_hang_up_while_a_rollback_waits_does_not_lose_the_rollback() {
    let site = Site::new();
    let agent = site.enrolled();
    for (number, text) in [(1, "one"), (2, "two")] {
        site.release(&number.to_string(), number, text);
        assert!(agent.cycle().problems.is_empty());
    }
    // A contact that goes on until something interrupts it.
    site.web.fail("contact", Fault::StallAfter(1), Times::Always);
    let asked = site.web.asked("contact").len();
    let daemon = Daemon::start(&mut program(&home(&site)));
    wait::until("a contact goes on", || site.web.asked("contact").len() > asked);
    daemon.signal(Signal::HUP);
    let answer = program(&home(&site)).args(["rollback", "acme"]).output().unwrap();
    assert!(answer.status.success(), "{}", said(&answer));
    assert_eq!(site.installed().as_deref(), Some("one"));
}

#[test]
fn a_service_manager_hears_that_it_is_ready_lives_reloads_and_stops() {
    let site = Site::new();
    site.enrolled();
    let path = site.computer.path().join("notify");
    let notices = UnixDatagram::bind(&path).unwrap();
    notices.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let heard = |wanted: &str| loop {
        let mut buffer = [0; 4_096];
        let length = notices.recv(&mut buffer).unwrap();
        if String::from_utf8_lossy(&buffer[..length]).contains(wanted) {
            break;
        }
    };
    let mut command = program(&home(&site));
    command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "300000");
    let daemon = Daemon::start(&mut command);
    heard("READY=1");
    heard("WATCHDOG=1");
    daemon.signal(Signal::HUP);
    heard("RELOADING=1");
    heard("READY=1");
    heard("WATCHDOG=1");
    daemon.signal(Signal::TERM);
    heard("STOPPING=1");
}

#[test]
fn the_status_ends_with_1_when_something_needs_a_person_and_with_0_when_nothing_does() {
    let site = Site::new();
    let home = home(&site);
    let status = |arguments: &[&str]| program(&home).arg("status").args(arguments).output().unwrap();
    let codes = || {
        let output = status(&["--json"]);
        let shown: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let problems = shown["problems"].as_array().unwrap();
        let codes: Vec<String> =
            problems.iter().map(|problem| problem["code"].as_str().unwrap().to_owned()).collect();
        (output.status.code().unwrap(), codes)
    };
    // As a package lays it.
    fs::create_dir(&home).unwrap();
    set_mode(&home, 0o755).unwrap();
    assert_eq!(codes(), (1, vec!["not_enrolled".to_owned()]));
    let agent = site.enrolled();
    assert_eq!(codes(), (0, Vec::new()), "not licensed yet, which the next contact changes");
    site.release("1", 1, "one");
    agent.cycle();
    let text = said(&status(&[]));
    assert_eq!(codes(), (0, Vec::new()), "{text}");
    assert!(!text.contains('\u{1b}'), "no colors in a pipe: {text:?}");
    assert!(
        (text.contains(" ago)") || text.contains("(now)")) && text.contains("(in "),
        "ages stand beside times: {text}"
    );
    assert_eq!(text.matches("hook").count(), 2, "one line for hooks that are missing: {text}");
    let explained = said(&status(&["--hooks"]));
    assert_eq!(explained.matches("hook:").count(), 5, "{explained}");
    fs::remove_file(home.join("products/acme/current")).unwrap();
    assert_eq!(codes(), (1, vec!["not_as_signed".to_owned()]));
    let text = said(&status(&[]));
    assert!(!text.contains("up to date") && text.contains("but not as it was signed"), "{text}");
    let repaired = program(&home).args(["repair", "acme"]).output().unwrap();
    assert_eq!(repaired.status.code(), Some(0));
    let text = said(&repaired);
    assert!(text.contains("is repaired; no start hook is configured") && !text.contains("started"), "{text}");
    assert_eq!(codes(), (0, Vec::new()));
    fs::write(home.join("state/packages/acme.json"), "damaged").unwrap();
    assert_eq!(codes().0, 1);
    let answer = program(&home).args(["rollback", "other", "--json"]).output().unwrap();
    let answer: serde_json::Value = serde_json::from_slice(&answer.stdout).unwrap();
    assert_eq!(answer["code"], "nothing_to_go_back_to");
}

#[test]
fn the_status_ends_with_1_while_the_server_refuses_what_no_later_contact_mends() {
    let site = Site::new();
    let agent = site.enrolled();
    let shown = || {
        let output = program(&home(&site)).args(["status", "--json"]).output().unwrap();
        let shown: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        (output.status.code().unwrap(), shown["problems"].as_array().unwrap().clone())
    };
    for code in ["unknown_computer", "contact_forked", "displaced", "nonce_unknown", "bad_signature"] {
        site.refuse("contact", code.parse().unwrap());
        agent.cycle();
        let (status, problems) = shown();
        assert_eq!((status, problems.len()), (1, 1), "{code}: {problems:?}");
        assert_eq!(
            (problems[0]["code"].as_str(), problems[0]["refusal"].as_str()),
            (Some("refused"), Some(code))
        );
        let text = problems[0]["text"].as_str().unwrap();
        assert!(
            text.contains("refused by the test") && text.contains("agent-updater enroll --setup FILE"),
            "{text}"
        );
    }
    // A server that is busy or at fault is asked again, and nobody is needed.
    for code in ["busy", "internal"] {
        site.web.make_no_faults();
        site.refuse("contact", code.parse().unwrap());
        agent.cycle();
        assert_eq!(shown(), (0, Vec::new()), "{code}");
    }
    // It answers, and says why there is no lease.
    {
        let mut server = site.server.lock().unwrap();
        server.withholds = true;
        server.notice = Some("no seat is free".to_owned());
    }
    agent.cycle();
    let (status, problems) = shown();
    assert_eq!((status, problems[0]["code"].as_str()), (1, Some("no_lease")), "{problems:?}");
    assert!(problems[0]["text"].as_str().unwrap().contains("no seat is free"), "{problems:?}");
    site.server.lock().unwrap().withholds = false;
    agent.cycle();
    assert_eq!(shown(), (0, Vec::new()));
    // A new setup file is what mends it, and the refusal of before does not stay.
    site.refuse("contact", "unknown_computer".parse().unwrap());
    agent.cycle();
    site.enrolled();
    assert_eq!(shown(), (0, Vec::new()));
}

#[test]
fn a_computer_that_is_not_enrolled_is_told_the_command() {
    let site = Site::new();
    fs::create_dir(home(&site)).unwrap();
    let output = program(&home(&site)).arg("status").output().unwrap();
    let text = said(&output);
    assert!(!text.contains("V 0.0") && text.contains("no product is installed"), "{text}");
    let line = text.lines().find(|line| line.starts_with("Computer")).unwrap();
    assert!(line.contains("not enrolled: `agent-updater enroll --setup FILE`"), "{text}");
}

#[test]
fn a_slip_in_the_name_of_the_home_is_said_and_makes_nothing() {
    let site = Site::new();
    let (absent, other) = (site.computer.path().join("nosuch"), site.computer.path().join("site"));
    fs::create_dir(&other).unwrap();
    write_file(&other.join("distributor.toml"), "").unwrap();
    let commands: [&[&str]; 7] = [
        &["status"],
        &["check"],
        &["audit"],
        &["run"],
        &["repair"],
        &["retry", "acme"],
        &["rollback", "acme"],
    ];
    for arguments in commands {
        for home in [&absent, &other] {
            let output = program(home).args(arguments).output().unwrap();
            let text = said(&output);
            assert_eq!(output.status.code(), Some(1), "{arguments:?}: {text}");
            assert!(text.contains("is no agent's home") && text.contains("`agent-updater enroll"), "{text}");
        }
    }
    assert!(!absent.exists());
    assert_eq!(fs::read_dir(&other).unwrap().count(), 1, "nothing was made beside what was there");
}

#[test]
fn with_json_a_failure_is_an_object_with_a_code() {
    let site = Site::new();
    let failed = |home: &Path, arguments: &[&str]| {
        let output = program(home).args(arguments).output().unwrap();
        assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0), "{arguments:?}");
        let told: serde_json::Value = serde_json::from_slice(&output.stderr).unwrap();
        assert!(!told["message"].as_str().unwrap().is_empty());
        told["code"].as_str().unwrap().to_owned()
    };
    for arguments in [&["audit", "--json"][..], &["status", "--json"], &["check", "--json"]] {
        assert_eq!(failed(&site.computer.path().join("nosuch"), arguments), "no_home");
    }
    fs::create_dir(home(&site)).unwrap();
    assert_eq!(failed(&home(&site), &["audit", "--json"]), "not_enrolled");
    write_file(&home(&site).join("agent.toml"), "no configuration").unwrap();
    assert_eq!(failed(&home(&site), &["audit", "--json"]), "failed");
}

#[test]
fn without_a_daemon_a_check_says_each_failure_once_and_with_one_cause() {
    let site = Site::new();
    let agent = site.enrolled();
    let checked = || said(&program(&home(&site)).arg("check").output().unwrap());
    site.release("1", 1, "one");
    site.refuse("contact", "busy".parse().unwrap());
    let text = checked();
    assert_eq!(
        (text.matches(" refused: ").count(), text.matches("no server answered").count()),
        (1, 0),
        "{text}"
    );
    // Another site's CA.
    let mut records = site.setup.servers[0].server.clone();
    records.ca_spki_sha256 = vec![sealpost_manifests::digest::Sha256Digest::of(b"another")];
    let times = agent.context.host.clock.clone();
    let times = sealpost_agent_updater::server::pin::TlsTimes {
        clock: times,
        issued_at: site.setup.issued_at,
        floor: site.setup.issued_at,
    };
    let endpoints = sealpost_agent_updater::server::Endpoint::of_server(&records, &times).unwrap();
    let asked = endpoints[0].post::<serde_json::Value>("contact", String::new());
    let why = sealpost_files::with_causes(&site.runtime.block_on(asked).unwrap_err());
    assert!(why.contains("does not present a site CA") && !why.contains("unexpected error"), "{why}");
    assert!(!why.contains("client error") && !why.contains("no answer"), "{why}");
}

#[test]
fn a_home_with_a_path_of_more_than_a_hundred_characters_works() {
    let site = Site::new();
    let deep = site.computer.path().join("x".repeat(100)).join("y".repeat(60));
    fs::create_dir_all(&deep).unwrap();
    for folder in [deep.as_path(), deep.parent().unwrap()] {
        set_mode(folder, 0o755).unwrap();
    }
    let home = deep.join("home");
    let setup = site.setup_file();
    let enrolled = program(&home)
        .args(["enroll", "--setup"])
        .arg(&setup)
        .arg("--root")
        .arg(site.vendor.root_file())
        .output()
        .unwrap();
    assert!(enrolled.status.success(), "{}", said(&enrolled));
    let daemon = Daemon::start(&mut program(&home));
    let checked = program(&home).args(["check", "--json"]).output().unwrap();
    let answer: serde_json::Value = serde_json::from_slice(&checked.stdout).unwrap();
    assert_eq!((answer["ok"].as_bool(), answer["code"].as_str()), (Some(true), Some("nothing_assigned")));
    let line = answer["lines"][0].as_str().unwrap();
    // Why that is so, only the server knows.
    assert!(line.contains("nothing is assigned") && !line.contains("approved"), "{line}");
    assert!(line.contains("`distributor clients show NAME`"), "{line}");
    let status = program(&home).args(["status", "--json"]).output().unwrap();
    let status: serde_json::Value = serde_json::from_slice(&status.stdout).unwrap();
    assert_eq!(status["daemon"], true);
    daemon.signal(Signal::TERM);
}
