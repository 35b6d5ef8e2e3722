//! The runner as a program of its own, which the tests of this crate start.

use std::process::ExitCode;

fn main() -> ExitCode {
    match sealpost_hook_runner::serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
