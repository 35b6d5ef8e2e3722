//! The real program as a child process, and what it prints.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use crate::site::Site;

pub(crate) struct Running {
    child: Child,
    pub(crate) url: String,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn distributor(home: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_distributor"));
    command.arg("--home").arg(home).env_remove("SEALPOST_DISTRIBUTOR_HOME").stdin(Stdio::null());
    command
}

pub(crate) fn run(home: &Path, arguments: &[&str]) -> Output {
    distributor(home).args(arguments).output().unwrap()
}

/// Exit code, standard output and standard error.
pub(crate) fn parts(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

pub(crate) fn stdout(home: &Path, arguments: &[&str]) -> String {
    let output = run(home, arguments);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{arguments:?}: {text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

/// What is typed beside a site that runs.
pub(crate) async fn typed<T: Send + 'static>(
    site: &Site,
    work: impl FnOnce(&Path) -> T + Send + 'static,
) -> T {
    let home = site.home();
    tokio::task::spawn_blocking(move || work(&home)).await.unwrap()
}

pub(crate) fn refused(home: &Path, arguments: &[&str]) -> String {
    let output = run(home, arguments);
    assert_eq!(output.status.code(), Some(1), "{arguments:?}");
    String::from_utf8(output.stderr).unwrap()
}

/// What is said of a command line that cannot be meant.
pub(crate) fn mistyped(home: &Path, arguments: &[&str]) -> String {
    let output = run(home, arguments);
    assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{arguments:?}");
    String::from_utf8(output.stderr).unwrap()
}

pub(crate) fn serve(home: &Path) -> Running {
    let mut command = distributor(home);
    command.args(["serve", "--listen", "127.0.0.1:0"]);
    running(command)
}

/// Starts a server by this command, and waits until it answers.
pub(crate) fn running(mut command: Command) -> Running {
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let url = line.trim().strip_prefix("listening on ").unwrap().to_owned();
    Running { child, url }
}

pub(crate) fn signal(running: &Running, signal: rustix::process::Signal) {
    let pid = i32::try_from(running.child.id()).unwrap();
    rustix::process::kill_process(rustix::process::Pid::from_raw(pid).unwrap(), signal).unwrap();
}

pub(crate) fn stop(mut running: Running) {
    signal(&running, rustix::process::Signal::TERM);
    assert!(running.child.wait().unwrap().success(), "SIGTERM is a clean end");
}

pub(crate) fn json(home: &Path, arguments: &[&str]) -> serde_json::Value {
    serde_json::from_str(&stdout(home, arguments)).unwrap()
}
