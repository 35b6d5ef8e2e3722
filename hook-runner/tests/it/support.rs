//! Hooks that are lines of shell, the processes that they leave, and a caller that can be killed.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use sealpost_hook_runner::{Finished, Leftovers, Runner, Task, UserIds};
use sealpost_test_support::wait;
use tempfile::TempDir;

pub(crate) const LONG: Duration = Duration::from_secs(60);
pub(crate) const NOBODY: UserIds = UserIds { user: 65_534, group: 65_534 };
/// A variable of the caller's process.
const TASK: &str = "SEALPOST_TEST_TASK";
/// A variable of a hook, by which all its processes are found.
const MARK: &str = "SEALPOST_TEST_MARK";

pub(crate) fn runner() -> Runner {
    Runner { program: env!("CARGO_BIN_EXE_hook-runner").into(), arguments: Vec::new() }
}

pub(crate) fn task(script: &str, time_limit: Duration, leftovers: Leftovers) -> Task {
    Task {
        program: "/bin/sh".into(),
        arguments: vec!["-c".into(), script.into()],
        environment: vec![("PATH".to_owned(), "/usr/bin:/bin".into())],
        folder: "/".into(),
        user: None,
        time_limit,
        memory_bytes: None,
        leftovers,
    }
}

pub(crate) fn shell(script: &str, time_limit: Duration, leftovers: Leftovers) -> Finished {
    runner().run(&task(script, time_limit, leftovers)).unwrap()
}

/// Whether this test is root, which it needs to become somebody else.
pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root() || skipped("root")
}

/// Says loudly that a test is skipped; where nothing may be skipped, it fails.
pub(crate) fn skipped(needed: &str) -> bool {
    sealpost_test_support::skips::needs(needed).unwrap();
    false
}

/// A folder for the files of a hook, and its processes. What is left of them is killed when this is dropped.
pub(crate) struct Scene {
    folder: TempDir,
    mark: String,
}

impl Scene {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
        let mark = folder.path().to_str().unwrap().to_owned();
        Self { folder, mark }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A program in this folder, of lines of shell.
    pub(crate) fn script(&self, name: &str, text: &str) {
        fs::write(self.path(name), format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// A task in this folder.
    pub(crate) fn task(&self, script: &str, time_limit: Duration, leftovers: Leftovers) -> Task {
        let mut task = task(script, time_limit, leftovers);
        task.folder = self.folder.path().into();
        task.environment.push((MARK.to_owned(), self.mark.clone().into()));
        task
    }

    /// A process that calls the runner for a task, and can be killed.
    pub(crate) fn caller(&self, task: &Task) -> Child {
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "support::acts_as_the_caller", "--nocapture"])
            .env(TASK, serde_json::to_string(task).unwrap())
            .stdout(Stdio::null())
            .spawn()
            .unwrap()
    }

    /// Waits for a file that a hook makes, whole, and returns the process number in it.
    pub(crate) fn pid(&self, name: &str) -> Pid {
        let path = self.path(name);
        wait::until(&format!("{name} is there"), || path.exists());
        Pid::from_raw(fs::read_to_string(path).unwrap().trim().parse().unwrap()).unwrap()
    }

    /// All processes of the hooks of this scene that are not ended.
    pub(crate) fn processes(&self) -> Vec<Pid> {
        let is_of_it = |pid: &Pid| {
            let environment = fs::read(format!("/proc/{}/environ", pid.as_raw_pid())).unwrap_or_default();
            environment.split(|byte| *byte == 0).any(|one| one == format!("{MARK}={}", self.mark).as_bytes())
        };
        let entries = fs::read_dir("/proc").unwrap();
        let pids = entries.filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok());
        pids.filter_map(Pid::from_raw).filter(is_of_it).collect()
    }

    pub(crate) fn wait_until_nothing_is_left(&self) {
        wait::until("nothing of the hook is left", || self.processes().is_empty());
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        for pid in self.processes() {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

/// A runner whose order and parent a test makes up: the test holds the socket, which so never ends.
pub(crate) struct Bare {
    socket: UnixStream,
    pub(crate) parent: Child,
    runner: u32,
}

impl Bare {
    pub(crate) fn new() -> Self {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let mut parent = Command::new("/bin/sh")
            .args([
                "-c",
                "exec 3<&0; \"$0\" <&3 3<&- > /dev/null 2>&1 & echo $!; exec 3<&- < /dev/null; wait",
                &runner().program.to_string_lossy(),
            ])
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(parent.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self { socket: ours, parent, runner: line.trim().parse().unwrap() }
    }

    pub(crate) fn order(&mut self, parent: u32, task: &Task) {
        let order = serde_json::json!({ "parent": parent, "task": task });
        self.socket.write_all(format!("{order}\n").as_bytes()).unwrap();
    }

    /// A line of the runner.
    pub(crate) fn answer(&self) -> String {
        let mut line = String::new();
        BufReader::new(&self.socket).read_line(&mut line).unwrap();
        line
    }

    pub(crate) fn wait_for_end(&self) {
        let runner = Pid::from_raw(self.runner.try_into().unwrap()).unwrap();
        wait::until("the runner ends", || !is_running(runner));
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        let _ = self.parent.kill();
        let _ = self.parent.wait();
    }
}

/// A line of shell that starts a process for good, which writes its number into a file of the working folder: in a session
/// of its own, and with no parent but the first that takes in orphans.
pub(crate) fn let_go(name: &str) -> String {
    format!("(setsid /bin/sh -c '{}' > /dev/null 2>&1 &)", stays(name))
}

/// A line of shell that writes its process number into a file of the working folder, and stays.
pub(crate) fn stays(name: &str) -> String {
    format!("echo $$ > {name}.new; mv {name}.new {name}; exec sleep 1000")
}

pub(crate) fn is_running(pid: Pid) -> bool {
    let stat = fs::read(Path::new("/proc").join(pid.as_raw_pid().to_string()).join("stat"));
    // The state follows the closing parenthesis of the name; a zombie does not run.
    let state = stat.ok().and_then(|stat| stat.rsplit(|byte| *byte == b')').next()?.get(1).copied());
    state.is_some_and(|state| !b"ZX".contains(&state))
}

/// Other tests start this one as a process of its own, with a task; without one it is idle.
#[test]
fn acts_as_the_caller() {
    let Ok(task) = std::env::var(TASK) else { return };
    runner().run(&serde_json::from_str(&task).unwrap()).unwrap();
}
