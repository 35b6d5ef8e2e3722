//! What nothing below the runner may gain, and being told of the caller's end.
//!
//! Invariant: the runner keeps its user. A hook with another one cannot signal, stop, limit or trace it then, and the system
//! takes the death signal away only from whoever changes its user: this is done in the hook's own process, before the
//! hook's program is there. The calls are for one thread, so the runner has one only.

use std::io;

use rustix::process::{Pid, Resource, Rlimit, Signal, getppid, set_parent_process_death_signal, setrlimit};
use rustix::thread::{set_no_new_privs, set_thread_groups};

/// The signal by which the system tells of the caller's end. The runner has a handler for it.
const DEATH_SIGNAL: Signal = Signal::TERM;

/// Gives up, for this process and for ever for its children, what changing the user leaves: further groups, and more rights
/// by programs that give some. Where the system refuses that, no hook may run as another user.
pub(crate) fn give_up_further_rights() -> io::Result<()> {
    set_no_new_privs(true)?;
    Ok(set_thread_groups(&[])?)
}

/// Bounds the address space of this process, which needs little, and of each of its children.
pub(crate) fn bound_memory(bytes: u64) -> io::Result<()> {
    Ok(setrlimit(Resource::As, Rlimit { current: Some(bytes), maximum: Some(bytes) })?)
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
