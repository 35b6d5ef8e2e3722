//! Programs of the system, run for a bounded time, and files that are laid only where they are of use.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use sealpost_files::{Unfinished, make_folder, sync_parent};
use sealpost_hook_runner::ownership::ensure_not_writable_by_others;
use sealpost_service::command::{Ended, run};
use sealpost_service::text::plain;

use super::order::FirstInstallError;

/// The longest that a command of the system may take: a service that starts says so within this.
const WITHIN: Duration = Duration::from_secs(120);
/// The longest that a program may take to say its version.
const VERSION_WITHIN: Duration = Duration::from_secs(10);
/// Most that is read of what a command says, in bytes.
const MAX_SAID: usize = 16 * 1024;

/// Where systemd says that it runs the computer.
const SYSTEMD_RUNS: &str = "run/systemd/system";

/// Whether systemd runs the computer whose root this is. A root that is not `/` is a folder, and nothing runs in it.
pub(super) fn has_systemd(system: &Path) -> bool {
    system == Path::new("/") && system.join(SYSTEMD_RUNS).is_dir()
}

/// Whether systemd says yes.
pub(super) fn systemctl_says(arguments: &[&str]) -> bool {
    run_systemctl(arguments).is_ok_and(|ended| ended.status.success())
}

/// Has systemd do something.
pub(super) fn systemctl(arguments: &[&str]) -> Result<(), FirstInstallError> {
    let said = match run_systemctl(arguments) {
        Ok(ended) if ended.status.success() => return Ok(()),
        Ok(ended) => plain(&format!("{} {}", ended.printed, ended.complained)).trim().to_owned(),
        Err(error) => error.to_string(),
    };
    Err(FirstInstallError::Command { command: format!("systemctl {}", arguments.join(" ")), said })
}

fn run_systemctl(arguments: &[&str]) -> io::Result<Ended> {
    let mut command = Command::new("systemctl");
    command.args(arguments);
    run(command, WITHIN, MAX_SAID)
}

/// The version that a program of ours says that it has; `None` if it is none, is a link, or does not run here. It is run for that,
/// so nobody else may have been able to write it.
///
/// # Errors
/// [`FirstInstallError::Ownership`] when others than root and the user of this process could.
pub(super) fn version_of(program: &Path) -> Result<Option<String>, FirstInstallError> {
    let is_program = fs::symlink_metadata(program)
        .is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0);
    if !is_program {
        return Ok(None);
    }
    ensure_not_writable_by_others(program)?;
    let mut command = Command::new(program);
    command.arg("--version");
    let Ok(ended) = run(command, VERSION_WITHIN, MAX_SAID) else { return Ok(None) };
    let version = ended.printed.strip_prefix("agent-updater ").filter(|version| {
        ended.status.success() && version.len() <= 64 && !version.contains(char::is_control)
    });
    Ok(version.map(str::to_owned))
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

/// Checks that others than root and the user of this process can lay nothing in the place of a file: neither in its folder nor, as
/// long as that is not there, in the nearest one above it that is.
///
/// # Errors
/// [`FirstInstallError::Place`] with the first folder that they can change.
pub(super) fn ensure_nobody_else_lays(file: &Path) -> Result<(), FirstInstallError> {
    let mut above = file.ancestors().skip(1);
    let nearest = above.find(|folder| fs::symlink_metadata(folder).is_ok()).unwrap_or(Path::new("/"));
    ensure_not_writable_by_others(nearest)
        .map_err(|source| FirstInstallError::Place { place: file.to_owned(), source })
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
