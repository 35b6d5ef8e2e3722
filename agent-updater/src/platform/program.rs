//! Programs of the agent itself: which one this process runs, whether a file may be executed, and executing it in the
//! place of this process.
//!
//! Invariant: what was checked is what is executed: a program is opened once, its owner, mode and bytes are checked
//! through the open file, and that file is executed. Nobody but root and the agent can change it, nor the way to it.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::OFlags;
use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};
use sealpost_manifests::digest::Sha256Digest;

use super::ownership::{OwnershipError, ensure_not_writable_by_others, is_trusted_owner};

/// The program of this process, whatever became of its name.
pub const OWN_PROGRAM: &str = "/proc/self/exe";

/// What a binary program begins with.
const ELF: &[u8; 4] = b"\x7fELF";

/// Why a program is not executed.
#[derive(Debug, thiserror::Error)]
pub enum ProgramError {
    #[error("{0} is not safe to execute")]
    Ownership(PathBuf, #[source] OwnershipError),
    #[error("cannot use {path}")]
    Io {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{0} is not an executable file that belongs to root or the agent alone")]
    NotExecutable(PathBuf),
    #[error("{0} is not the program that was signed")]
    Changed(PathBuf),
}

/// A checked program, open.
#[derive(Debug)]
pub struct OpenProgram {
    file: File,
    path: PathBuf,
}

/// Whether a path names the program that this process runs.
#[must_use]
pub fn is_own(path: &Path) -> bool {
    let (Ok(own), Ok(other)) = (fs::metadata(OWN_PROGRAM), fs::metadata(path)) else { return false };
    (own.dev(), own.ino()) == (other.dev(), other.ino())
}

/// The path of the program of this process. Where it was replaced meanwhile, that of what took its place.
///
/// # Errors
/// The system's.
pub fn own_path() -> io::Result<PathBuf> {
    let path = fs::read_link(OWN_PROGRAM)?;
    let name = path.as_os_str().as_bytes();
    let name = name.strip_suffix(b" (deleted)").unwrap_or(name);
    Ok(PathBuf::from(OsStr::from_bytes(name)))
}

/// The digest of a program's bytes; of [`OWN_PROGRAM`], those that run.
///
/// # Errors
/// The system's.
pub fn digest(path: &Path) -> io::Result<Sha256Digest> {
    Ok(Sha256Digest::of_reader(File::open(path)?)?.0)
}

/// Opens a program and checks it.
///
/// # Errors
/// [`ProgramError`].
pub fn open(path: &Path, sha256: &Sha256Digest) -> Result<OpenProgram, ProgramError> {
    let program = open_unsigned(path)?;
    let (found, _) = Sha256Digest::of_reader(&program.file)
        .map_err(|source| ProgramError::Io { path: path.to_owned(), source })?;
    if found != *sha256 {
        return Err(ProgramError::Changed(path.to_owned()));
    }
    Ok(program)
}

/// Opens a program that the operating system's package installed, of which nobody signed a digest for the agent; its owner
/// and mode are checked.
///
/// # Errors
/// [`ProgramError`].
pub fn open_unsigned(path: &Path) -> Result<OpenProgram, ProgramError> {
    let failed = |source| ProgramError::Io { path: path.to_owned(), source };
    ensure_not_writable_by_others(path).map_err(|error| ProgramError::Ownership(path.to_owned(), error))?;
    // Not blocking, so that a pipe in the place of the program cannot hang the agent.
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(i32::try_from(flags.bits()).unwrap_or(0));
    let file = options.open(path).map_err(failed)?;
    let found = file.metadata().map_err(failed)?;
    let is_ours = is_trusted_owner(found.uid()) && found.mode() & 0o022 == 0;
    if !found.is_file() || !is_ours || found.mode() & 0o111 == 0 {
        return Err(ProgramError::NotExecutable(path.to_owned()));
    }
    Ok(OpenProgram { file, path: path.to_owned() })
}

impl OpenProgram {
    /// A path of the open file itself, for a child of this process.
    #[must_use]
    pub fn path_of_file(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.file.as_raw_fd()))
    }

