//! The child of the watchdog: how it is started, asked to end, and what it says.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};

use crate::platform::process::catches;
use crate::platform::program::OWN_PROGRAM;

/// The option by which the watchdog tells its child that it is to execute the program that is on trial.
pub(super) const TRIAL_OPTION: &str = "--trial-of";

/// The variables by which a service manager says where and how it wants to be told. The child must not see them: it would
/// speak for the service, and the manager listens to its own process only.
const OF_THE_MANAGER: [&str; 3] = ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"];

/// How this process was called, as far as the programs that follow it need it.
#[derive(Debug, Clone)]
pub struct OwnCommand {
    pub home: PathBuf,
    /// The configuration that a person named.
    pub config: Option<PathBuf>,
}

impl OwnCommand {
    /// The arguments of the daemon.
    #[must_use]
    pub fn arguments(&self) -> Vec<OsString> {
        let mut arguments = vec![OsString::from("--home"), self.home.clone().into()];
        if let Some(config) = &self.config {
            arguments.extend([OsString::from("--config"), config.clone().into()]);
        }
        arguments.push("run".into());
        arguments
    }
}

/// A process that executes the program that is on trial. Killed when it is dropped, and by the kernel when this process
/// ends.
#[derive(Debug)]
pub(super) struct TrialChild {
    child: Child,
    pid: u32,
}

impl TrialChild {
    /// Starts it: this same program, which checks the other one and executes it in its place. That way it is tied to
    /// this process before the new program can do anything about it. The kernel ties it to this very thread, so that has
    /// to be one that lives as long as the process.
    pub(super) fn start(own: &OwnCommand) -> io::Result<Self> {
        let mut command = Command::new(OWN_PROGRAM);
        command
            .args(own.arguments())
            .args([OsString::from(TRIAL_OPTION), std::process::id().to_string().into()])
            .stdin(Stdio::null())
            .kill_on_drop(true);
        for variable in OF_THE_MANAGER {
            command.env_remove(variable);
        }
        let child = command.spawn()?;
        let pid = child.id().ok_or(io::ErrorKind::NotFound)?;
        Ok(Self { child, pid })
    }

    pub(super) const fn pid(&self) -> u32 {
        self.pid
    }

    /// Waits until it ends.
    pub(super) async fn ended(&mut self) -> io::Result<ExitStatus> {
        self.child.wait().await
    }

    /// Tells it to read its configuration again; `false` while it does not listen to that yet, which would end it. It
    /// reads the configuration of that moment when it begins.
    pub(super) fn reload(&self) -> bool {
        let listens = catches(self.pid, Signal::HUP);
        if listens {
            self.signal(Signal::HUP);
        }
        listens
    }

    /// Asks it to end, and kills it if it does not within the time: its journal leads on from wherever it was. Only this
    /// process is ended, and nothing that a hook of it started.
    pub(super) async fn stop(&mut self, within: Duration) -> io::Result<()> {
        self.signal(Signal::TERM);
        match tokio::time::timeout(within, self.child.wait()).await {
            Ok(ended) => ended.map(drop),
            Err(_) => self.child.kill().await,
        }
    }

    fn signal(&self, signal: Signal) {
        let id = self.child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        if let Some(id) = id {
            // It may have ended by itself.
            let _ = kill_process(id, signal);
        }
    }
}
