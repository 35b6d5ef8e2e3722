//! Asking at the terminal without showing what is typed.
//!
//! The controlling terminal is used, not standard input, so that pipes stay free. The echo comes back
//! on every way out of the function.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};

use rustix::termios::{self, LocalModes, OptionalActions, Termios};
use zeroize::Zeroizing;

/// Longest accepted line, in bytes.
const MAX_LINE_BYTES: usize = 1024;

/// Shows the question and reads one line that is not echoed.
pub(crate) fn ask_hidden(question: &str) -> io::Result<Zeroizing<String>> {
    let mut terminal = OpenOptions::new().read(true).write(true).open("/dev/tty")?;
    let echo_off = EchoOff::start(terminal.try_clone()?)?;
    terminal.write_all(question.as_bytes())?;
    terminal.flush()?;
    let line = read_line(&mut terminal);
    drop(echo_off);
    terminal.write_all(b"\n")?;
    line
}

fn read_line(terminal: &mut impl Read) -> io::Result<Zeroizing<String>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_LINE_BYTES));
    let mut byte = Zeroizing::new([0; 1]);
    while terminal.read(&mut *byte)? == 1 {
        let [character] = *byte;
        if character == b'\n' {
            break;
        }
        if bytes.len() == MAX_LINE_BYTES {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the line is longer than 1024 bytes"));
        }
        bytes.push(character);
    }
    let text = std::str::from_utf8(&bytes).map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))?;
    Ok(Zeroizing::new(text.trim_end_matches('\r').to_owned()))
}

/// The terminal without echo, until dropped.
struct EchoOff {
    terminal: File,
    before: Termios,
}

impl EchoOff {
    fn start(terminal: File) -> io::Result<Self> {
        let before = termios::tcgetattr(&terminal)?;
        let mut quiet = before.clone();
        quiet.local_modes.remove(LocalModes::ECHO);
        termios::tcsetattr(&terminal, OptionalActions::Flush, &quiet)?;
        Ok(Self { terminal, before })
    }
}

impl Drop for EchoOff {
    fn drop(&mut self) {
        // Nothing more can be done for a terminal that is gone.
        let _ = termios::tcsetattr(&self.terminal, OptionalActions::Flush, &self.before);
    }
}
