//! From one program of the agent to the next: what a service manager hears, and which signals arrive, on the whole way.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use rustix::process::{Signal, getpid, kill_process};
use sealpost_agent_updater::domain::self_update::launch::Why;
use sealpost_agent_updater::domain::self_update::record::SelfRecord;
use sealpost_agent_updater::ports::{DAEMON_BEGINS, EXECUTES, Faults, Killed, WATCH_BEGINS};
use sealpost_agent_updater::records::self_state;
use sealpost_manifests::wire::report::{InstallStep, ReasonCode};
use sealpost_test_support::wait;
use sealpost_test_support::web::{Fault, Times};

use crate::self_update::{Lab, PACKAGED, Process, program_of, runs};
use crate::ways::{list, moved, send};

/// A service manager, as far as it listens.
struct Manager {
    path: PathBuf,
    heard: Arc<Mutex<Vec<String>>>,
    marks: AtomicUsize,
}

impl Manager {
    fn new(lab: &Lab) -> Self {
        let path = lab.site.computer.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&heard);
        // Ends with the process of the test.
        thread::spawn(move || {
            let mut buffer = [0; 4_096];
            while let Ok(length) = socket.recv(&mut buffer) {
                told.lock().unwrap().push(String::from_utf8_lossy(&buffer[..length]).into_owned());
            }
        });
        Self { path, heard, marks: AtomicUsize::new(0) }
    }

    /// Starts the agent as the service that this one manages.
    fn start(&self, lab: &Lab) -> Process {
        lab.start_with(&[("NOTIFY_SOCKET", self.path.to_str().unwrap()), ("WATCHDOG_USEC", "600000")])
    }

    /// How many of the messages that were sent until now say this. Messages arrive in their order, so once a further one
    /// was heard, those before it were too.
    fn count(&self, what: &str) -> usize {
        let mark = format!("MARK={}", self.marks.fetch_add(1, Ordering::Relaxed));
        UnixDatagram::unbound().unwrap().send_to(mark.as_bytes(), &self.path).unwrap();
        wait::until("what was sent is heard", || self.heard.lock().unwrap().contains(&mark));
        self.heard.lock().unwrap().iter().filter(|message| message.contains(what)).count()
    }

    fn hears_again(&self, what: &str) {
        let before = self.count(what);
        wait::until(&format!("{what} once more"), || self.count(what) > before);
    }
}

/// A trial that goes on: the server refuses its contacts, and does not count as reachable.
fn open_trial(lab: &Lab) {
    open_trial_of(lab, Path::new(PACKAGED));
}

fn open_trial_of(lab: &Lab, program: &Path) {
    lab.on_trial_of("1.0", 1, program);
    for path in ["contact", "healthz"] {
        lab.site.web.fail(path, Fault::Answer(503, Vec::new()), Times::Always);
    }
}

/// Waits until the program on trial runs as a child, with its control socket open.
fn trial_of(lab: &Lab, agent: &Process) -> u32 {
    let to = lab.state().trial.unwrap().to.path;
    wait::until("the program on trial runs", || {
        // Its mode comes last: then nothing more is done to it.
        let is_open = fs::metadata(lab.home.socket()).is_ok_and(|found| found.mode() & 0o777 == 0o600);
        is_open && agent.child().is_some_and(|child| program_of(child) == to)
    });
    agent.child().unwrap()
}

#[test]
fn a_service_manager_hears_signs_of_life_and_no_stop_from_one_program_to_the_next() {
    let lab = Lab::new();
    let manager = Manager::new(&lab);
    let agent = manager.start(&lab);
    wait::until("it is ready", || manager.count("READY=1") > 0);
    lab.release("1.0", 1, Path::new(PACKAGED));
    lab.wait_for(&agent, "1.0");
    manager.hears_again("WATCHDOG=1");
    assert_eq!(manager.count("STOPPING=1"), 0, "the service did not stop");
    agent.signal("-TERM");
    wait::until("it ends", || !runs(agent.pid()));
    assert_eq!(manager.count("STOPPING=1"), 1);
}

