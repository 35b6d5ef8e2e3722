//! Child processes with bounds: a session of their own without a terminal, an empty environment, no open files but their
//! own three, a time limit, a bounded tail of their output.
//!
//! Invariant: after [`run`] with [`Leftovers::Kill`] no process of the child's group is left. A process that leaves the
//! group (`setsid`) is not followed; a hook is the administrator's own program.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs;
use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use close_fds::set_fds_cloexec_threadsafe;
use process_wrap::std::{ChildWrapper, CommandWrap, ProcessSession};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};

use super::users::UserIds;

/// How much of a child's output is kept: the last bytes.
pub const OUTPUT_TAIL_BYTES: usize = 64 * 1024;
/// The descriptor after standard input, output and error.
const FIRST_AFTER_STANDARD: i32 = 3;
/// Upper bound on reads after the child has ended; a full pipe of 64 KiB takes eight.
const MAX_ROUNDS_AFTER_END: usize = 64;

/// What happens to processes that the child started and left behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leftovers {
    /// They are killed when the child ends.
    Kill,
    /// They are left when the child ends in time (it started a service); on a time-out they are killed too.
    Leave,
}

/// A child process to run.
#[derive(Debug, Clone)]
pub struct Spec {
    pub program: PathBuf,
    pub arguments: Vec<OsString>,
    pub environment: Vec<(String, OsString)>,
    /// Run as this user, who cannot get more rights again.
    pub user: Option<UserIds>,
    pub time_limit: Duration,
    pub leftovers: Leftovers,
}

/// How a child ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// It exited, or a signal of its own ended it.
    Exited(ExitStatus),
    /// It was killed at the time limit.
    TimedOut,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    pub ending: Ending,
    /// The last [`OUTPUT_TAIL_BYTES`] of standard output and standard error, in the order in which they arrived.
    pub output: Vec<u8>,
}

/// Runs a child to its end or to its time limit.
///
/// # Errors
/// The system's, when it cannot be started or watched; it is not running then.
pub fn run(spec: &Spec) -> io::Result<Finished> {
    // A thread of its own, because "no new privileges" is set per thread and inherited by the child.
    thread::scope(|scope| {
        thread::Builder::new()
            .name("hook".to_owned())
            .spawn_scoped(scope, || run_here(spec))?
            .join()
            .map_err(|_| io::Error::other("the thread that runs a hook panicked"))?
    })
}

fn run_here(spec: &Spec) -> io::Result<Finished> {
    let mut command = Command::new(&spec.program);
    command
        .args(&spec.arguments)
        .env_clear()
        .envs(spec.environment.iter().map(|(name, value)| (name, value)))
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    if let Some(ids) = spec.user {
        rustix::thread::set_no_new_privs(true)?;
        command.uid(ids.user).gid(ids.group);
    }
    // Ours are closed in a child anyway; whoever started the agent may have had files of root's open, or a lock.
    set_fds_cloexec_threadsafe(FIRST_AFTER_STANDARD, &[]);
    let deadline = Instant::now() + spec.time_limit;
    // A new session has no terminal, so a hook cannot type keys into the one of whoever started the agent; it is a new
    // process group too.
    let mut child = CommandWrap::from(command).wrap(ProcessSession).spawn()?.into_inner();
    let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let mut tail = Tail::default();
    let watched = watch(child.as_mut(), deadline, &mut tail);
    let in_time = matches!(watched, Ok(true));
    // The child is not reaped yet, so its process group id cannot belong to another process.
    if let Some(group) = group.filter(|_| !in_time || spec.leftovers == Leftovers::Kill) {
        match kill_process_group(group, Signal::KILL) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => {}
            Err(error) => tracing::warn!(%error, "a hook's process group could not be killed"),
        }
    }
    let status = child.wait()?;
    watched?;
    let ending = if in_time { Ending::Exited(status) } else { Ending::TimedOut };
    Ok(Finished { ending, output: tail.into_bytes() })
}

