//! Whose files a command makes: what root types for a service's home is done as the home's owner, so that the service can
//! read what comes of it.
//!
//! Invariant: rights are only ever given up, and the owner, who may be hostile, gets no hand on the process. It belongs to
//! the owner from then on and still has root's terminal, open files, memory and environment, so it must not be traceable.
//! A process that gives up its user stays closed to tracing until it starts another program; this one starts none.
//! The owner may exchange the home for a link while it is looked at, so links of other users on the way to it are refused.
//! Left out on purpose: commands that read or write files elsewhere in root's name, such as backups; and folders of another
//! user on the way to a home of root, which he can exchange: such a home is root's own choice.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, OFlags, fstat, openat, readlinkat};
use rustix::io::Errno;
use rustix::process::{DumpableBehavior, Gid, Uid, set_dumpable_behavior};
use rustix::thread::{capabilities, set_thread_groups, set_thread_res_gid, set_thread_res_uid};

/// Root types a command for a home that it cannot act for.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot act as the owner of {home}, to whom what this command makes must belong; type it as that user, with \
     `runuser --pty`"
)]
pub struct OwnerError {
    home: PathBuf,
    #[source]
    source: io::Error,
}

/// Whether a home was there when its owner was looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Presence {
    /// It was there; if this process was root, it acts as its owner now.
    Here,
    /// Root, which acts for nobody then, may make a home there, but must not open one: it can appear in the meantime.
    Absent,
}

/// Most links on the way to a home, as the system has it.
const MAX_LINKS: u32 = 40;

/// If this process is root and a folder belongs to another user, gives up all rights but that user's and its group's for
/// ever; else does nothing. Call it before a second thread is started, and start no other program afterwards.
///
/// # Errors
/// [`OwnerError`], also if a link on the way to the home belongs neither to root nor to the home's owner; end the process
/// then, some rights may be gone.
pub fn act_as_owner_of(home: &Path) -> Result<Presence, OwnerError> {
    let failed = |source| OwnerError { home: home.to_owned(), source };
    if !rustix::process::geteuid().is_root() {
        return Ok(Presence::Here);
    }
    let (user, group) = match owner_of(home) {
        Ok(owner) => owner,
        Err(error) if is_absence(&error) => return Ok(Presence::Absent),
        Err(error) => return Err(failed(error)),
    };
    if !user.is_root() {
        give_up_rights(user, group).map_err(failed)?;
    }
    Ok(Presence::Here)
}

/// User and group of the folder to which a path leads. Each step is looked at and taken in one, so that all that was looked
/// at is what led there.
fn owner_of(path: &Path) -> io::Result<(Uid, Gid)> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let open = |at: BorrowedFd<'_>, name: &OsStr| openat(at, name, flags, Mode::empty());
    let mut left = steps(path);
    let mut at = open(CWD, OsStr::new("."))?;
    let (mut links, mut strangers) = (0, Vec::new());
    while let Some(step) = left.pop() {
        // As a folder first: one that is mounted when it is used is not, unless a folder is asked for.
        let next = match openat(&at, &step, flags | OFlags::DIRECTORY, Mode::empty()) {
            Err(Errno::NOTDIR) => open(at.as_fd(), &step)?,
            opened => opened?,
        };
        let found = fstat(&next)?;
        if FileType::from_raw_mode(found.st_mode) != FileType::Symlink {
            at = next;
            continue;
        }
        links += 1;
        if links > MAX_LINKS {
            return Err(Errno::LOOP.into());
        }
        if found.st_uid != 0 {
            strangers.push(found.st_uid);
        }
        let target = readlinkat(&next, "", Vec::new())?.into_bytes();
        left.extend(steps(Path::new(&OsString::from_vec(target))));
    }
    let found = fstat(&at)?;
    match strangers.into_iter().find(|user| *user != found.st_uid) {
        None => Ok((Uid::from_raw(found.st_uid), Gid::from_raw(found.st_gid))),
        Some(user) => Err(io::Error::other(format!(
            "a link of the user {user} leads to it, and it belongs to another user; name the folder itself"
        ))),
    }
}

/// Whether a path leads nowhere.
fn is_absence(error: &io::Error) -> bool {
    Errno::from_io_error(error)
        .is_some_and(|errno| [Errno::NOENT, Errno::NOTDIR, Errno::LOOP].contains(&errno))
}

/// The steps of a path, the first at the end. A step of `/` leads to the root folder from wherever it is taken.
fn steps(path: &Path) -> Vec<OsString> {
    path.components().rev().map(|step| step.as_os_str().to_owned()).collect()
}

fn give_up_rights(user: Uid, group: Gid) -> io::Result<()> {
    // The system's calls are for one thread; another one would stay root.
    if fs::read_dir("/proc/self/task")?.count() != 1 {
        return Err(io::Error::other("the process has more than one thread"));
    }
    // Before the user changes, so that there is no moment in which the owner could attach.
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    set_thread_groups(&[])?;
    set_thread_res_gid(group, group, group)?;
    set_thread_res_uid(user, user, user)?;
    // A container may have told the system to leave capabilities to who is not root any more.
    let left = capabilities(None)?;
    if !left.effective.is_empty() || !left.permitted.is_empty() {
        return Err(io::Error::other("rights of root are left"));
    }
    Ok(())
}
