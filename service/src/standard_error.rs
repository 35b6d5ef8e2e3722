//! Standard error, which must never stop work: it may lie on a full disk, be a pipe that nobody reads, or be closed.
//!
//! Invariants: nothing here fails or panics; what cannot be written is dropped and counted, and the next line that can be
//! written says how many were lost; nobody waits longer than [`PATIENCE`] for a reader that does not read.
//! Left out on purpose: a terminal that a person holds (Ctrl-S) may hold back a line that is longer than its buffer.

use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// How long a line waits for a reader that is slow.
const PATIENCE: Duration = Duration::from_millis(250);
/// How long nobody waits again after a reader did not read in time.
const NO_WAIT_FOR: Duration = Duration::from_secs(10);
/// What a pipe takes without waiting once it says that it takes anything, in bytes (`PIPE_BUF`).
const ATOMIC_BYTES: usize = 4096;

static STATE: Mutex<State> = Mutex::new(State::new());

/// Writes whole lines, or a part of one that a person is to see at once.
pub(crate) fn write(text: &[u8]) {
    STATE.lock().unwrap_or_else(PoisonError::into_inner).write(&mut Real, text);
}

/// Where the bytes go.
trait Stream {
    /// Whether some bytes can be written without waiting, or the stream says at once that it cannot be written.
    fn takes_within(&mut self, patience: Duration) -> bool;
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize>;
}

/// What became of the lines so far.
#[derive(Debug, Default)]
struct State {
    /// Lines that were lost since the last one that was written.
    lost: u64,
    /// The last line was cut.
    is_cut: bool,
    /// Until then nobody waits for the reader.
    no_wait_until: Option<Instant>,
}

impl State {
    const fn new() -> Self {
        Self { lost: 0, is_cut: false, no_wait_until: None }
    }

    fn write(&mut self, stream: &mut impl Stream, text: &[u8]) {
        let mut whole = Vec::new();
        let bytes = if self.is_cut || self.lost > 0 {
            whole.extend_from_slice(self.notice().as_bytes());
            whole.extend_from_slice(text);
            &whole
        } else {
            text
        };
        match self.write_all(stream, bytes) {
            Ok(()) => (self.lost, self.is_cut) = (0, false),
            Err(NotWritten { is_begun }) => {
                self.lost = self.lost.saturating_add(1);
                self.is_cut |= is_begun;
            }
        }
    }

    /// What goes before the next line.
    fn notice(&self) -> String {
        let end_of_cut = if self.is_cut { "\n" } else { "" };
        let lines = if self.lost == 1 { "line" } else { "lines" };
        format!("{end_of_cut}WARN {} {lines} before this one could not be written here\n", self.lost)
    }

    fn write_all(&mut self, stream: &mut impl Stream, bytes: &[u8]) -> Result<(), NotWritten> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let lost = NotWritten { is_begun: rest.len() < bytes.len() };
            if !self.waits_for(stream) {
                return Err(lost);
            }
            let (part, _) = rest.split_at(rest.len().min(ATOMIC_BYTES));
            match stream.write(part) {
                Ok(0) => return Err(lost),
                Ok(written) => rest = rest.get(written..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Err(lost),
            }
        }
        Ok(())
    }

    fn waits_for(&mut self, stream: &mut impl Stream) -> bool {
        let waits = self.no_wait_until.is_none_or(|until| until <= Instant::now());
        let takes = stream.takes_within(if waits { PATIENCE } else { Duration::ZERO });
        if !takes && waits {
            self.no_wait_until = Instant::now().checked_add(NO_WAIT_FOR);
        }
        takes
    }
}

/// A line that was not written whole.
struct NotWritten {
    /// A part of it was.
    is_begun: bool,
}

/// The process's own.
struct Real;

impl Stream for Real {
    fn takes_within(&mut self, patience: Duration) -> bool {
        let stream = own();
        let limit = Timespec::try_from(patience).unwrap_or_default();
        match poll(&mut [PollFd::new(&stream, PollFlags::OUT)], Some(&limit)) {
            Ok(ready) => ready > 0,
            // A signal: the write is tried.
            Err(_) => true,
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        own().write(bytes)
    }
}

#[expect(clippy::disallowed_methods, reason = "here is the one place that writes to standard error")]
fn own() -> io::Stderr {
    io::stderr()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes as many bytes as there is room, and waits for a reader or refuses when there is none.
    #[derive(Default)]
    struct Scripted {
        room: usize,
        waits_when_full: bool,
        written: Vec<u8>,
        waited: Vec<Duration>,
    }

    impl Stream for Scripted {
        fn takes_within(&mut self, patience: Duration) -> bool {
            self.waited.push(patience);
            self.room > 0 || !self.waits_when_full
        }

        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let taken = bytes.len().min(self.room);
            if taken == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.room -= taken;
            self.written.extend_from_slice(&bytes[..taken]);
            Ok(taken)
        }
    }

    #[test]
    fn lines_that_a_full_disk_did_not_take_are_counted_and_the_next_good_line_says_how_many() {
        let (mut state, mut stream) = (State::default(), Scripted { room: 4, ..Scripted::default() });
        state.write(&mut stream, b"one\n");
        state.write(&mut stream, b"two\n");
        state.write(&mut stream, b"three\n");
        stream.room = 1000;
        state.write(&mut stream, b"four\n");
        state.write(&mut stream, b"five\n");
        let said = String::from_utf8(stream.written).unwrap();
        assert_eq!(said, "one\nWARN 2 lines before this one could not be written here\nfour\nfive\n");
    }

    #[test]
    fn a_line_that_was_cut_is_ended_before_the_next_one() {
        let (mut state, mut stream) = (State::default(), Scripted { room: 2, ..Scripted::default() });
        state.write(&mut stream, b"one\n");
        stream.room = 1000;
        state.write(&mut stream, b"two\n");
        let said = String::from_utf8(stream.written).unwrap();
        assert_eq!(said, "on\nWARN 1 line before this one could not be written here\ntwo\n");
    }

    #[test]
    fn a_reader_that_does_not_read_is_waited_for_once_and_not_by_each_line() {
        let mut stream = Scripted { waits_when_full: true, ..Scripted::default() };
        let mut state = State::default();
        (0..3).for_each(|_| state.write(&mut stream, b"line\n"));
        assert_eq!(stream.waited, [PATIENCE, Duration::ZERO, Duration::ZERO]);
        assert_eq!(state.lost, 3);
    }
}
