//! The processes below another one, by the numbers of parents in `/proc`, and their end.
//!
//! Invariant: only what was seen is signalled: a process is opened, and looked at once more, before it gets a signal, so
//! that none gets it whose number was used again.
//! A walk is no snapshot: who forks meanwhile may be missed, so each end here is reached by repeated walks, bounded.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::thread;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitOptions, getpid, kill_process, pidfd_open, pidfd_send_signal, wait,
};

/// Between two walks, in which what was killed ends.
const BETWEEN_WALKS: Duration = Duration::from_millis(2);
/// Upper bound on walks until nothing new is seen below a process. Each stops all that it sees.
const MAX_STOPPING_WALKS: usize = 64;

/// A process as it was seen once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Process {
    pid: i32,
    /// When it was started, in ticks since the start of the computer: with the number, one process only.
    started: u64,
}

impl Process {
    /// The process that has a number now.
    pub(crate) fn of(pid: Pid) -> Option<Self> {
        look(pid.as_raw_pid()).map(|seen| seen.process)
    }

    /// Whether it is still there, ended and not reaped at the most.
    fn is_there(self) -> bool {
        look(self.pid).is_some_and(|seen| seen.process == self)
    }

    /// Sends it a signal; nothing happens if it has ended.
    fn signal(self, signal: Signal) -> io::Result<()> {
        let Some(pid) = Pid::from_raw(self.pid) else { return Ok(()) };
        let opened = match pidfd_open(pid, PidfdFlags::empty()) {
            Err(Errno::SRCH) => return Ok(()),
            opened => opened?,
        };
        if !self.is_there() {
            return Ok(());
        }
        match pidfd_send_signal(opened, signal) {
            Ok(()) | Err(Errno::SRCH) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// What is seen of a process.
#[derive(Debug, Clone, Copy)]
struct Seen {
    process: Process,
    /// The number of its parent.
    parent: i32,
    /// The number of its session.
    session: i32,
}

fn look(pid: i32) -> Option<Seen> {
    let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
    // The name before it, in parentheses, is bytes that the process chose: parentheses too, and not always text.
    let end_of_name = stat.iter().rposition(|byte| *byte == b')')?;
    let fields = str::from_utf8(stat.get(end_of_name + 1..)?).ok()?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let (parent, session) = (fields.get(1)?.parse().ok()?, fields.get(3)?.parse().ok()?);
    Some(Seen { process: Process { pid, started: fields.get(19)?.parse().ok()? }, parent, session })
}

/// All processes of this computer, as far as they are seen in one walk.
fn walk() -> io::Result<impl Iterator<Item = io::Result<Seen>>> {
    let numbered = |entry: io::Result<fs::DirEntry>| {
        entry.map(|entry| entry.file_name().to_str().and_then(|name| name.parse().ok())).transpose()
    };
    let looked = |pid: io::Result<i32>| pid.map(look).transpose();
    Ok(fs::read_dir("/proc")?.filter_map(numbered).filter_map(looked))
}

/// All that is below a process now. Each process is shown, with the number of its parent, as soon as it is seen.
fn below(root: i32, mut on_seen: impl FnMut(Process, i32)) -> io::Result<BTreeSet<Process>> {
    let mut children: BTreeMap<i32, Vec<Process>> = BTreeMap::new();
    for seen in walk()? {
        let Seen { process, parent, .. } = seen?;
        on_seen(process, parent);
        children.entry(parent).or_default().push(process);
    }
    let mut found = BTreeSet::new();
    let mut waiting = vec![root];
    while let Some(parent) = waiting.pop() {
        for child in children.remove(&parent).unwrap_or_default() {
            waiting.push(child.pid);
            found.insert(child);
        }
    }
    Ok(found)
}

/// Kills a process and what is attached to it. All of it is stopped before the first is killed: the children of a killed
/// process would go to another parent, and could not be told from what was let go of.
pub(crate) fn kill_attached(root: Process) -> io::Result<()> {
    root.signal(Signal::STOP)?;
    let mut stopped = BTreeSet::new();
    for _ in 0..MAX_STOPPING_WALKS {
        let found = if root.is_there() { below(root.pid, |_, _| {})? } else { BTreeSet::new() };
        let new: Vec<Process> = found.difference(&stopped).copied().collect();
        if new.is_empty() {
            break;
        }
        for process in new {
            // What may not be stopped is not of the hook's user any more; it is told of below.
            let _ = process.signal(Signal::STOP);
            stopped.insert(process);
        }
    }
    let mut killed = Ok(());
    for process in stopped.into_iter().chain([root]) {
        killed = killed.and(process.signal(Signal::KILL));
    }
    killed
}

/// Kills all that is below a process that is not this one, and that may reap nothing any more, as far as it is seen.
pub(crate) fn kill_below(root: Process, until: Instant) -> io::Result<()> {
    kill_all(until, || if root.is_there() { below(root.pid, |_, _| {}) } else { Ok(BTreeSet::new()) })
}

/// Kills all that is in the session of a process which led it and has ended, as far as it is seen. Nobody may have reaped
/// it, so that its number is its own.
pub(crate) fn kill_session(leader: Pid, until: Instant) -> io::Result<()> {
    kill_all(until, || in_session(leader))
}

/// The process of a session that is there for longest, without its leader.
pub(crate) fn first_in_session(leader: Pid) -> io::Result<Option<Process>> {
    Ok(in_session(leader)?.into_iter().min_by_key(|process| (process.started, process.pid)))
}

fn in_session(leader: Pid) -> io::Result<BTreeSet<Process>> {
    let leader = leader.as_raw_pid();
    let is_in = |seen: &io::Result<Seen>| {
        seen.as_ref().map_or(true, |seen| seen.session == leader && seen.process.pid != leader)
    };
    walk()?.filter(is_in).map(|seen| seen.map(|seen| seen.process)).collect()
}

/// Kills whatever is found, until nothing new is.
fn kill_all(until: Instant, find: impl Fn() -> io::Result<BTreeSet<Process>>) -> io::Result<()> {
    let (mut killed, mut all) = (BTreeSet::new(), Ok(()));
    while Instant::now() < until {
        let found = find()?;
        let new: Vec<Process> = found.difference(&killed).copied().collect();
        if new.is_empty() {
            break;
        }
        for process in new {
            all = all.and(process.signal(Signal::KILL));
            killed.insert(process);
        }
        thread::sleep(BETWEEN_WALKS);
    }
    all
}

/// How many processes could not be killed until a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Survivors(pub(crate) usize);

/// Kills and reaps all that is below this process, which is their subreaper: as long as one is left, this process has a
/// child, so that having none is the proof that none is left. Having one is the proof that one is, also where none is seen.
pub(crate) fn kill_all_of_mine(until: Instant) -> io::Result<Survivors> {
    let me = getpid().as_raw_pid();
    while !reap_all()? {
        // At once: of a chain in which each forks the next and ends, nobody is there any more after a walk.
        let found = below(me, |process, parent| {
            if parent == me {
                kill_child(process);
            }
        })?;
        if Instant::now() >= until {
            return Ok(Survivors(found.len().max(1)));
        }
        for process in found {
            // One of another user stays, and is counted in the end.
            let _ = process.signal(Signal::KILL);
        }
        thread::sleep(BETWEEN_WALKS);
    }
    Ok(Survivors(0))
}

/// Kills a child of this process. Nobody else reaps it, so that its number is its own until then.
fn kill_child(child: Process) {
    if let Some(pid) = Pid::from_raw(child.pid) {
        let _ = kill_process(pid, Signal::KILL);
    }
}

/// Waits until a child that was killed has ended, and reaps it with whatever else ended.
pub(crate) fn reap_killed(child: Pid, until: Instant) -> io::Result<Survivors> {
    while Instant::now() < until {
        match wait(WaitOptions::NOHANG) {
            Ok(Some((pid, _))) if pid == child => return Ok(Survivors(0)),
            Err(Errno::CHILD) => return Ok(Survivors(0)),
            Ok(Some(_)) | Err(Errno::INTR) => {}
            Ok(None) => thread::sleep(BETWEEN_WALKS),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(Survivors(1))
}

/// Reaps all children that have ended; `true` if there is no child any more.
fn reap_all() -> io::Result<bool> {
    loop {
        match wait(WaitOptions::NOHANG) {
            Ok(Some(_)) | Err(Errno::INTR) => {}
            Ok(None) => return Ok(false),
            Err(Errno::CHILD) => return Ok(true),
            Err(error) => return Err(error.into()),
        }
    }
}
