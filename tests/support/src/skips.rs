//! A test that cannot run where it is: it says so loudly, and where nothing may be skipped it fails.
//!
//! `tests/run` sets both variables, so that its summary names what was skipped.

use std::fs::OpenOptions;
use std::io::{self, Write};

/// Set where nothing may be skipped.
const NO_SKIPPING: &str = "SEALPOST_NO_SKIPPING";
/// The file that takes a line for each test that was skipped.
const SKIPPED: &str = "SEALPOST_SKIPPED";

/// Notes that a test is skipped: which, and what it would need.
///
/// # Errors
/// Where nothing may be skipped, or when it cannot be noted.
#[expect(clippy::print_stderr, reason = "whoever runs the test by hand sees why it did nothing")]
pub fn skip(message: &str) -> io::Result<()> {
    if std::env::var_os(NO_SKIPPING).is_some() {
        return Err(io::Error::other(message.to_owned()));
    }
    eprintln!("!!! SKIPPED {message}");
    match std::env::var_os(SKIPPED) {
        Some(list) => writeln!(OpenOptions::new().append(true).create(true).open(list)?, "{message}"),
        None => Ok(()),
    }
}

/// Notes that the test of this thread is skipped, because it needs something that is not here.
///
/// # Errors
/// As [`skip`].
pub fn needs(what: &str) -> io::Result<()> {
    skip(&format!("{}: needs {what}", std::thread::current().name().unwrap_or("a test")))
}