/// Collects output until the child has ended (`true`) or the deadline has passed (`false`).
fn watch(child: &mut dyn ChildWrapper, deadline: Instant, tail: &mut Tail) -> io::Result<bool> {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::InvalidData)?;
    let ended = pidfd_open(pid, PidfdFlags::empty())?;
    let mut stdout = child.stdout().take();
    let mut stderr = child.stderr().take();
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(false);
        }
        let (has_ended, can_read_out, can_read_err) = {
            let mut watched = vec![PollFd::new(&ended, PollFlags::IN)];
            watched.extend(stdout.as_ref().map(|pipe| PollFd::new(pipe, PollFlags::IN)));
            watched.extend(stderr.as_ref().map(|pipe| PollFd::new(pipe, PollFlags::IN)));
            match poll(&mut watched, Some(&timespec(left))) {
                Ok(_) => {}
                Err(rustix::io::Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
            }
            let ready: Vec<bool> = watched.iter().map(|one| !one.revents().is_empty()).collect();
            let out = stdout.is_some() && ready.get(1).copied().unwrap_or(false);
            let err_at = if stdout.is_some() { 2 } else { 1 };
            let err = stderr.is_some() && ready.get(err_at).copied().unwrap_or(false);
            (ready.first().copied().unwrap_or(false), out, err)
        };
        let mut has_read = false;
        if can_read_out {
            has_read |= take(&mut stdout, tail)?;
        }
        if can_read_err {
            has_read |= take(&mut stderr, tail)?;
        }
        // What the child wrote before its end is read first. A background process cannot delay this, because the
        // number of rounds after the child's end is bounded.
        if has_ended && (!has_read || tail.note_round_after_end()) {
            return Ok(true);
        }
    }
}

/// Whether a process has a handler of its own for a signal. Without one, most signals end it.
#[must_use]
pub fn catches(pid: u32, signal: Signal) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    let mask = caught.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    let bit = u32::try_from(signal.as_raw() - 1).unwrap_or(u32::MAX);
    mask.checked_shr(bit).is_some_and(|shifted| shifted & 1 == 1)
}

/// Reads once; `true` if it read something. Closes the pipe at its end.
fn take(pipe: &mut Option<impl Read>, tail: &mut Tail) -> io::Result<bool> {
    let Some(open) = pipe else { return Ok(false) };
    let mut buffer = [0u8; 8 * 1024];
    match open.read(&mut buffer) {
        Ok(0) => {
            *pipe = None;
            Ok(false)
        }
        Ok(count) => {
            tail.push(&buffer[..count]);
            Ok(true)
        }
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(true),
        Err(error) => Err(error),
    }
}

fn timespec(duration: Duration) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(duration.subsec_nanos()),
    }
}

/// The last bytes of an output.
#[derive(Default)]
struct Tail {
    bytes: VecDeque<u8>,
    rounds_after_end: usize,
}