    /// Whether it is a binary program. A script is none that can take the place of this process: its interpreter would
    /// open it by a descriptor that is closed by then.
    #[must_use]
    pub fn is_binary(&self) -> bool {
        let mut head = [0; ELF.len()];
        self.file.read_exact_at(&mut head, 0).is_ok() && head == *ELF
    }

    /// A path of the open file itself, for children of a child too.
    #[must_use]
    pub fn path_for_others(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}/fd/{}", std::process::id(), self.file.as_raw_fd()))
    }

    /// Executes it in the place of this process, which keeps its id; returns only if that fails. A variable without a value
    /// is taken out of its environment.
    #[must_use]
    pub fn execute(&self, arguments: &[OsString], variables: &[(&str, Option<&OsStr>)]) -> ProgramError {
        let mut command = Command::new(self.path_of_file());
        command.arg0(&self.path).args(arguments);
        for (variable, value) in variables {
            match value {
                Some(value) => command.env(variable, value),
                None => command.env_remove(variable),
            };
        }
        let source = command.exec();
        ProgramError::Io { path: self.path.clone(), source }
    }
}

/// Lets the kernel kill this process when its parent ends, also after it executed another program.
///
/// # Errors
/// The system's; and when the parent has ended already, or is another one.
pub fn die_with_parent(parent: u32) -> io::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    // A parent that ended before the line above is noticed here.
    let expected = i32::try_from(parent).ok().and_then(Pid::from_raw);
    if expected.is_some() && getppid() == expected {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::NotFound, "the watchdog has ended"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn copy_of(program: &str) -> (tempfile::TempDir, PathBuf, Sha256Digest) {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let path = folder.path().join("program");
        fs::copy(program, &path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o555)).unwrap();
        let digest = Sha256Digest::of(&fs::read(&path).unwrap());
        (folder, path, digest)
    }

    #[test]
    fn what_was_checked_is_what_is_executed_whatever_takes_its_name_meanwhile() {
        let (folder, path, digest) = copy_of("/bin/true");
        let program = open(&path, &digest).unwrap();
        fs::remove_file(&path).unwrap();
        fs::copy("/bin/false", folder.path().join("program")).unwrap();
        assert!(Command::new(program.path_of_file()).status().unwrap().success());
        assert!(Command::new(program.path_for_others()).status().unwrap().success());
        assert!(matches!(open(&path, &digest), Err(ProgramError::Changed(_))));
    }

    #[test]
    fn a_changed_writable_linked_or_missing_program_is_not_executed() {
        let (folder, path, digest) = copy_of("/bin/true");
        assert!(matches!(open(&path, &Sha256Digest::of(b"x")), Err(ProgramError::Changed(_))));
        let link = folder.path().join("link");
        symlink(&path, &link).unwrap();
        assert!(matches!(open(&link, &digest), Err(ProgramError::Io { .. })));
        let with_mode = |mode| {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            open(&path, &digest)
        };
        assert!(matches!(with_mode(0o444), Err(ProgramError::NotExecutable(_))));
        assert!(matches!(with_mode(0o775), Err(ProgramError::Ownership(..))));
        assert!(with_mode(0o555).is_ok());
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
        assert!(matches!(open(&path, &digest), Err(ProgramError::Ownership(..))));
        assert!(matches!(open(Path::new("/nonexistent"), &digest), Err(ProgramError::Ownership(..))));
    }

    #[test]
    fn a_process_knows_its_own_program_by_any_of_its_names() {
        let bytes = fs::read(std::env::current_exe().unwrap()).unwrap();
        assert_eq!(digest(Path::new(OWN_PROGRAM)).unwrap(), Sha256Digest::of(&bytes));
        assert!(is_own(&std::env::current_exe().unwrap()));
        assert!(!is_own(Path::new("/bin/true")) && !is_own(Path::new("/nonexistent")));
    }
}
