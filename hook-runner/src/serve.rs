//! The runner: the process between the caller and the hook.
//!
//! Invariant: in this order: a session of its own, the place above all orphans where none of them is to be left, handlers,
//! the death signal and a look at the parent; only then the hook. The runner never changes its user: that is done in the
//! hook's own process. What ends the hook ends in one place, [`Hook::end`].
//! It logs and prints nothing: its output is the hook's.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use close_fds::set_fds_cloexec_threadsafe;
use rustix::io::Errno;
use rustix::process::{
    Pid, Signal, WaitOptions, getpid, kill_process, kill_process_group, set_child_subreaper, setsid, wait,
};
use tokio::io::AsyncReadExt;
use tokio::net::UnixStream as AsyncStream;
use tokio::runtime::Builder;
use tokio::signal::unix::{Signal as Listener, SignalKind, signal};
use tokio::time::sleep_until;

use crate::contents::{Contents, HEAD_BYTES};
use crate::descendants::{Process, Survivors, kill_all_of_mine, kill_attached, reap_killed};
use crate::outlasting::{Output, discard, is_reader};
use crate::rights::{Parent, bound_memory, give_up_further_rights};
use crate::task::{Leftovers, Task};
use crate::wire::{Message, Order, read_line, write_line};

/// The descriptor after standard input, output and error.
const FIRST_AFTER_STANDARD: i32 = 3;
/// Runs what has no `#!` and is no binary program, as shells do.
const SHELL: &str = "/bin/sh";
/// How long what is killed may take to end; what the system does not let go of meanwhile is told of.
pub(crate) const ENDING: Duration = Duration::from_secs(10);

/// Why a runner ran nothing.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Its standard input is no socket with an order.
    #[error("this command is for the program itself, which starts it for each hook")]
    NoOrder(#[source] io::Error),
    /// The caller ended, or its order came from another process.
    #[error("whoever started this process has ended")]
    NoParent,
    /// The system refused something.
    #[error("cannot {attempted}")]
    System {
        /// What was tried.
        attempted: &'static str,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
}

/// Is the runner: reads an order from standard input, which is a socket of [`crate::Runner::run`], runs the hook, and
/// answers; or reads what a product prints that a hook left running. To be called before a second thread is started: rights
/// are given up for one thread.
///
/// # Errors
/// [`ServeError`]; no hook was started then.
pub fn serve() -> Result<(), ServeError> {
    set_fds_cloexec_threadsafe(FIRST_AFTER_STANDARD, &[]);
    if is_reader() {
        return discard().map_err(|source| ServeError::System { attempted: "read what is printed", source });
    }
    let socket =
        io::stdin().as_fd().try_clone_to_owned().map(UnixStream::from).map_err(ServeError::NoOrder)?;
    let order: Order = read_line(&socket).map_err(ServeError::NoOrder)?.ok_or(ServeError::NoParent)?;
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|source| ServeError::System { attempted: "listen for signals", source })?;
    runtime.block_on(run(socket, order))
}

async fn run(socket: UnixStream, order: Order) -> Result<(), ServeError> {
    let failed = |attempted| move |source| ServeError::System { attempted, source };
    setsid().map_err(|error| failed("leave the terminal")(error.into()))?;
    let Order { parent, task } = order;
    if task.leftovers == Leftovers::Kill {
        set_child_subreaper(Some(getpid())).map_err(|error| failed("take in orphans")(error.into()))?;
    }
    let mut signs = Signs::listen().map_err(failed("listen for signals"))?;
    let answer = |message: &Message| write_line(&socket, message).map_err(failed("answer"));
    if task.user.is_some()
        && let Err(error) = give_up_further_rights()
    {
        let error = io::Error::other(format!("cannot give up root's rights ({error})"));
        return answer(&not_started(&error));
    }
    if let Some(bytes) = task.memory_bytes
        && let Err(error) = bound_memory(bytes)
    {
        let error = io::Error::other(format!("cannot bound the memory ({error})"));
        return answer(&not_started(&error));
    }
    let parent = Parent::watch(parent).map_err(failed("watch the parent"))?;
    if !parent.is_there() {
        return Err(ServeError::NoParent);
    }
    // Where it cannot be held, the hook runs all the same; that is told at the end.
    let output = match task.leftovers {
        Leftovers::Leave => Output::hold(),
        Leftovers::Kill => Ok(None),
    };
    let started = task.deadline(Duration::ZERO).and_then(|deadline| Ok((deadline, Hook::start(&task)?)));
    let (deadline, hook) = match started {
        Ok(started) => started,
        Err(error) => return answer(&not_started(&error)),
    };
    let told = answer(&Message::Started { pid: hook.pid.as_raw_pid() });
    let why = match (&told, listening(&socket)) {
        (Ok(()), Ok(stream)) => signs.next(hook.pid, deadline, parent, stream).await,
        // Nobody is there to answer to.
        _ => Why::NoParent,
    };
    let problem = hook.end(why, task.leftovers);
    let answered = match why {
        Why::Ended(status) => answer(&Message::Ended { status, problem }),
        Why::TimedOut => answer(&Message::TimedOut { problem }),
        Why::NoParent => Ok(()),
    };
    if let Some(output) = output.map_err(failed("hold what is printed"))? {
        let caller = (why != Why::NoParent).then_some(&socket);
        output.hand_over(caller).map_err(failed("have what is printed read"))?;
    }
    answered
}

