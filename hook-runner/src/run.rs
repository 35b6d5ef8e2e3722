//! The caller's side: starts a runner, gives it its task, collects the hook's output, and hears how it ended.
//!
//! Invariant: [`Runner::run`] returns in bounded time after the time limit, whatever became of the runner, which has ended
//! then. The thread that calls it is the runner's parent, and waits for it: the system tells the runner of the end of its
//! parent's thread, not of the process.

use std::ffi::OsString;
use std::io::{self, PipeReader, Read};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::Pid;

use crate::descendants::{Process, first_in_session, kill_attached, kill_below, kill_session};
use crate::outlasting::OWN_PROGRAM;
use crate::output::Tail;
use crate::serve::ENDING;
use crate::task::{Leftovers, Task};
use crate::wire::{MAX_LINE_BYTES, Message, Order, write_line};

/// How much longer than the task and the end of what it leaves a runner may take, also on a busy computer.
const GRACE: Duration = Duration::from_secs(20);
/// How long a runner may take to read its order.
const READING: Duration = Duration::from_secs(10);
/// What a start hook left loses its output.
const UNREAD: &str =
    "no process could be started to read what it left running prints: that will be ended by its next line";
/// How long a runner may take to end after its answer.
const LEAVING: Duration = Duration::from_secs(10);
/// Between two looks whether it has.
const BETWEEN_LOOKS: Duration = Duration::from_millis(2);
/// Upper bound on reads of the output after the hook has ended; a full pipe of 64 KiB takes eight.
const MAX_READS_AFTER_END: usize = 64;

/// How a hook ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// It exited, or a signal ended it.
    Exited(ExitStatus),
    /// It was killed at its time limit.
    TimedOut,
}

/// What there is to tell of a hook that ran.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// How it ended.
    pub ending: Ending,
    /// The last [`crate::OUTPUT_TAIL_BYTES`] of standard output and standard error, in the order in which they arrived.
    pub output: Vec<u8>,
    /// What of it could not be ended, for people; `None` if nothing is left that was to end.
    pub problem: Option<String>,
}

/// Why a hook did not run, or not to an end that is known.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The program cannot be executed; nothing ran.
    #[error("the program cannot be executed")]
    NotStarted(#[source] io::Error),
    /// The runner cannot be started or watched.
    #[error("the process that runs hooks cannot be used")]
    Runner(#[source] io::Error),
    /// Somebody ended the runner, and with it the hook.
    #[error("the process that ran it was ended ({0}), and the hook with it; see who kills processes here")]
    Died(ExitStatus),
    /// Somebody stopped the runner; it was ended, and with it the hook.
    #[error("the process that ran it did not answer in time and was ended, and the hook with it")]
    Silent,
}

/// How runners are started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Runner {
    /// Path of a program that calls [`crate::serve`].
    pub program: PathBuf,
    /// With these arguments.
    pub arguments: Vec<OsString>,
}

impl Runner {
    /// This very program, by a subcommand.
    #[must_use]
    pub fn this_program(subcommand: &str) -> Self {
        Self { program: OWN_PROGRAM.into(), arguments: vec![subcommand.into()] }
    }

    /// Runs a task to its end or to its time limit. Blocks.
    ///
    /// # Errors
    /// [`RunError`].
    pub fn run(&self, task: &Task) -> Result<Finished, RunError> {
        let deadline = task.deadline(ENDING + GRACE).map_err(RunError::NotStarted)?;
        let (ours, theirs) = UnixStream::pair().map_err(RunError::Runner)?;
        let (child, output) = self.start(theirs).map_err(RunError::Runner)?;
        let mut watched = Watched::new(child, ours, output);
        let heard = watched.order(task).and_then(|()| watched.listen(deadline));
        watched.finish(heard, task.leftovers)
    }

    /// Their ends of the socket and of the output are closed here afterwards, with the command that holds them.
    fn start(&self, theirs: UnixStream) -> io::Result<(Child, PipeReader)> {
        let (output, printed) = io::pipe()?;
        let child = Command::new(&self.program)
            .args(&self.arguments)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(printed.try_clone()?)
            .stderr(printed)
            .spawn()?;
        Ok((child, output))
    }
}

/// What was heard last of a runner.
enum Heard {
    Answer(Message),
    /// Its end, and no answer.
    Nothing,
    /// Nothing until the deadline.
    Silence,
}

