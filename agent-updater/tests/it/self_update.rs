//! The agent replaces its own program: the real program, as processes, against a simulated server.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use sealpost_agent_updater::control::ToUnwanted;
use sealpost_agent_updater::domain::self_update::launch::Why;
use sealpost_agent_updater::domain::self_update::record::SelfRecord;
use sealpost_agent_updater::flows::install::ChangeEnd;
use sealpost_agent_updater::flows::status::ProblemKind;
use sealpost_agent_updater::home::Home;
use sealpost_agent_updater::records::progress::Progress;
use sealpost_agent_updater::records::{packages, self_state};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::PackageName;
use sealpost_manifests::release::PackageKind;
use sealpost_manifests::wire::report::{InstallStep, Outcome, ReasonCode};
use sealpost_test_support::folders::{files_beneath, make_writable, write_executable, write_file};
use sealpost_test_support::names::release_id;
use sealpost_test_support::release::Draft;
use sealpost_test_support::wait;
use sealpost_test_support::web::{Fault, Times};

use crate::repair::{mount, unmount};
use crate::site::Site;

mod runs_already;

/// The program that the operating system's package would have installed.
pub(crate) const PACKAGED: &str = env!("CARGO_BIN_EXE_agent-updater");

/// A daemon of the test. Killed when it is dropped.
pub(crate) struct Process(pub(crate) Child);

