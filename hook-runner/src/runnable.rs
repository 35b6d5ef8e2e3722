//! Whether a program can be executed, found out without executing it: it is a file, whoever will run it may execute it, and
//! so it is with the interpreter that its first line names. Without such a line it is a binary, a text for a
//! shell, or of a format that root registered.
//!
//! Invariant: an interpreter is a program that runs with the hook's rights, so nobody else may be able to change it either.
//! Left out on purpose: what the system adds to permissions (access lists of another user, security modules), the libraries
//! of a binary, and what a hook itself starts.

use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::contents::{Contents, HEAD_BYTES};
use crate::env_line::{CannotTell, program_of};
use crate::ownership::{OwnershipError, ensure_not_writable_by_others};
use crate::registered::has_interpreter;
use crate::task::UserIds;
use rustix::fs::{Access, access};

/// Upper bound on interpreters that are scripts with an interpreter themselves, as the system has it.
const MAX_INTERPRETERS: usize = 5;
/// Programs whose first argument, if it is no option, is the script that they run.
const TAKES_A_SCRIPT: [&str; 9] = ["sh", "bash", "dash", "ash", "ksh", "zsh", "python3", "perl", "ruby"];

/// Why a program cannot be executed.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each says in its message what it is")]
pub enum NotRunnable {
    #[error("{0} is no file")]
    NoFile(PathBuf),
    #[error("{path} cannot be used")]
    Io {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error(
        "{path} (mode {mode:04o}) may not be executed by {by}; chmod +x it, and see that its disk is not mounted noexec"
    )]
    NotExecutable { path: PathBuf, mode: u32, by: String },
    #[error("{path} (mode {mode:04o}) may not be read by {by}, and a script has to be; chmod +r it")]
    NotReadable { path: PathBuf, mode: u32, by: String },
    #[error(
        "{by} may not enter {path} (mode {mode:04o}); chmod o+x it, or have the hook run as another user"
    )]
    NotEntered { path: PathBuf, mode: u32, by: String },
    #[error("the first line of {script} names {interpreter:?}, which cannot be its interpreter")]
    Interpreter {
        script: PathBuf,
        interpreter: PathBuf,
        #[source]
        source: Box<NotRunnable>,
    },
    #[error("the first line of {script} names {name:?}, which is in no folder of {search}; install it")]
    NotFound { script: PathBuf, name: String, search: String },
    #[error(
        "what the first line of {script} has env run cannot be told; have it name the interpreter itself"
    )]
    Env {
        script: PathBuf,
        #[source]
        source: CannotTell,
    },
    #[error("{0} is empty, so it does nothing; put it back as it was")]
    Empty(PathBuf),
    #[error(
        "{0} is neither a binary for this system nor a script, so it may be damaged; put it back as it was, or give a \
         script a first line such as #!/bin/sh"
    )]
    Unknown(PathBuf),
    #[error("the first line of {0} leads from interpreter to interpreter; name one that is a program")]
    TooDeep(PathBuf),
    #[error(transparent)]
    Ownership(OwnershipError),
}

/// Checks that a program with these arguments can be executed, by this process's user or by another; `search` is where a
/// hook finds programs by name.
///
/// # Errors
/// [`NotRunnable`], for the first thing that does not hold.
pub fn ensure_runnable(
    program: &Path,
    arguments: &[String],
    user: Option<UserIds>,
    search: &'static str,
) -> Result<(), NotRunnable> {
    let by = RunBy(user);
    ensure_program(program, by, search, 0)?;
    let name = program.file_name().unwrap_or_default();
    let script = arguments.first().map(Path::new).filter(|script| script.is_absolute());
    let Some(script) = script.filter(|_| TAKES_A_SCRIPT.iter().any(|known| name == *known)) else {
        return Ok(());
    };
    // One that lies in a release is not there yet.
    if script.to_string_lossy().contains('{') {
        return Ok(());
    }
    let found = by.find(script)?;
    by.ensure_may(script, &found, Access::READ_OK)
}