#[test]
fn during_a_trial_the_watchdog_gives_the_signs_of_life_and_passes_a_hang_up_on_to_the_daemon() {
    let lab = Lab::new();
    open_trial(&lab);
    let manager = Manager::new(&lab);
    let agent = manager.start(&lab);
    let child = trial_of(&lab, &agent);
    wait::until("it is ready", || manager.count("READY=1") > 0);
    manager.hears_again("WATCHDOG=1");
    let environment = fs::read_to_string(format!("/proc/{child}/environ")).unwrap();
    for variable in ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"] {
        assert!(!environment.contains(variable), "{variable} is for the service's own process");
    }
    // A daemon that reads its configuration again opens its socket anew.
    fs::remove_file(lab.home.socket()).unwrap();
    agent.signal("-HUP");
    wait::until("the program on trial read its configuration again", || lab.home.socket().exists());
    assert_eq!(agent.child(), Some(child), "it lives on");
    manager.hears_again("WATCHDOG=1");
    assert_eq!(manager.count("RELOADING=1"), 1);
    assert_eq!(lab.state().trial.unwrap().exits, 0);
    assert_eq!(manager.count("STOPPING=1"), 0);
    agent.signal("-TERM");
    wait::until("both end", || !runs(agent.pid()) && !runs(child));
    assert_eq!(manager.count("STOPPING=1"), 1);
    assert!(lab.state().trial.is_some(), "the trial stays open");
}

#[test]
fn a_hang_up_before_the_program_on_trial_listens_does_not_end_it() {
    let lab = Lab::new();
    open_trial(&lab);
    let agent = lab.start();
    // From the first moment at which there is a child.
    wait::until("a child", || agent.child().is_some());
    for _ in 0..20 {
        agent.signal("-HUP");
        thread::sleep(Duration::from_millis(10));
    }
    let child = trial_of(&lab, &agent);
    assert_eq!(lab.state().trial.unwrap().exits, 0);
    assert!(runs(child) && runs(agent.pid()));
}

#[test]
fn a_person_goes_back_to_the_packaged_program_when_no_earlier_release_is_kept() {
    let lab = Lab::new();
    lab.on_trial("1.0", 1);
    let agent = lab.start();
    lab.wait_for(&agent, "1.0");
    lab.wait_for_report("1.0", InstallStep::Keep, ReasonCode::Done);
    let asked = Command::new(PACKAGED)
        .arg("--home")
        .arg(lab.home.path())
        .args(["rollback", "agent-updater"])
        .output()
        .unwrap();
    assert!(asked.status.success(), "{asked:?}");
    let packaged = Path::new(PACKAGED).canonicalize().unwrap();
    wait::until("the packaged program runs in the same process", || agent.program() == packaged);
    lab.wait_for_report("1.0", InstallStep::RollBack, ReasonCode::AskedLocally);
    let contacts = lab.site.contacts().len();
    wait::until("further contacts", || lab.site.contacts().len() >= contacts + 2);
    assert_eq!(lab.state(), SelfRecord::default(), "it is not installed again by itself");
    assert_eq!(agent.program(), packaged);
    let running = self_state::running(&lab.home).unwrap();
    assert_eq!(running.why, Why::Packaged);
    // The next release is another matter.
    lab.release("1.1", 2, Path::new(PACKAGED));
    wait::until("it is on trial", || lab.state().trial.is_some());
}

/// Stops the process of the test at a point, as a service manager would.
struct StopAt(&'static str);

impl Faults for StopAt {
    fn at(&self, point: &str) -> Result<(), Killed> {
        if point == self.0 {
            kill_process(getpid(), Signal::TERM).unwrap();
        }
        Ok(())
    }
}

#[test]
fn a_stop_between_two_programs_of_the_agent_is_not_lost() {
    for point in [DAEMON_BEGINS, WATCH_BEGINS, EXECUTES] {
        let lab = Lab::new();
        if point != DAEMON_BEGINS {
            // Ends with an error if it is executed: it has no command `run`.
            open_trial_of(&lab, Path::new("/bin/cat"));
        }
        if point == EXECUTES {
            let record = lab.state().confirmed(lab.site.agent().context.host.now());
            self_state::save(&lab.home, &SelfRecord { ended: None, ..record }).unwrap();
        }
        let before = lab.state();
        let mut agent = lab.site.agent();
        agent.context.host.faults = Arc::new(StopAt(point));
        let launched = async { tokio::time::timeout(Duration::from_secs(30), agent.launch(None)).await };
        let ended = lab.site.runtime.block_on(launched);
        assert!(matches!(ended, Ok(Ok(()))), "{point}: {ended:?}");
        assert_eq!(lab.state(), before, "{point}");
    }
}

#[test]
fn a_server_that_answers_only_by_its_list_counts_as_reachable() {
    let lab = Lab::new();
    let (new, way) = moved(&lab.site);
    send(&lab.site, &list(&lab.site, 1, vec![way]));
    lab.on_trial("1.0", 1);
    for path in ["contact", "healthz"] {
        lab.site.web.fail(path, Fault::Answer(503, Vec::new()), Times::Always);
    }
    new.fail("contact", Fault::Answer(503, Vec::new()), Times::Always);
    let agent = lab.start();
    wait::until("it is given back", || lab.state().trial.is_none());
    new.make_no_faults();
    lab.wait_for_report("1.0", InstallStep::RollBack, ReasonCode::AgentSilent);
    drop(agent);
}