/// A runner at work.
struct Watched {
    runner: Child,
    socket: UnixStream,
    /// What came over the socket and is no whole line yet.
    heard: Vec<u8>,
    hook: Option<Process>,
    /// Standard output and standard error; `None` after its end.
    output: Option<PipeReader>,
    tail: Tail,
}

impl Watched {
    fn new(runner: Child, socket: UnixStream, output: PipeReader) -> Self {
        Self { runner, socket, heard: Vec::new(), hook: None, output: Some(output), tail: Tail::default() }
    }

    fn order(&self, task: &Task) -> io::Result<()> {
        self.socket.set_write_timeout(Some(READING))?;
        match write_line(&self.socket, &Order { parent: std::process::id(), task: task.clone() }) {
            // It ended before it read; how, is told below.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            written => written,
        }
    }

    /// Collects output until the runner has answered.
    fn listen(&mut self, deadline: Instant) -> io::Result<Heard> {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(Heard::Silence);
            }
            let (has_said, has_printed) = self.wait(left)?;
            // What the hook wrote before its end is read before that is heard.
            self.read_output(has_printed)?;
            if has_said && let Some(heard) = self.hear()? {
                self.drain()?;
                return Ok(heard);
            }
        }
    }

    /// Waits for the socket and the output.
    fn wait(&self, left: Duration) -> io::Result<(bool, bool)> {
        let mut watched = vec![PollFd::new(&self.socket, PollFlags::IN)];
        watched.extend(self.output.as_ref().map(|pipe| PollFd::new(pipe, PollFlags::IN)));
        match poll(&mut watched, Some(&timespec(left))) {
            Ok(_) => {}
            Err(Errno::INTR) => return Ok((false, false)),
            Err(error) => return Err(error.into()),
        }
        let is_ready = |index| watched.get(index).is_some_and(|one: &PollFd<'_>| !one.revents().is_empty());
        Ok((is_ready(0), is_ready(1)))
    }

    /// `true` if something came.
    fn read_output(&mut self, has_printed: bool) -> io::Result<bool> {
        Ok(has_printed && self.tail.take(&mut self.output)?)
    }

    /// Reads what is in the pipe. Whoever was left behind may go on writing, so this is bounded.
    fn drain(&mut self) -> io::Result<()> {
        for _ in 0..MAX_READS_AFTER_END {
            let (_, has_printed) = self.wait(Duration::ZERO)?;
            if !self.read_output(has_printed)? {
                break;
            }
        }
        Ok(())
    }

    /// Reads once from the runner; what ends the conversation, if that came.
    fn hear(&mut self) -> io::Result<Option<Heard>> {
        let mut buffer = [0; 4096];
        let count = match self.socket.read(&mut buffer) {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(None),
            // A runner that ended before it read its order.
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => 0,
            Err(error) => return Err(error),
        };
        if count == 0 {
            return Ok(Some(Heard::Nothing));
        }
        self.heard.extend(&buffer[..count]);
        if u64::try_from(self.heard.len()).unwrap_or(u64::MAX) > MAX_LINE_BYTES {
            return Err(io::Error::other("its answer is too long"));
        }
        while let Some(end) = self.heard.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.heard.drain(..=end).collect();
            match serde_json::from_slice(&line)? {
                Message::Started { pid } => self.hook = Pid::from_raw(pid).and_then(Process::of),
                answer => return Ok(Some(Heard::Answer(answer))),
            }
        }
        Ok(None)
    }

    /// Ends the runner, and what it did not.
    fn finish(mut self, heard: io::Result<Heard>, leftovers: Leftovers) -> Result<Finished, RunError> {
        match (&heard, leftovers) {
            (Ok(Heard::Answer(_)), Leftovers::Kill) => {}
            (Ok(Heard::Answer(_)), Leftovers::Leave) => self.hand_over_output(),
            _ => self.end_hook(leftovers),
        }
        // It has nothing left to do; and it may have ended already.
        let _ = self.runner.kill();
        let status = self.runner.wait().map_err(RunError::Runner)?;
        // It has answered before, and could not do what was left to do.
        let unread = (leftovers == Leftovers::Leave && !status.success()).then(|| UNREAD.to_owned());
        let finished =
            |ending, problem: Option<String>| Finished { ending, output: self.tail.into_bytes(), problem };
        match heard.map_err(RunError::Runner)? {
            Heard::Answer(Message::Ended { status, problem }) => {
                Ok(finished(Ending::Exited(ExitStatus::from_raw(status)), problem.or(unread)))
            }
            Heard::Answer(Message::TimedOut { problem }) => {
                Ok(finished(Ending::TimedOut, problem.or(unread)))
            }
            Heard::Answer(Message::NotStarted { errno, error }) => Err(RunError::NotStarted(
                errno.map_or_else(|| io::Error::other(error), io::Error::from_raw_os_error),
            )),
            Heard::Answer(Message::Started { .. }) | Heard::Nothing => Err(RunError::Died(status)),
            Heard::Silence => Err(RunError::Silent),
        }
    }

    /// The runner has it read by another process, if something that was left may still print, and ends.
    fn hand_over_output(&mut self) {
        self.output = None;
        let _ = self.socket.shutdown(Shutdown::Both);
        let deadline = Instant::now() + LEAVING;
        while matches!(self.runner.try_wait(), Ok(None)) && Instant::now() < deadline {
            thread::sleep(BETWEEN_LOOKS);
        }
    }

    /// The runner cannot do it: it is gone, or was stopped by somebody. The hook and what is attached to it is killed, and
    /// of a hook that is to leave nothing all that is below the runner, if that is still there, and all in its session. What
    /// had left hook and session when somebody killed the runner cannot be found any more.
    ///
    /// A hook can be at work before its runner told of it, and the runner killed in between: then it is what was first in the
    /// runner's session.
    fn end_hook(&self, leftovers: Leftovers) {
        let Some(runner) = i32::try_from(self.runner.id()).ok().and_then(Pid::from_raw) else { return };
        let hook = self.hook.or_else(|| first_in_session(runner).ok().flatten());
        if let Some(hook) = hook {
            let _ = kill_attached(hook);
        }
        if leftovers == Leftovers::Kill {
            let until = Instant::now() + ENDING;
            let _ = Process::of(runner).map(|runner| kill_below(runner, until));
            let _ = kill_session(runner, until);
        }
    }
}

