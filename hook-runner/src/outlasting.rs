//! The output of what a start hook left running, which outlasts the hook, the runner and the caller.
//!
//! Invariant: somebody reads it until its last writer has ended. Else the system would end a product at the first line that
//! it prints after its start hook; and one whose output nobody empties would stand still.
//! Left out on purpose: keeping what is read. A product that wants a log writes one.

use std::env;
use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::stdio::{dup2_stderr, dup2_stdout};

/// The program of this process, whatever became of its name: a runner is of the same version as its caller, and a reader
/// of the same as its runner.
pub(crate) const OWN_PROGRAM: &str = "/proc/self/exe";
/// Opened for reading, it is the other end of the pipe.
const OWN_OUTPUT: &str = "/proc/self/fd/1";
/// How long the caller may take to read what the hook printed.
const CALLER_READS: Timespec = Timespec { tv_sec: 10, tv_nsec: 0 };
/// The name under which a reader is started and seen in a list of processes. It is no name of a program.
const READER: &str = "sealpost-discards-output";

/// Whether this process is a reader, and not a runner.
pub(crate) fn is_reader() -> bool {
    env::args_os().next().is_some_and(|name| name == READER)
}

/// Is a reader: reads standard input to its end.
pub(crate) fn discard() -> io::Result<()> {
    io::copy(&mut io::stdin().lock(), &mut io::sink()).map(drop)
}

/// The other end of this process's output.
#[derive(Debug)]
pub(crate) struct Output(File);

impl Output {
    /// Holds it: as long as this is there, whoever writes is not ended. `None` if the output is no pipe.
    pub(crate) fn hold() -> io::Result<Option<Self>> {
        // Looked at first: a terminal would become the one of this session.
        if !fs::metadata(OWN_OUTPUT)?.file_type().is_fifo() {
            return Ok(None);
        }
        File::open(OWN_OUTPUT).map(|end| Some(Self(end)))
    }

    /// Closes this process's output, and if somebody else still has it open, starts a reader, as soon as the caller reads
    /// no more: it has closed its end of the socket then.
    pub(crate) fn hand_over(self, caller: Option<impl AsFd>) -> io::Result<()> {
        let null = File::options().read(true).write(true).open("/dev/null")?;
        dup2_stdout(&null)?;
        dup2_stderr(&null)?;
        if let Some(caller) = caller {
            ready(caller, &CALLER_READS)?;
        }
        if ready(&self.0, &Timespec { tv_sec: 0, tv_nsec: 0 })?.contains(PollFlags::HUP) {
            return Ok(());
        }
        Command::new(OWN_PROGRAM)
            .arg0(READER)
            .args(env::args_os().skip(1))
            .env_clear()
            .current_dir("/")
            .stdin(self.0)
            .stdout(null.try_clone()?)
            .stderr(null)
            .spawn()
            .map(drop)
    }
}

/// What there is of a descriptor at the latest after a while.
fn ready(descriptor: impl AsFd, at_most: &Timespec) -> io::Result<PollFlags> {
    let mut watched = [PollFd::new(&descriptor, PollFlags::IN)];
    while let Err(error) = poll(&mut watched, Some(at_most)) {
        if error != Errno::INTR {
            return Err(error.into());
        }
    }
    Ok(watched[0].revents())
}
