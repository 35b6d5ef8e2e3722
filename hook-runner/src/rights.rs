//! Giving up rights, and being told of the caller's end.
//!
//! Invariant: rights first, then the death signal: the system takes the signal away from whoever changes its user. The
//! calls are for one thread, so the runner has one only.

use std::io;

use rustix::process::{
    DumpableBehavior, Gid, Pid, Signal, Uid, getppid, set_dumpable_behavior, set_parent_process_death_signal,
};
use rustix::thread::{set_no_new_privs, set_thread_groups, set_thread_res_gid, set_thread_res_uid};

use crate::task::UserIds;

/// The signal by which the system tells of the caller's end. The runner has a handler for it.
const DEATH_SIGNAL: Signal = Signal::TERM;

/// Gives up all rights but a user's, for ever, for this process and its children. The process cannot be traced with that
/// user's rights: it still has its caller's files and memory.
pub(crate) fn give_up(ids: UserIds) -> io::Result<()> {
    let (user, group) = (Uid::from_raw(ids.user), Gid::from_raw(ids.group));
    set_no_new_privs(true)?;
    set_thread_groups(&[])?;
    set_thread_res_gid(group, group, group)?;
    set_thread_res_uid(user, user, user)?;
    Ok(set_dumpable_behavior(DumpableBehavior::NotDumpable)?)
}

/// The process whose end is this one's end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Parent(Option<Pid>);

impl Parent {
    /// Asks the system for a signal at the end of the parent.
    pub(crate) fn watch(pid: u32) -> io::Result<Self> {
        set_parent_process_death_signal(Some(DEATH_SIGNAL))?;
        Ok(Self(i32::try_from(pid).ok().and_then(Pid::from_raw)))
    }

    /// Whether it is there. Asked also after [`Parent::watch`]: one that had ended before gives no signal.
    pub(crate) fn is_there(self) -> bool {
        self.0.is_some() && getppid() == self.0
    }
}
