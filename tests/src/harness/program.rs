//! The built programs, commands that end, and daemons that do not.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use sealpost_test_support::wait::{PATIENCE, until_some};

use super::wait::wait_until;
use super::workspace::{lock, target_folder, workspace};

/// Where Debian and its relatives keep libfaketime for programs with threads; the loader knows `$LIB`.
const FAKE_TIME: &str = "/usr/$LIB/faketime/libfaketimeMT.so.1";
/// A computer whose clock is wrong still counts seconds rightly, and its files have the times that they have.
const CLOCK_ONLY: [(&str, &str); 2] = [("FAKETIME_DONT_FAKE_MONOTONIC", "1"), ("NO_FAKE_STAT", "1")];
/// Between two looks whether a command has ended.
const GLANCE: Duration = Duration::from_millis(10);

/// Where the built programs are, and what their clock says.
#[derive(Debug, Clone)]
pub struct Programs {
    folder: PathBuf,
    /// Of libfaketime: `+40d`, or `@2000-01-01 00:00:00`.
    clock: Option<String>,
}

impl Programs {
    /// The folder that `SEALPOST_PROGRAMS` names, or freshly built ones.
    ///
    /// # Errors
    /// When they do not build, or are not there.
    pub fn find() -> Result<Self> {
        let folder = match std::env::var_os("SEALPOST_PROGRAMS") {
            Some(folder) => PathBuf::from(folder),
            None => {
                let folder = target_folder().join("e2e");
                let _one_at_a_time = lock("build-programs")?;
                let built = Command::new(workspace().join("tests/build-programs")).arg(&folder).status();
                if !built.context("cannot start tests/build-programs")?.success() {
                    bail!("the programs do not build; run tests/build-programs and look at its errors");
                }
                folder
            }
        };
        let programs = Self { folder, clock: None };
        // The agent with fault points is asked for by those who start it: a release build, for a figure, has none.
        for name in ["publisher", "distributor", "agent-updater"] {
            if !programs.path(name).is_file() {
                bail!("{} is missing; run tests/build-programs", programs.path(name).display());
            }
        }
        Ok(programs)
    }

    /// The folder that they lie in.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The path of one.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Sets the clock that the programs see from their next start on; `None` is the right one.
    pub fn set_clock(&mut self, clock: Option<&str>) {
        self.clock = clock.map(str::to_owned);
    }

    /// A command with an environment that no variable of the person at the keyboard leaks into.
    #[must_use]
    pub fn command(&self, name: &str) -> Command {
        let mut command = Command::new(self.path(name));
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).stdin(Stdio::null());
        if let Some(clock) = &self.clock {
            command.env("LD_PRELOAD", FAKE_TIME).env("FAKETIME", clock).envs(CLOCK_ONLY);
        }
        command
    }
}

/// What a command that ended has left.
#[derive(Debug, Clone)]
pub struct Output {
    /// The command, for messages.
    pub command: String,
    /// How it ended.
    pub status: ExitStatus,
    /// What it printed.
    pub stdout: String,
    /// What it complained about.
    pub stderr: String,
}

impl Output {
    /// What it printed, if it ended with 0.
    ///
    /// # Errors
    /// When it ended otherwise.
    pub fn ok(self) -> Result<String> {
        if !self.status.success() {
            bail!("{} ended with {}\n{}{}", self.command, self.status, self.stdout, self.stderr);
        }
        Ok(self.stdout)
    }

    /// What it printed, read as JSON.
    ///
    /// # Errors
    /// When it did not end with 0, or did not print JSON.
    pub fn json(self) -> Result<serde_json::Value> {
        let command = self.command.clone();
        let text = self.ok()?;
        serde_json::from_str(&text).with_context(|| format!("{command} printed no JSON: {text}"))
    }

    /// What it complained about, if it ended with 1: a refusal, not a wrong usage and not a crash.
    ///
    /// # Errors
    /// When it ended otherwise.
    pub fn refused(self) -> Result<String> {
        if self.status.code() != Some(1) {
            bail!(
                "{} was to be refused, but ended with {}\n{}{}",
                self.command,
                self.status,
                self.stdout,
                self.stderr
            );
        }
        Ok(self.stderr)
    }

    /// Everything that it said.
    #[must_use]
    pub fn text(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }
}