impl Process {
    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }

    pub(crate) fn program(&self) -> PathBuf {
        program_of(self.pid())
    }

    /// Its child, if it has one.
    pub(crate) fn child(&self) -> Option<u32> {
        let pid = self.pid();
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        children.split_whitespace().next().map(|child| child.parse().unwrap())
    }

    pub(crate) fn signal(&self, signal: &str) {
        assert!(Command::new("kill").args([signal, &self.pid().to_string()]).status().unwrap().success());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(crate) fn program_of(pid: u32) -> PathBuf {
    fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default()
}

pub(crate) fn runs(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(')').next().is_some_and(|rest| !rest.trim_start().starts_with(['Z', 'X']) && !rest.is_empty())
}

pub(crate) struct Lab {
    pub(crate) site: Site,
    pub(crate) home: Home,
}

impl Lab {
    /// An enrolled computer that judges new agents within seconds.
    pub(crate) fn new() -> Self {
        let site = Site::of(PackageName::agent());
        let home = site.enrolled().home().clone();
        let lab = Self { site, home };
        lab.judge_within(4);
        lab
    }

    /// For how long the server may be reachable without a contact; read when a program begins.
    fn judge_within(&self, secs: u32) {
        let config = format!(
            "[self_update]\nconfirm_within_secs = {secs}\nprobation_secs = 1\n[cadence]\nunlicensed_secs = 1\n\
             licensed_secs = 1\nlost_secs = 1\njitter_percent = 0\n"
        );
        write_file(&self.home.config(), config).unwrap();
    }

    /// Publishes and assigns an agent whose program is this one, without what a debugger needs, if that can be had.
    pub(crate) fn release(&self, version: &str, counter: u64, program: &Path) {
        let folder = self.site.computer.path().join(format!("agent-{version}"));
        let to = folder.join("agent-updater");
        write_executable(&to, fs::read(program).unwrap()).unwrap();
        drop(Command::new("strip").arg(&to).stderr(Stdio::null()).status());
        let mut draft = Draft::of_folder(&folder, release_id(&PackageName::agent(), version), counter);
        draft.manifest.kind = PackageKind::Agent;
        self.site.assign(&draft);
    }

    /// A release is built and on trial; no daemon runs.
    pub(crate) fn on_trial(&self, version: &str, counter: u64) {
        self.on_trial_of(version, counter, Path::new(PACKAGED));
    }

    pub(crate) fn on_trial_of(&self, version: &str, counter: u64, program: &Path) {
        self.release(version, counter, program);
        drop(self.site.agent().cycle());
        assert!(self.state().trial.is_some(), "{:?}", self.reports());
    }

    pub(crate) fn start(&self) -> Process {
        self.start_with(&[])
    }

    /// Starts the packaged program with variables in its environment.
    pub(crate) fn start_with(&self, variables: &[(&str, &str)]) -> Process {
        self.start_program(Path::new(PACKAGED), variables)
    }

    fn start_program(&self, program: &Path, variables: &[(&str, &str)]) -> Process {
        let log = fs::File::options().create(true).append(true).open(self.log()).unwrap();
        let mut command = Command::new(program);
        command.arg("--home").arg(self.home.path()).arg("run").stdin(Stdio::null());
        command.env_remove("NOTIFY_SOCKET").envs(variables.iter().copied());
        Process(command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap())
    }

    /// Adds a field that this version does not know to every record of the agent.
    fn state_of_a_newer_version(&self) {
        const LABEL: &str = "sealpost-record 3";
        let records = files_beneath(&self.home.path().join("state")).unwrap();
        let records: Vec<&PathBuf> =
            records.iter().filter(|path| path.extension().is_some_and(|end| end == "json")).collect();
        assert!(records.len() >= 8, "{records:?}");
        for path in records {
            let whole = fs::read(path).unwrap();
            let mut value: serde_json::Value =
                serde_json::from_slice(sealpost_files::unframe(LABEL, &whole).unwrap()).unwrap();
            value.as_object_mut().unwrap().insert("of_the_future".to_owned(), "x".into());
            fs::write(path, sealpost_files::frame(LABEL, value.to_string().as_bytes())).unwrap();
        }
    }

    fn log(&self) -> PathBuf {
        self.site.computer.path().join("agent.log")
    }

    pub(crate) fn state(&self) -> SelfRecord {
        self_state::load(&self.home).unwrap()
    }

    /// Waits until a process runs the stable program of this version.
    pub(crate) fn wait_for(&self, process: &Process, version: &str) {
        wait::until(
            &format!("{version} runs; {}", fs::read_to_string(self.log()).unwrap_or_default()),
            || {
                let state = self_state::load(&self.home).unwrap_or_default();
                state.stable.is_some_and(|stable| {
                    stable.installed.release.version.as_str() == version && process.program() == stable.path
                })
            },
        );
        wait::until("it says so", || {
            self_state::running(&self.home)
                .is_some_and(|running| running.version == version && running.why == Why::Confirmed)
        });
    }

    /// Waits until a version is the agent, in this process and by every record.
    fn takes_over(&self, agent: &Process, version: &str) {
        self.wait_for(agent, version);
        self.wait_for_report(version, InstallStep::Keep, ReasonCode::Done);
        let installed = packages::load(&self.home, &PackageName::agent()).unwrap().current.unwrap();
        assert_eq!(installed.release.version.as_str(), version);
    }

    fn reports(&self) -> Vec<(String, InstallStep, Outcome, ReasonCode)> {
        let server = self.site.server.lock().unwrap();
        let told = server.reports.iter();
        told.map(|report| (report.release.version.to_string(), report.step, report.outcome, report.reason))
            .collect()
    }

    pub(crate) fn wait_for_report(&self, version: &str, step: InstallStep, reason: ReasonCode) {
        wait::until(&format!("{version} {step} {reason}"), || {
            self.reports().iter().any(|(of, at, _, why)| of == version && *at == step && *why == reason)
        });
    }
}

#[test]
fn a_new_agent_takes_the_place_of_the_packaged_one_in_the_same_process() {
    let lab = Lab::new();
    let agent = lab.start();
    wait::until("a contact", || !lab.site.contacts().is_empty());
    assert_eq!(agent.program(), Path::new(PACKAGED).canonicalize().unwrap());
    lab.release("1.0", 1, Path::new(PACKAGED));
    lab.takes_over(&agent, "1.0");
}

#[test]
fn a_new_agent_takes_the_place_of_the_confirmed_one_before_in_the_same_process() {
    let lab = Lab::new();
    lab.on_trial("1.0", 1);
    self_state::save(&lab.home, &lab.state().confirmed(lab.site.agent().context.host.now())).unwrap();
    let agent = lab.start();
    lab.takes_over(&agent, "1.0");
    lab.release("1.1", 2, Path::new(PACKAGED));
    lab.takes_over(&agent, "1.1");
    let contacts = lab.site.contacts();
    let told = contacts.last().unwrap().packages.iter().find(|one| one.package().is_agent()).unwrap().clone();
    assert_eq!(told.release.version.as_str(), "1.1", "the server is told what runs");
    assert!(!lab.home.gate(&PackageName::agent()).exists(), "the agent has no gate");
}

#[test]
fn a_restart_by_its_service_begins_with_the_packaged_program_and_ends_in_the_confirmed_one() {
    let lab = Lab::new();
    lab.on_trial("1.0", 1);
    let agent = lab.start();
    lab.wait_for(&agent, "1.0");
    agent.signal("-TERM");
    wait::until("it ends", || !runs(agent.pid()));
    let agent = lab.start();
    lab.wait_for(&agent, "1.0");
    // A second one is refused, and says nothing of itself.
    let mut second = lab.start();
    assert!(!second.0.wait().unwrap().success());
    let status = lab.site.agent().status();
    assert_eq!((status.agent.version.as_str(), status.agent.why), ("1.0", Some(Why::Confirmed)));
}

#[test]
fn a_new_agent_that_completes_no_contact_although_the_server_can_be_reached_is_given_back() {
    let lab = Lab::new();
    lab.on_trial("1.0", 1);
    lab.site.web.fail("contact", Fault::Answer(503, Vec::new()), Times::Always);
    lab.judge_within(1);
    let agent = lab.start();
    wait::until("the new agent runs as a child", || {
        let to = lab.state().trial.map(|trial| trial.to.path);
        agent.child().is_some_and(|child| Some(program_of(child)) == to)
    });
    let child = agent.child().unwrap();
    wait::until("it is given back", || lab.state().trial.is_none());
    wait::until("the child ends", || !runs(child));
    lab.site.web.make_no_faults();
    lab.wait_for_report("1.0", InstallStep::RollBack, ReasonCode::AgentSilent);
    assert_eq!(agent.program(), Path::new(PACKAGED).canonicalize().unwrap());
    let contacts = lab.site.contacts().len();
    wait::until("further contacts", || lab.site.contacts().len() >= contacts + 2);
    assert_eq!(lab.state(), SelfRecord::default(), "it is not tried again");
}

#[test]
fn after_a_new_agent_that_was_given_back_the_next_one_is_another_matter() {
    let lab = Lab::new();
    lab.on_trial("1.0", 1);
    let (reason, now) = (ReasonCode::AgentSilent, lab.site.agent().context.host.now());
    self_state::save(&lab.home, &lab.state().given_back(reason, "silent".to_owned(), now)).unwrap();
    let agent = lab.start();
    lab.wait_for_report("1.0", InstallStep::RollBack, reason);
    lab.release("1.1", 2, Path::new(PACKAGED));
    lab.wait_for(&agent, "1.1");
}

#[test]
fn a_new_agent_that_ends_after_its_contact_is_given_back_all_the_same() {
    let lab = Lab::new();
    let config = fs::read_to_string(lab.home.config()).unwrap();
    write_file(&lab.home.config(), config.replace("probation_secs = 1", "probation_secs = 600")).unwrap();
    lab.on_trial("1.0", 1);
    // It ended that often before, at other starts of its watchdog.
    let mut record = lab.state();
    record.trial.as_mut().unwrap().exits = 5;
    self_state::save(&lab.home, &record).unwrap();
    let agent = lab.start();
    wait::until("its contact was answered", || {
        let said = self_state::contacted(&lab.home);
        said.is_some_and(|said| Some(said.pid) == agent.child())
    });
    assert!(
        Command::new("kill").args(["-KILL", &agent.child().unwrap().to_string()]).status().unwrap().success()
    );
    wait::until("it is given back", || lab.state().trial.is_none());
    lab.wait_for_report("1.0", InstallStep::RollBack, ReasonCode::AgentFailed);
    assert_eq!(agent.program(), Path::new(PACKAGED).canonicalize().unwrap());
}

#[test]
fn without_a_server_a_trial_goes_on_over_kills_and_restarts_and_ends_well_once_it_is_back() {
    let lab = Lab::new();
    lab.on_trial("1.0", 1);
    for path in ["contact", "healthz"] {
        lab.site.web.fail(path, Fault::Answer(503, Vec::new()), Times::Always);
    }
    let trial = lab.state().trial;
    lab.judge_within(1);
    for signal in ["-KILL", "-TERM"] {
        let agent = lab.start();
        let asked = lab.site.web.asked("contact").len();
        wait::until("the new agent asks", || lab.site.web.asked("contact").len() > asked + 1);
        let child = agent.child().unwrap();
        assert_eq!(program_of(child), trial.as_ref().unwrap().to.path);
        // Far longer than the server may be reachable.
        std::thread::sleep(Duration::from_secs(2));
        assert_eq!(lab.state().trial, trial, "nothing was counted");
        agent.signal(signal);
        wait::until("both end", || !runs(agent.pid()) && !runs(child));
        // A thread of a killed process may still be on the disk, and holds its locks until it is done.
        wait::until("their locks are free", || {
            lab.home.lock_watch().is_ok() && lab.home.lock_daemon().is_ok()
        });
        assert_eq!(lab.state().trial, trial);
    }
    lab.judge_within(4);
    let agent = lab.start();
    wait::until("the new agent runs", || agent.child().is_some());
    let mut second = lab.start();
    assert!(!second.0.wait().unwrap().success(), "one watchdog at a time");
    agent.signal("-HUP");
    lab.site.web.make_no_faults();
    lab.wait_for(&agent, "1.0");
    assert_eq!(agent.child(), None);
}

#[test]
fn a_stable_program_that_was_changed_is_not_executed_and_comes_back_with_the_next_contact() {
    let lab = Lab::new();
    lab.on_trial("1.0", 1);
    let agent = lab.start();
    lab.wait_for(&agent, "1.0");
    lab.wait_for_report("1.0", InstallStep::Keep, ReasonCode::Done);
    drop(agent);
    let program = lab.state().stable.unwrap().path;
    make_writable(program.parent().unwrap());
    fs::remove_file(&program).unwrap();
    fs::copy("/bin/true", &program).unwrap();
    let agent = lab.start();
    lab.wait_for_report("1.0", InstallStep::Start, ReasonCode::LocalFault);
    lab.wait_for(&agent, "1.0");
    assert!(fs::metadata(program).unwrap().len() > 1_000_000);
}

#[test]
fn while_the_disk_of_its_slots_is_not_mounted_another_program_is_the_agent_and_nothing_is_recorded() {
    for is_confirmed in [true, false] {
        let lab = Lab::new();
        lab.on_trial("1.0", 1);
        if is_confirmed {
            let confirmed = lab.state().confirmed(lab.site.agent().context.host.now());
            self_state::save(&lab.home, &confirmed).unwrap();
            drop(lab.site.agent().cycle());
        }
        let before = lab.state();
        let disk = unmount(&lab.site);
        let contacts = lab.site.contacts().len();
        let agent = lab.start();
        wait::until("contacts", || lab.site.contacts().len() >= contacts + 2);
        assert_eq!(lab.state(), before, "nothing is lost, and no trial failed");
        assert_eq!(self_state::running(&lab.home).unwrap().why, Why::OtherUnusable);
        let status = lab.site.agent().status();
        let code = status.problems.first().map(|problem| problem.code);
        assert_eq!(code, Some(ProblemKind::InstallRootElsewhere));
        assert!(status.to_text().contains("its disk may not be mounted"), "it says why it ends with 1");
        mount(&lab.site, disk);
        lab.wait_for(&agent, "1.0");
    }
}

#[test]
fn a_program_that_no_record_names_says_the_version_that_it_was_built_as() {
    let lab = Lab::new();
    let unknown = Sha256Digest::of(b"a release that was given up").to_string();
    let _agent = lab.start_with(&[("SEALPOST_AGENT_SLOT", &unknown)]);
    wait::until("it runs", || self_state::running(&lab.home).is_some());
    let running = self_state::running(&lab.home).unwrap();
    assert_eq!((running.version.as_str(), running.why), (env!("CARGO_PKG_VERSION"), Why::PackagedUnusable));
}

#[test]
fn a_confirmed_program_that_does_not_start_any_more_leaves_the_packaged_one_at_work() {
    let lab = Lab::new();
    lab.on_trial("1.0", 1);
    // Whole as far as anybody can tell by its bytes, as a program is whose library went.
    let mut record = lab.state().confirmed(lab.site.agent().context.host.now());
    let program = record.stable.as_mut().unwrap();
    program.path = lab.site.computer.path().join("program");
    write_executable(&program.path, fs::read("/bin/false").unwrap()).unwrap();
    program.sha256 = Sha256Digest::of(&fs::read("/bin/false").unwrap());
    record.ended = None;
    self_state::save(&lab.home, &record).unwrap();
    let contacts = lab.site.contacts().len();
    let agent = lab.start();
    wait::until("contacts", || lab.site.contacts().len() >= contacts + 2);
    lab.wait_for_report("1.0", InstallStep::Start, ReasonCode::LocalFault);
    assert_eq!(program_of(agent.pid()).file_name(), Path::new(PACKAGED).file_name());
}

/// The reports about the end of trials of 1.0.
fn ends(lab: &Lab) -> Vec<(Outcome, ReasonCode)> {
    let of_end = [InstallStep::Health, InstallStep::RollBack, InstallStep::Keep];
    let reports = lab.reports().into_iter().filter(|(_, step, ..)| of_end.contains(step));
    reports.map(|(_, _, outcome, reason)| (outcome, reason)).collect()
}

#[test]
fn a_trial_whose_release_the_site_assigns_no_more_ends_as_asked_by_the_site_and_not_as_failed() {
    let lab = Lab::new();
    let config = fs::read_to_string(lab.home.config()).unwrap();
    write_file(&lab.home.config(), config.replace("probation_secs = 1", "probation_secs = 600")).unwrap();
    lab.on_trial("1.0", 1);
    let agent = lab.start();
    wait::until("its contact was answered", || {
        let said = self_state::contacted(&lab.home);
        said.is_some_and(|said| Some(said.pid) == agent.child())
    });
    let status = lab.site.agent().status();
    assert!(status.to_text().contains("has completed a contact, and is kept once"), "{}", status.to_text());
    let assigned = std::mem::take(&mut lab.site.server.lock().unwrap().assigned);
    wait::until("it is given back", || lab.state().trial.is_none());
    lab.wait_for_report("1.0", InstallStep::RollBack, ReasonCode::AskedBySite);
    assert_eq!(agent.program(), Path::new(PACKAGED).canonicalize().unwrap());
    assert_eq!(ends(&lab), [(Outcome::Ok, ReasonCode::AskedBySite)]);
    wait::until("it is noted", || lab.state() == SelfRecord::default());
    // It did not fail: what is assigned again is tried again.
    lab.site.server.lock().unwrap().assigned = assigned;
    wait::until("it is on trial again", || lab.state().trial.is_some());
}

#[test]
fn a_trial_that_was_only_prepared_is_called_off_by_the_site_or_by_a_person_before_it_starts() {
    for is_by_site in [true, false] {
        let lab = Lab::new();
        lab.on_trial("1.0", 1);
        let agent = lab.site.agent();
        if is_by_site {
            lab.site.server.lock().unwrap().assigned.clear();
        } else {
            let end = agent.roll_back(&PackageName::agent(), ToUnwanted::Refuse).unwrap();
            assert_eq!(end, ChangeEnd::Kept);
        }
        drop(agent.cycle());
        assert_eq!(lab.state(), SelfRecord::default(), "by the site: {is_by_site}");
        let reason = if is_by_site { ReasonCode::AskedBySite } else { ReasonCode::AskedLocally };
        assert_eq!(ends(&lab), [(Outcome::Ok, reason)]);
        let record = packages::load(&lab.home, &PackageName::agent()).unwrap();
        assert_eq!((record.current, record.given_up.is_empty()), (None, is_by_site));
    }
}

/// As a computer that was off for an hour.
fn heard_nothing_for_an_hour(lab: &Lab) {
    let mut progress = Progress::load(&lab.home).unwrap();
    let answered_at = progress.standing.answered_at.unwrap();
    progress.standing.answered_at = Some(answered_at - jiff::SignedDuration::from_hours(1));
    progress.save(&lab.home).unwrap();
}

#[test]
fn a_new_agent_that_the_site_halted_while_the_computer_was_off_is_not_started_once_more() {
    let lab = Lab::new();
    lab.on_trial("1.0", 1);
    lab.site.server.lock().unwrap().assigned.clear();
    heard_nothing_for_an_hour(&lab);
    let agent = lab.start();
    lab.wait_for_report("1.0", InstallStep::RollBack, ReasonCode::AskedBySite);
    assert_eq!(agent.program(), Path::new(PACKAGED).canonicalize().unwrap());
    assert_eq!(ends(&lab), [(Outcome::Ok, ReasonCode::AskedBySite)]);
    let log = fs::read_to_string(lab.log()).unwrap();
    assert!(!log.contains("is on trial"), "it was started: {log}");
    // Without a server to ask, a trial goes on.
    let lab = Lab::new();
    lab.on_trial("1.0", 1);
    heard_nothing_for_an_hour(&lab);
    lab.site.web.fail("contact", Fault::Answer(503, Vec::new()), Times::Always);
    let agent = lab.start();
    wait::until("the new agent runs", || agent.child().is_some());
    lab.site.web.make_no_faults();
    lab.wait_for(&agent, "1.0");
}

#[test]
fn a_damaged_record_costs_no_agent_and_no_second_trial() {
    let lab = Lab::new();
    lab.on_trial("1.0", 1);
    let agent = lab.start();
    lab.wait_for(&agent, "1.0");
    lab.wait_for_report("1.0", InstallStep::Keep, ReasonCode::Done);
    drop(agent);
    fs::write(lab.home.self_state(), b"sealpost-self 1 damaged").unwrap();
    let reports = lab.reports().len();
    let agent = lab.start();
    lab.wait_for(&agent, "1.0");
    assert_eq!(lab.reports().len(), reports, "nothing was installed for it");
}

#[test]
fn the_version_before_reads_what_a_newer_one_added_to_the_records() {
    let lab = Lab::new();
    lab.on_trial("1.0", 1);
    lab.state_of_a_newer_version();
    // As the watchdog's own program does after it took the newer one back.
    self_state::save(&lab.home, &SelfRecord::default()).unwrap();
    let agent = lab.site.agent();
    assert!(
        agent.cycle().problems.iter().all(|problem| problem.contains("on trial")),
        "nothing else is wrong"
    );
    assert_eq!(agent.status().waiting_reports, 0);
    assert!(lab.state().trial.is_some(), "it works on as before");
}