fn timespec(duration: Duration) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(duration.subsec_nanos()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use sealpost_test_support::wait;

    use super::*;

    #[test]
    fn a_runner_that_does_not_answer_is_ended_with_all_below_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pid");
        let script = format!("sleep 1000 & echo $! > {0}.new; mv {0}.new {0}; wait", file.display());
        let silent = Runner { program: "/bin/sh".into(), arguments: vec!["-c".into(), script.into()] };
        let (ours, theirs) = UnixStream::pair().unwrap();
        let (runner, output) = silent.start(theirs).unwrap();
        let mut watched = Watched::new(runner, ours, output);
        while !file.exists() {
            assert!(matches!(watched.listen(Instant::now() + Duration::from_millis(10)), Ok(Heard::Silence)));
        }
        let heard = watched.listen(Instant::now());
        assert!(matches!(watched.finish(heard, Leftovers::Kill), Err(RunError::Silent)));
        wait_until_gone(&file);
    }

    #[test]
    fn a_runner_that_is_killed_before_it_told_of_its_hook_leaves_nothing_of_it() {
        for leftovers in [Leftovers::Kill, Leftovers::Leave] {
            let folder = tempfile::tempdir().unwrap();
            let file = folder.path().join("pid");
            // It leads a session, starts something, and is killed without a word.
            let script = format!("sleep 1000 & echo $! > {}; kill -KILL $$", file.display());
            let arguments = ["/bin/sh", "-c", &script].map(OsString::from).to_vec();
            let runner = Runner { program: "/usr/bin/setsid".into(), arguments };
            let task = Task {
                program: "/bin/true".into(),
                arguments: Vec::new(),
                environment: Vec::new(),
                folder: "/".into(),
                user: None,
                time_limit: Duration::from_secs(60),
                memory_bytes: None,
                leftovers,
            };
            assert!(matches!(runner.run(&task), Err(RunError::Died(_))));
            wait_until_gone(&file);
        }
    }

    /// Waits for the end of the process whose number is in a file.
    fn wait_until_gone(file: &Path) {
        let pid = fs::read_to_string(file).unwrap();
        let stat = Path::new("/proc").join(pid.trim()).join("stat");
        // Whoever takes in orphans here may not have reaped it yet.
        let is_gone = || fs::read(&stat).map_or(true, |stat| String::from_utf8_lossy(&stat).contains(") Z "));
        wait::until("it is gone", is_gone);
    }
}
