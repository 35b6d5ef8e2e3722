//! Programs of the system, run for a bounded time, and files that are laid only where they are of use.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use sealpost_files::{Unfinished, make_folder, sync_parent};

use super::order::FirstInstallError;

/// The longest that a command of the system may take: a service that starts says so within this.
const WITHIN: Duration = Duration::from_secs(120);
/// The longest that a program may take to say its version.
const VERSION_WITHIN: Duration = Duration::from_secs(10);
/// Most that is read of what a command says, in bytes.
const MAX_SAID: u64 = 16 * 1024;
const TURN: Duration = Duration::from_millis(20);

/// Where systemd says that it runs the computer.
const SYSTEMD_RUNS: &str = "run/systemd/system";

/// Whether systemd runs the computer whose root this is. A root that is not `/` is a folder, and nothing runs in it.
pub(super) fn has_systemd(system: &Path) -> bool {
    system == Path::new("/") && system.join(SYSTEMD_RUNS).is_dir()
}

/// Whether systemd says yes.
pub(super) fn systemctl_says(arguments: &[&str]) -> bool {
    run("systemctl", arguments, WITHIN).is_ok_and(|(good, _)| good)
}

/// Has systemd do something.
pub(super) fn systemctl(arguments: &[&str]) -> Result<(), FirstInstallError> {
    let command = format!("systemctl {}", arguments.join(" "));
    match run("systemctl", arguments, WITHIN) {
        Ok((true, _)) => Ok(()),
        Ok((false, said)) => Err(FirstInstallError::Command { command, said }),
        Err(error) => Err(FirstInstallError::Command { command, said: error.to_string() }),
    }
}

/// The version that a program of ours says that it has; `None` if it does not run here, or is another program.
pub(super) fn version_of(program: &Path) -> Option<String> {
    let (good, said) = run(program.as_os_str(), &["--version"], VERSION_WITHIN).ok()?;
    let version = said.trim().strip_prefix("agent-updater ")?;
    (good && version.len() <= 64 && !version.contains(char::is_control)).then(|| version.to_owned())
}

/// Whether a command ended well, and what it said, of which the beginning is kept.
fn run(
    program: impl AsRef<std::ffi::OsStr>,
    arguments: &[&str],
    within: Duration,
) -> io::Result<(bool, String)> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn()?;
    let until = Instant::now() + within;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if Instant::now() > until {
            child.kill()?;
            child.wait()?;
            return Err(io::Error::new(
                io::ErrorKind::TimedOut,
                format!("it took longer than {} s", within.as_secs()),
            ));
        }
        sleep(TURN);
    };
    let mut said = Vec::new();
    if let Some(out) = child.stdout.take() {
        out.take(MAX_SAID).read_to_end(&mut said)?;
    }
    if let Some(errors) = child.stderr.take() {
        errors.take(MAX_SAID).read_to_end(&mut said)?;
    }
    Ok((status.success(), String::from_utf8_lossy(&said).trim().to_owned()))
}

/// Whether two files hold the same bytes; `false` if one of them cannot be read.
pub(super) fn are_same(one: &Path, other: &Path) -> bool {
    let same = || -> io::Result<bool> {
        if !(fs::metadata(one)?.is_file() && fs::symlink_metadata(other)?.is_file()) {
            return Ok(false);
        }
        let (mut one, mut other) = (File::open(one)?, File::open(other)?);
        if one.metadata()?.len() != other.metadata()?.len() {
            return Ok(false);
        }
        let (mut of_one, mut of_other) = (vec![0; 64 * 1024], vec![0; 64 * 1024]);
        loop {
            let read = one.read(&mut of_one)?;
            if read == 0 {
                return Ok(true);
            }
            let (Some(of_one), Some(of_other)) = (of_one.get(..read), of_other.get_mut(..read)) else {
                return Ok(false);
            };
            other.read_exact(of_other)?;
            if of_one != of_other {
                return Ok(false);
            }
        }
    };
    same().unwrap_or(false)
}

/// Copies a file to its place, whole or not at all, with the mode.
pub(super) fn lay(from: &Path, to: &Path, mode: u32) -> io::Result<()> {
    let folder = to.parent().ok_or(io::ErrorKind::InvalidFilename)?;
    make_folder(folder, 0o755)?;
    let mut file = Unfinished::new_in(folder)?;
    io::copy(&mut File::open(from)?, file.file_mut())?;
    file.finish(mode)?;
    file.replace(to)?;
    sync_parent(to)
}