/// A second hold of the socket, to wait for its end.
fn listening(socket: &UnixStream) -> io::Result<AsyncStream> {
    let second = socket.try_clone()?;
    // Of both: answers are short, and the caller reads them.
    second.set_nonblocking(true)?;
    AsyncStream::from_std(second)
}

fn not_started(error: &io::Error) -> Message {
    Message::NotStarted { errno: error.raw_os_error(), error: error.to_string() }
}

/// Why a hook is at its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    /// With this status, as the system encodes it.
    Ended(i32),
    TimedOut,
    /// The caller ended.
    NoParent,
}

/// A hook that was started, and not reaped by [`Hook::start`].
struct Hook {
    pid: Pid,
}

impl Hook {
    fn start(task: &Task) -> io::Result<Self> {
        let mut command = command(task, Command::new(&task.program));
        let started = match command.args(&task.arguments).spawn() {
            Err(error) if Errno::from_io_error(&error) == Some(Errno::NOEXEC) => {
                if contents(task)? != Contents::Text {
                    return Err(error);
                }
                let mut shell = Command::new(SHELL);
                shell.arg(&task.program).args(&task.arguments);
                self::command(task, shell).spawn()?
            }
            started => started?,
        };
        let pid = i32::try_from(started.id()).ok().and_then(Pid::from_raw);
        Ok(Self { pid: pid.ok_or(io::ErrorKind::InvalidData)? })
    }

    /// Ends what is to end; says what could not be ended.
    fn end(&self, why: Why, leftovers: Leftovers) -> Option<String> {
        let ended = match (leftovers, why) {
            (Leftovers::Leave, Why::Ended(_)) => Ok(Survivors(0)),
            (Leftovers::Leave, Why::NoParent) => {
                kill_process(self.pid, Signal::KILL).map(|()| Survivors(0)).map_err(io::Error::from)
            }
            (Leftovers::Leave, Why::TimedOut) => self.end_with_attached(),
            (Leftovers::Kill, _) => {
                // In one step for all in it, so that no fork of theirs gets between; most leave nothing else.
                let _ = kill_process_group(self.pid, Signal::KILL);
                kill_all_of_mine(Instant::now() + ENDING)
            }
        };
        match ended {
            Ok(Survivors(0)) => None,
            Ok(Survivors(count)) => Some(format!("{count} processes of it could not be killed")),
            Err(error) => Some(format!("what it left could not be killed: {error}")),
        }
    }

    /// The hook is there, ended at the most: it was not reaped. So if it is not seen, nothing below it is.
    fn end_with_attached(&self) -> io::Result<Survivors> {
        let seen = match Process::of(self.pid) {
            Some(hook) => kill_attached(hook),
            None => Err(io::Error::other("its processes cannot be seen in /proc")),
        };
        kill_process(self.pid, Signal::KILL)?;
        let survivors = reap_killed(self.pid, Instant::now() + ENDING)?;
        seen.map(|()| survivors)
    }
}

fn contents(task: &Task) -> io::Result<Contents> {
    let mut head = Vec::new();
    File::open(&task.program)?.take(HEAD_BYTES).read_to_end(&mut head)?;
    Ok(Contents::of(&head))
}

/// A hook leads a group of its own, so that one which kills its whole group does not kill the runner.
fn command(task: &Task, mut command: Command) -> Command {
    command
        .env_clear()
        .envs(task.environment.iter().map(|(name, value)| (name, value)))
        .current_dir(&task.folder)
        .stdin(Stdio::null())
        .process_group(0);
    if let Some(ids) = task.user {
        command.uid(ids.user).gid(ids.group);
    }
    command
}

/// All that the runner waits for.
struct Signs {
    child: Listener,
    /// The death signal, and what ends a process that does not listen for it: who ends the runner alone, by mistake, ends
    /// nothing.
    others: [Listener; 4],
}

impl Signs {
    fn listen() -> io::Result<Self> {
        let others = [
            signal(SignalKind::terminate())?,
            signal(SignalKind::interrupt())?,
            signal(SignalKind::hangup())?,
            signal(SignalKind::quit())?,
        ];
        Ok(Self { child: signal(SignalKind::child())?, others })
    }

    /// Waits until a hook is at its end. Orphans that end before it are reaped.
    async fn next(&mut self, hook: Pid, deadline: Instant, parent: Parent, mut stream: AsyncStream) -> Why {
        let [terminate, interrupt, hangup, quit] = &mut self.others;
        let mut byte = [0];
        loop {
            tokio::select! {
                biased;
                _ = self.child.recv() => {
                    if let Some(status) = reap(hook) {
                        return Why::Ended(status);
                    }
                }
                // The caller says nothing more.
                _ = stream.read(&mut byte) => return Why::NoParent,
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
                _ = hangup.recv() => {}
                _ = quit.recv() => {}
                () = sleep_until(deadline.into()) => return Why::TimedOut,
            }
            if !parent.is_there() {
                return Why::NoParent;
            }
        }
    }
}

/// Reaps whatever has ended; the status of the hook, if it is among that.
fn reap(hook: Pid) -> Option<i32> {
    loop {
        match wait(WaitOptions::NOHANG) {
            Ok(Some((pid, status))) if pid == hook => return Some(status.as_raw()),
            Ok(Some(_)) | Err(Errno::INTR) => {}
            Ok(None) | Err(_) => return None,
        }
    }
}
