//! Whose files a command makes: what root types for a service's home is done as the home's owner, so that the service can
//! read what comes of it.
//!
//! Invariant: rights are only ever given up, and the owner, who may be hostile, gets no hand on the process. It belongs to
//! the owner from then on and still has root's terminal, open files, memory and environment, so it must not be traceable.
//! A process that gives up its user stays closed to tracing until it starts another program; this one starts none.
//! Left out on purpose: commands that read or write files elsewhere in root's name, such as backups.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

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

/// If this process is root and a folder belongs to another user, gives up all rights but that user's and its group's for
/// ever; else does nothing. Call it before a second thread is started, and start no other program afterwards.
///
/// # Errors
/// [`OwnerError`]; end the process then, some rights may be gone.
pub fn act_as_owner_of(home: &Path) -> Result<(), OwnerError> {
    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    // A home that is not there is reported by whoever opens it.
    let Ok(owner) = fs::metadata(home) else { return Ok(()) };
    if owner.uid() == 0 {
        return Ok(());
    }
    give_up_rights(Uid::from_raw(owner.uid()), Gid::from_raw(owner.gid()))
        .map_err(|source| OwnerError { home: home.to_owned(), source })
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
