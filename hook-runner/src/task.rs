//! What a runner is to do.

use std::ffi::OsString;
use std::io;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// A user and its main group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserIds {
    /// Number of the user.
    pub user: u32,
    /// Number of the group.
    pub group: u32,
}

/// What happens to processes that a hook started and left behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Leftovers {
    /// All are killed at the hook's end, at its time limit, and when the caller ends.
    Kill,
    /// They are left: the hook started a service. When the caller ends, only the hook itself is killed; at the time limit
    /// the hook and what is still attached to it, which is what has an unbroken line of parents that leads to it.
    Leave,
}

/// A program to run, and its bounds.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Task {
    /// Path of the program.
    pub program: OsString,
    /// Its arguments, without its name.
    pub arguments: Vec<OsString>,
    /// All variables of its environment.
    pub environment: Vec<(String, OsString)>,
    /// The working folder.
    pub folder: OsString,
    /// Run as this user, who cannot get more rights again.
    pub user: Option<UserIds>,
    /// From the start of the program on.
    pub time_limit: Duration,
    /// Most address space of each of its processes, in bytes; as much as the caller may have when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// What happens to what it leaves running.
    pub leftovers: Leftovers,
}

impl Task {
    /// When its time is over, and some more time after it.
    pub(crate) fn deadline(&self, more: Duration) -> io::Result<Instant> {
        let deadline = self.time_limit.checked_add(more).and_then(|left| Instant::now().checked_add(left));
        deadline.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "its time limit is too long"))
    }
}
