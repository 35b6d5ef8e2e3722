//! What caller and runner say to each other over the socket: one line of JSON each, bounded.
//!
//! Invariant: the caller says one thing, the order. Whatever else comes from its side is its end.

use std::io::{self, BufRead, BufReader, Read, Write};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::task::Task;

/// Upper bound on a line; arguments and environment of a program are bounded by the system in the same range.
pub(crate) const MAX_LINE_BYTES: u64 = 1024 * 1024;

/// From the caller.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Order {
    /// Process number of the caller, so that the runner notices if that had ended before the runner could notice it.
    pub(crate) parent: u32,
    pub(crate) task: Task,
}

/// From the runner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Message {
    /// The hook runs, under this process number.
    Started { pid: i32 },
    /// The hook could not be started; `errno` is the system's number of the error, where it has one.
    NotStarted { errno: Option<i32>, error: String },
    /// The hook ended with this status, as the system encodes it, and nothing that was to be killed is left.
    Ended { status: i32, problem: Option<String> },
    /// The hook was killed at its time limit.
    TimedOut { problem: Option<String> },
}

/// A line of a value.
pub(crate) fn line_of(value: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    if u64::try_from(line.len()).unwrap_or(u64::MAX) > MAX_LINE_BYTES {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "arguments and environment are too long"));
    }
    Ok(line)
}

/// Writes a value as a line.
pub(crate) fn write_line(mut to: impl Write, value: &impl Serialize) -> io::Result<()> {
    to.write_all(&line_of(value)?)
}

/// Reads a line; `None` at the end of the stream.
pub(crate) fn read_line<T: DeserializeOwned>(from: impl Read) -> io::Result<Option<T>> {
    let mut line = Vec::new();
    BufReader::new(from.take(MAX_LINE_BYTES)).read_until(b'\n', &mut line)?;
    if line.pop() != Some(b'\n') {
        return Ok(None);
    }
    Ok(Some(serde_json::from_slice(&line)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_is_cut_or_too_long_is_none() {
        let told = Message::Ended { status: 256, problem: None };
        let line = line_of(&told).unwrap();
        assert_eq!(read_line::<Message>(line.as_slice()).unwrap(), Some(told));
        assert_eq!(read_line::<Message>(&line[..line.len() - 1]).unwrap(), None);
        assert_eq!(read_line::<Message>(io::repeat(b' ')).unwrap(), None);
        assert!(line_of(&"x".repeat(2_000_000)).is_err());
    }
}
