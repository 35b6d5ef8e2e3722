//! The log of a program: lines on standard error, which systemd keeps.
//!
//! Invariants: no line stops work, whatever standard error is (see the crate's `standard_error`); a panic is a line of the
//! log too, and never ends more than the thread or task in which it is.
//! Left out on purpose: which level a program logs, and who ends the process after a panic (its owner is told by the join
//! handle of what panicked).

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io;
use std::panic::{self, PanicHookInfo};
use std::thread;

use tracing::Level;

use crate::output::tells_in_colors;
use crate::standard_error;

/// Whether a line names the module that wrote it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Modules {
    /// It does.
    Named,
    /// It does not.
    Unnamed,
}

/// Starts the log of this process, once, before anything else. A second call changes nothing.
#[expect(clippy::disallowed_methods, reason = "here is the one place that starts a log")]
pub fn start(level: Level, modules: Modules) {
    panic::set_hook(Box::new(report));
    let built = tracing_subscriber::fmt()
        .with_writer(|| Lines)
        .with_ansi(tells_in_colors())
        .with_max_level(level)
        .with_target(modules == Modules::Named)
        // It would report a line that cannot be written where none can be written, and panic there.
        .log_internal_errors(false)
        .finish();
    // Fails only if there is a log already.
    let _ = tracing::subscriber::set_global_default(built);
}

/// Takes whole lines, and never fails.
struct Lines;

impl io::Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        standard_error::write(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes the line of a panic. Past `tracing`, which may be what panicked.
fn report(panic: &PanicHookInfo<'_>) {
    let thread = thread::current();
    let place = panic.location().map_or_else(String::new, |location| format!(" at {location}"));
    let (payload, unknown) = (panic.payload(), "no reason is known");
    let why = payload
        .downcast_ref()
        .copied()
        .or_else(|| payload.downcast_ref().map(String::as_str))
        .unwrap_or(unknown);
    let backtrace = Backtrace::capture();
    let mut text =
        format!("ERROR thread {} panicked{place}: {why}\n", thread.name().unwrap_or("without a name"));
    if backtrace.status() == BacktraceStatus::Captured {
        text.push_str(&backtrace.to_string());
    }
    standard_error::write(text.as_bytes());
}
