//! Tools of the system, run for a bounded time with what they say bounded.

use std::io::{self, Read};
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::io::{Errno, ioctl_fionbio};

/// Between two looks whether it has ended.
const GLANCE: Duration = Duration::from_millis(20);
/// What is read at once, in bytes.
const PART: usize = 4096;

/// How a tool ended.
#[derive(Debug)]
pub struct Ended {
    /// Its status.
    pub status: ExitStatus,
    /// The beginning of what it printed, without blanks around it; not yet fit for a terminal.
    pub printed: String,
    /// The same of its complaints.
    pub complained: String,
}

/// Runs a tool without input. Of what it prints and of what it complains `keep` bytes are kept each, and the rest is read and
/// dropped, so that it never waits for a reader. What a process that it left behind prints later is not waited for.
///
/// # Errors
/// When it does not start, cannot be read, or did not end in time and was killed ([`io::ErrorKind::TimedOut`]).
pub fn run(mut command: Command, within: Duration, keep: usize) -> io::Result<Ended> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn()?;
    let (mut printed, mut complained) = (Said::of(child.stdout.take())?, Said::of(child.stderr.take())?);
    let until = Instant::now() + within;
    loop {
        // Looked at first: what it said before its end is read after.
        let ended = child.try_wait()?;
        printed.read(keep)?;
        complained.read(keep)?;
        if let Some(status) = ended {
            return Ok(Ended { status, printed: printed.text(), complained: complained.text() });
        }
        if Instant::now() >= until {
            // It may have ended just now.
            let _ = child.kill();
            let _ = child.wait();
            return Err(io::Error::new(
                io::ErrorKind::TimedOut,
                format!("it did not end within {} s", within.as_secs()),
            ));
        }
        thread::sleep(GLANCE);
    }
}

/// One of the two things that a tool writes to.
struct Said<R> {
    pipe: Option<R>,
    kept: Vec<u8>,
}

impl<R: Read + rustix::fd::AsFd> Said<R> {
    fn of(pipe: Option<R>) -> io::Result<Self> {
        if let Some(pipe) = &pipe {
            ioctl_fionbio(pipe, true)?;
        }
        Ok(Self { pipe, kept: Vec::new() })
    }

    /// Reads what is there now, but not for ever from one that prints without end.
    fn read(&mut self, keep: usize) -> io::Result<()> {
        const PARTS: usize = 256;
        let Some(pipe) = &mut self.pipe else { return Ok(()) };
        let mut part = [0; PART];
        for _ in 0..PARTS {
            match pipe.read(&mut part) {
                Ok(0) => {
                    self.pipe = None;
                    break;
                }
                Ok(read) => {
                    let room = keep.saturating_sub(self.kept.len()).min(read);
                    self.kept.extend_from_slice(part.get(..room).unwrap_or_default());
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.raw_os_error() == Some(Errno::AGAIN.raw_os_error()) => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.kept).trim().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str, within: Duration, keep: usize) -> io::Result<Ended> {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        run(command, within, keep)
    }

    #[test]
    fn what_it_says_is_kept_up_to_a_bound_and_it_never_waits_for_a_reader() {
        const LONG: Duration = Duration::from_secs(60);
        let ended = sh("echo out; echo err >&2; exit 3", LONG, 100).unwrap();
        assert_eq!(
            (ended.status.code(), ended.printed.as_str(), ended.complained.as_str()),
            (Some(3), "out", "err")
        );
        let ended = sh("head -c 1000000 /dev/zero | tr '\\0' x; echo end >&2", LONG, 10).unwrap();
        assert_eq!((ended.printed.as_str(), ended.complained.as_str()), ("xxxxxxxxxx", "end"));
    }

    #[test]
    fn neither_one_that_stays_nor_what_it_left_behind_is_waited_for() {
        let late = sh("sleep 600", Duration::from_millis(100), 10).unwrap_err();
        assert_eq!(late.kind(), io::ErrorKind::TimedOut);
        let ended = sh("(sleep 600) & echo $!", Duration::from_secs(60), 10).unwrap();
        let left: i32 = ended.printed.parse().unwrap();
        let left = rustix::process::Pid::from_raw(left).unwrap();
        rustix::process::kill_process(left, rustix::process::Signal::KILL).unwrap();
    }
}
