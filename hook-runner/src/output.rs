//! The end of what a hook printed.

use std::collections::VecDeque;
use std::io::{self, Read};

/// How much of a hook's output is kept: the last bytes.
pub const OUTPUT_TAIL_BYTES: usize = 64 * 1024;

/// The last bytes of an output.
#[derive(Debug, Default)]
pub(crate) struct Tail(VecDeque<u8>);

impl Tail {
    /// Reads once; `true` if something came. Closes the pipe at its end.
    pub(crate) fn take(&mut self, pipe: &mut Option<impl Read>) -> io::Result<bool> {
        let Some(open) = pipe else { return Ok(false) };
        let mut buffer = [0u8; 8 * 1024];
        match open.read(&mut buffer) {
            Ok(0) => {
                *pipe = None;
                Ok(false)
            }
            Ok(count) => {
                self.push(&buffer[..count]);
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(true),
            Err(error) => Err(error),
        }
    }

    fn push(&mut self, bytes: &[u8]) {
        self.0.extend(bytes);
        let surplus = self.0.len().saturating_sub(OUTPUT_TAIL_BYTES);
        self.0.drain(..surplus);
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.0.into()
    }
}

/// A text of at most `most` bytes: the sentence, and as much of the output's end as fits. Control characters
/// other than line ends and tabs are replaced.
#[must_use]
pub fn with_output(what: &str, output: &[u8], most: usize) -> String {
    let printed: String = String::from_utf8_lossy(output)
        .chars()
        .map(|character| {
            if character.is_control() && character != '\n' && character != '\t' {
                '\u{fffd}'
            } else {
                character
            }
        })
        .collect();
    let printed = printed.trim();
    if printed.is_empty() {
        return what.to_owned();
    }
    let room = most.saturating_sub(what.len() + 32);
    let mut from = printed.len().saturating_sub(room);
    while !printed.is_char_boundary(from) {
        from += 1;
    }
    format!("{what}; it printed: {}", &printed[from..])
}