impl Tail {
    fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend(bytes);
        let surplus = self.bytes.len().saturating_sub(OUTPUT_TAIL_BYTES);
        self.bytes.drain(..surplus);
    }

    /// `true` when enough was read after the end.
    fn note_round_after_end(&mut self) -> bool {
        self.rounds_after_end += 1;
        self.rounds_after_end > MAX_ROUNDS_AFTER_END
    }

    fn into_bytes(self) -> Vec<u8> {
        self.bytes.into()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use sealpost_test_support::wait;

    use super::*;

    fn shell(script: &str, time_limit: Duration, leftovers: Leftovers) -> Finished {
        let spec = Spec {
            program: PathBuf::from("/bin/sh"),
            arguments: vec!["-c".into(), script.into()],
            environment: vec![("PATH".to_owned(), "/usr/bin:/bin".into())],
            user: None,
            time_limit,
            leftovers,
        };
        run(&spec).unwrap()
    }

    const LONG: Duration = Duration::from_secs(60);

    fn is_running(pid_file: &Path) -> bool {
        let pid = fs::read_to_string(pid_file).unwrap();
        match fs::read_to_string(format!("/proc/{}/stat", pid.trim())) {
            // The state follows the closing parenthesis of the name; a zombie does not run.
            Ok(stat) => !stat.rsplit(')').next().unwrap_or_default().trim_start().starts_with(['Z', 'X']),
            Err(_) => false,
        }
    }

    fn wait_until_gone(pid_file: &Path) {
        wait::until("the process is gone", || !is_running(pid_file));
    }

    #[test]
    fn status_and_both_outputs_are_kept() {
        let finished = shell("echo out; echo err >&2; exit 3", LONG, Leftovers::Kill);
        assert!(matches!(finished.ending, Ending::Exited(status) if status.code() == Some(3)));
        let output = String::from_utf8(finished.output).unwrap();
        assert!(output.contains("out\n") && output.contains("err\n"));
    }

    /// Else a hook could type keys, as root, into the terminal of whoever typed a command of the agent.
    #[test]
    fn a_child_leads_a_session_of_its_own_and_has_no_terminal() {
        let script = "read -r pid name state parent group session terminal rest < /proc/$$/stat; \
                      echo $pid $session $terminal; (true < /dev/tty) 2> /dev/null || echo none";
        let finished = shell(script, LONG, Leftovers::Kill);
        let output = String::from_utf8(finished.output).unwrap();
        let (numbers, tty) = output.split_once('\n').unwrap();
        let [pid, session, terminal] = numbers.split(' ').collect::<Vec<_>>()[..] else { panic!("{output}") };
        assert_eq!((session, terminal, tty.trim()), (pid, "0", "none"));
    }

    #[test]
    fn it_is_seen_whether_a_process_handles_a_signal() {
        let mut child = Command::new("/bin/bash")
            .args(["-c", "trap : HUP; echo; read"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdout.take().unwrap().read_exact(&mut [0]).unwrap();
        assert!(catches(child.id(), Signal::HUP) && !catches(child.id(), Signal::USR1));
        drop(child.stdin.take());
        child.wait().unwrap();
        assert!(!catches(child.id(), Signal::HUP), "it is gone");
    }

    #[test]
    fn only_the_tail_of_a_long_output_is_kept() {
        let finished = shell("yes 0123456789 | head -c 5000000; printf END", LONG, Leftovers::Kill);
        assert_eq!(finished.output.len(), OUTPUT_TAIL_BYTES);
        assert!(finished.output.ends_with(b"END"));
    }

    #[test]
    fn the_environment_is_empty_but_for_what_was_given() {
        let finished = shell("env", LONG, Leftovers::Kill);
        let output = String::from_utf8(finished.output).unwrap();
        assert!(!output.contains("HOME=") && !output.contains("CARGO"), "{output}");
    }

    /// Else a hook without root's rights reads and writes what root had open when the agent was started.
    #[test]
    fn a_child_gets_no_open_files_but_its_input_and_its_outputs() {
        let folder = tempfile::tempdir().unwrap();
        let open = fs::File::create(folder.path().join("of_root")).unwrap();
        rustix::io::fcntl_setfd(&open, rustix::io::FdFlags::empty()).unwrap();
        // The last one is the shell's own, of the folder that it lists.
        let finished = shell("for fd in /proc/$$/fd/*; do echo ${fd##*/}; done", LONG, Leftovers::Kill);
        assert_eq!(String::from_utf8(finished.output).unwrap(), "0\n1\n2\n3\n");
        let finished = shell("readlink /proc/$$/fd/*", LONG, Leftovers::Kill);
        assert!(!String::from_utf8(finished.output).unwrap().contains("of_root"));
    }

    #[test]
    fn a_hook_that_hangs_is_killed_together_with_what_it_started() {
        let folder = tempfile::tempdir().unwrap();
        let pid_file = folder.path().join("pid");
        let script = format!("sleep 1000 & echo $! > {}; sleep 1000", pid_file.display());
        let finished = shell(&script, Duration::from_millis(500), Leftovers::Kill);
        assert_eq!(finished.ending, Ending::TimedOut);
        wait_until_gone(&pid_file);
    }

    #[test]
    fn what_a_hook_leaves_in_the_background_is_killed_and_does_not_hold_it_up() {
        let folder = tempfile::tempdir().unwrap();
        let pid_file = folder.path().join("pid");
        let script = format!("sleep 1000 & echo $! > {}", pid_file.display());
        let finished = shell(&script, LONG, Leftovers::Kill);
        assert!(matches!(finished.ending, Ending::Exited(status) if status.success()));
        wait_until_gone(&pid_file);
    }

    #[test]
    fn a_service_that_a_start_hook_leaves_keeps_running() {
        let folder = tempfile::tempdir().unwrap();
        let pid_file = folder.path().join("pid");
        let script = format!("sleep 1000 >/dev/null 2>&1 & echo $! > {}", pid_file.display());
        let finished = shell(&script, LONG, Leftovers::Leave);
        assert!(matches!(finished.ending, Ending::Exited(status) if status.success()));
        assert!(is_running(&pid_file));
        let pid: i32 = fs::read_to_string(&pid_file).unwrap().trim().parse().unwrap();
        rustix::process::kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
    }

    #[test]
    fn as_root_a_hook_can_be_run_without_roots_rights() {
        if !rustix::process::geteuid().is_root() {
            eprintln!("SKIPPED: needs root");
            return;
        }
        let spec = Spec {
            program: PathBuf::from("/bin/sh"),
            arguments: vec!["-c".into(), "id -u; id -G; grep NoNewPrivs /proc/self/status".into()],
            environment: vec![("PATH".to_owned(), "/usr/bin:/bin".into())],
            user: Some(UserIds { user: 65_534, group: 65_534 }),
            time_limit: LONG,
            leftovers: Leftovers::Kill,
        };
        let output = String::from_utf8(run(&spec).unwrap().output).unwrap();
        assert_eq!(output, "65534\n65534\nNoNewPrivs:\t1\n");
    }
}