/// Runs a command to its end, which it must reach in bounded time.
///
/// # Errors
/// When it cannot be started, or does not end.
pub fn run(mut command: Command) -> Result<Output> {
    let shown = format!("{command:?}");
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {shown}"))?;
    let stdout = collect(child.stdout.take());
    let stderr = collect(child.stderr.take());
    let Some(status) = until_some(GLANCE, || child.try_wait())? else {
        child.kill()?;
        child.wait()?;
        bail!("{shown} did not end within {} s", PATIENCE.as_secs());
    };
    let text = |reader: thread::JoinHandle<String>| reader.join().unwrap_or_default();
    Ok(Output { command: shown, status, stdout: text(stdout), stderr: text(stderr) })
}

fn collect(pipe: Option<impl Read + Send + 'static>) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            // A cut pipe leaves what came before it, which is what a failing test wants to show.
            let _ = pipe.read_to_end(&mut bytes);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// A running program. Killed when it is dropped.
#[derive(Debug)]
pub struct Daemon {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Daemon {
    /// Starts a program and waits until a line of its output begins with `ready`.
    ///
    /// # Errors
    /// When it cannot be started, ends, or never gets ready.
    pub fn start(mut command: Command, name: &str, log: &Path, ready: &str) -> Result<(Self, String)> {
        // A new log for every start: the ready line of an earlier start must not be taken for this one's.
        let output = File::create(log).with_context(|| format!("cannot create {}", log.display()))?;
        let child = command
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .with_context(|| format!("cannot start {command:?}"))?;
        let mut daemon = Self { name: name.to_owned(), child, log: log.to_owned() };
        let mut line = String::new();
        wait_until(&format!("{name} says {ready:?}"), || {
            let text = daemon.log()?;
            if let Some(found) = text.lines().find(|line| line.starts_with(ready)) {
                found.clone_into(&mut line);
                return Ok(true);
            }
            if let Some(status) = daemon.child.try_wait()? {
                bail!("{} ended with {status} before it was ready:\n{text}", daemon.name);
            }
            Ok(false)
        })?;
        Ok((daemon, line))
    }

    /// What it said so far.
    ///
    /// # Errors
    /// When its log cannot be read.
    pub fn log(&self) -> Result<String> {
        let bytes = fs::read(&self.log).with_context(|| format!("cannot read {}", self.log.display()))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Anonymous memory that it holds now, in KiB: what is its own, and not a file's.
    ///
    /// # Errors
    /// When it has ended, or this is not Linux.
    pub fn anonymous_kib(&self) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).context("no RssAnon")?;
        Ok(line.trim().trim_end_matches("kB").trim().parse()?)
    }

    /// Tells it to read its configuration again.
    ///
    /// # Errors
    /// When it is gone.
    pub fn reload(&self) -> Result<()> {
        let pid = Pid::from_raw(self.child.id().try_into()?).context("a process id")?;
        Ok(kill_process(pid, Signal::HUP)?)
    }

    /// Whether it has ended.
    ///
    /// # Errors
    /// The system's.
    pub fn has_ended(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_some())
    }

    /// Kills it as a power cut would: no signal handler runs.
    ///
    /// # Errors
    /// When it is gone already.
    pub fn kill_9(mut self) -> Result<()> {
        if let Some(status) = self.child.try_wait()? {
            bail!("{} was to be killed, but had ended with {status}:\n{}", self.name, self.log()?);
        }
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Asks it to end, and waits until it did so cleanly.
    ///
    /// # Errors
    /// When it does not end with 0.
    pub fn stop(mut self) -> Result<()> {
        kill_process(Pid::from_child(&self.child), Signal::TERM)?;
        let mut ended = None;
        wait_until(&format!("{} ends after SIGTERM", self.name), || {
            ended = self.child.try_wait()?;
            Ok(ended.is_some())
        })?;
        match ended {
            Some(status) if status.success() => Ok(()),
            status => bail!("{} ended with {status:?} after SIGTERM:\n{}", self.name, self.log()?),
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            let log = self.log().unwrap_or_default();
            let tail: Vec<&str> = log.lines().rev().take(40).collect();
            eprintln!("--- the end of the log of {}", self.name);
            for line in tail.iter().rev() {
                eprintln!("{line}");
            }
        }
    }
}
