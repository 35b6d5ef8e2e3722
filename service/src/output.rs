//! The one place that prints: results go to standard output, everything else to standard error.
//!
//! Invariants: a result that cannot be printed is an error, so that no command says "done" to nobody; what is told on
//! standard error never fails and never stops work; nothing that is printed moves a terminal's cursor, whoever wrote it.
//! Left out on purpose: tables, colors and wording, which are the programs' own.

use std::env;
use std::error::Error;
use std::fmt::Display;
use std::io::{self, IsTerminal, Write};

use crate::standard_error;
use crate::text::{harmless, harmless_json};

/// Standard output cannot be written: its disk is full, or its reader has left.
#[derive(Debug, thiserror::Error)]
#[error("cannot write to standard output")]
pub struct OutputError(#[from] io::Error);

impl OutputError {
    /// Whoever reads has enough, as `head` does.
    #[must_use]
    pub fn is_closed_pipe(&self) -> bool {
        self.0.kind() == io::ErrorKind::BrokenPipe
    }
}

/// Whether a command failed because the reader of its result has left; then there is nobody to tell. `causes` are the
/// error and what caused it.
pub fn reader_has_left<'a>(mut causes: impl Iterator<Item = &'a (dyn Error + 'static)>) -> bool {
    causes.any(|cause| cause.downcast_ref().is_some_and(OutputError::is_closed_pipe))
}

/// Prints one line of result. A text from outside that could pretend to be another line is made
/// [plain](crate::text::plain) first.
///
/// # Errors
/// [`OutputError`].
pub fn print_line(line: impl Display) -> Result<(), OutputError> {
    print_bytes(format!("{}\n", harmless(&line.to_string())).as_bytes())
}

/// Prints a result that is JSON already.
///
/// # Errors
/// [`OutputError`].
pub fn print_json(json: &str) -> Result<(), OutputError> {
    print_bytes(format!("{}\n", harmless_json(json)).as_bytes())
}

/// Prints what no other text goes into, as it is: a script, a page, a unit file.
///
/// # Errors
/// [`OutputError`].
pub fn print_bytes(bytes: &[u8]) -> Result<(), OutputError> {
    let mut out = standard_output().lock();
    out.write_all(bytes)?;
    // What stays in the buffer is lost without an error when the process ends.
    Ok(out.flush()?)
}

/// Tells the person at the terminal something that is no result.
pub fn tell(line: impl Display) {
    standard_error::write(format!("{}\n", harmless(&line.to_string())).as_bytes());
}

/// The same without an end of the line: a question, or how far something is. A carriage return at the beginning lets it
/// replace what was told so before.
pub fn tell_part(part: impl Display) {
    let part = part.to_string();
    let (start, rest) = part.strip_prefix('\r').map_or(("", part.as_str()), |rest| ("\r", rest));
    standard_error::write(format!("{start}{}", harmless(rest)).as_bytes());
}

/// Whether somebody is there who can answer a question.
#[must_use]
pub fn can_ask() -> bool {
    io::stdin().is_terminal() && is_told_to_a_terminal()
}

/// Whether what is told is seen on a terminal, where progress may be shown.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "nothing is written")]
pub fn is_told_to_a_terminal() -> bool {
    io::stderr().is_terminal()
}

/// Whether results are shown in colors: on a terminal only, and not where `NO_COLOR` is set (see no-color.org).
#[must_use]
pub fn shows_colors() -> bool {
    allows_colors() && standard_output().is_terminal()
}

/// The same for what is told.
#[must_use]
pub fn tells_in_colors() -> bool {
    allows_colors() && is_told_to_a_terminal()
}

fn allows_colors() -> bool {
    env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

#[expect(clippy::disallowed_methods, reason = "here is the one place that writes to standard output")]
fn standard_output() -> io::Stdout {
    io::stdout()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_that_has_left_is_told_from_a_disk_that_is_full_and_from_a_connection_that_broke() {
        let left = |error: &(dyn Error + 'static)| reader_has_left(std::iter::once(error));
        assert!(left(&OutputError(io::ErrorKind::BrokenPipe.into())));
        assert!(!left(&OutputError(io::ErrorKind::StorageFull.into())));
        assert!(!left(&io::Error::from(io::ErrorKind::BrokenPipe)));
    }
}