fn ensure_program(path: &Path, by: RunBy, search: &'static str, depth: usize) -> Result<(), NotRunnable> {
    if depth > MAX_INTERPRETERS {
        return Err(NotRunnable::TooDeep(path.to_owned()));
    }
    let found = by.find(path)?;
    by.ensure_may(path, &found, Access::EXEC_OK)?;
    let Some(head) = head_of(path)? else { return Ok(()) };
    let Some(line) = interpreter_line(&head) else {
        return match Contents::of(&head) {
            Contents::Binary | Contents::Text => Ok(()),
            Contents::Empty => Err(NotRunnable::Empty(path.to_owned())),
            Contents::Unknown if has_interpreter(path, &head) => Ok(()),
            Contents::Unknown => Err(NotRunnable::Unknown(path.to_owned())),
        };
    };
    by.ensure_may(path, &found, Access::READ_OK)?;
    let (interpreter, argument) = line.split_once([' ', '\t']).unwrap_or((line.as_str(), ""));
    let ensure_next = |next: &Path| {
        // Hooks run in the root folder.
        let next = Path::new("/").join(next);
        ensure_not_writable_by_others(&next)
            .map_err(NotRunnable::Ownership)
            .and_then(|()| ensure_program(&next, by, search, depth + 1))
            .map_err(|source| NotRunnable::Interpreter {
                script: path.to_owned(),
                interpreter: next.clone(),
                source: Box::new(source),
            })
    };
    ensure_next(Path::new(interpreter))?;
    if Path::new(interpreter).file_name().is_none_or(|name| name != "env") {
        return Ok(());
    }
    let named = program_of(argument.trim_matches([' ', '\t']))
        .map_err(|source| NotRunnable::Env { script: path.to_owned(), source })?;
    let (name, search) = (named.program, named.search.unwrap_or_else(|| search.to_owned()));
    // A name with a slash is a path.
    if name.contains('/') {
        return ensure_next(Path::new(&name));
    }
    let mut folders = search.split(':').map(|folder| Path::new("/").join(folder).join(&name));
    match folders.find(|candidate| candidate.is_file()) {
        Some(next) => ensure_next(&next),
        None => Err(NotRunnable::NotFound { script: path.to_owned(), name, search }),
    }
}

/// The first bytes of a program; `None` if only who runs it may read it.
fn head_of(path: &Path) -> Result<Option<Vec<u8>>, NotRunnable> {
    let mut head = Vec::new();
    let read = File::open(path).and_then(|file| file.take(HEAD_BYTES).read_to_end(&mut head));
    match read {
        Ok(_) => Ok(Some(head)),
        // A binary may be executable and not readable.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(None),
        Err(source) => Err(NotRunnable::Io { path: path.to_owned(), source }),
    }
}

/// What follows `#!` in the first line of a program; `None` if it has no such line.
fn interpreter_line(head: &[u8]) -> Option<String> {
    let line = head.strip_prefix(b"#!").and_then(|rest| rest.split(|byte| *byte == b'\n').next());
    let line = line.map(|line| String::from_utf8_lossy(line).trim_matches([' ', '\t']).to_owned());
    line.filter(|line| !line.is_empty())
}

/// Who runs a program; `None` is this process's user.
#[derive(Clone, Copy)]
struct RunBy(Option<UserIds>);

impl RunBy {
    /// A file, which whoever runs it can get to.
    fn find(self, path: &Path) -> Result<Metadata, NotRunnable> {
        let failed = |source| NotRunnable::Io { path: path.to_owned(), source };
        let real = fs::canonicalize(path).map_err(failed)?;
        let found = fs::metadata(&real).map_err(failed)?;
        if !found.is_file() {
            return Err(NotRunnable::NoFile(path.to_owned()));
        }
        for folder in real.ancestors().skip(1) {
            let entered = fs::metadata(folder).map_err(failed)?;
            if !self.may(&entered, 0o1) {
                let (path, mode) = (folder.to_owned(), entered.mode() & 0o7777);
                return Err(NotRunnable::NotEntered { path, mode, by: self.name() });
            }
        }
        Ok(found)
    }

    fn ensure_may(self, path: &Path, found: &Metadata, right: Access) -> Result<(), NotRunnable> {
        let is_execution = right == Access::EXEC_OK;
        // Asked of the system for this process, also where another user runs it: it knows of mounts without execution.
        if access(path, right).is_ok() && self.may(found, if is_execution { 0o1 } else { 0o4 }) {
            return Ok(());
        }
        let (path, mode, by) = (path.to_owned(), found.mode() & 0o7777, self.name());
        Err(if is_execution {
            NotRunnable::NotExecutable { path, mode, by }
        } else {
            NotRunnable::NotReadable { path, mode, by }
        })
    }

    /// By the mode alone; of this process's user the system is asked.
    fn may(self, found: &Metadata, bit: u32) -> bool {
        let Some(ids) = self.0.filter(|ids| ids.user != 0) else { return true };
        let shift = if found.uid() == ids.user {
            6
        } else if found.gid() == ids.group {
            3
        } else {
            0
        };
        (found.mode() >> shift) & bit != 0
    }

    fn name(self) -> String {
        match self.0 {
            Some(ids) => format!("the user {}", ids.user),
            None if rustix::process::geteuid().is_root() => "root".to_owned(),
            None => "the user of this program".to_owned(),
        }
    }
}

/// Checks that a user can enter the slot: otherwise the hook would fail with an unexplained "permission denied".
///
/// # Errors
/// What keeps them out, for people.
pub fn ensure_reachable_by_everybody(slot: &Path, user: &str) -> Result<(), String> {
    for folder in slot.ancestors() {
        let mode = folder.metadata().map(|found| found.mode()).unwrap_or(0);
        if mode & 0o001 == 0 {
            return Err(format!(
                "the test_load hook runs as {user}, who cannot enter {} (mode {:04o}); chmod o+x it, or \
                 have it run as another user",
                folder.display(),
                mode & 0o7777
            ));
        }
    }
    Ok(())
}
