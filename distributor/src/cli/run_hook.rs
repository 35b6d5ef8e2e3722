//! `distributor run-hook`, hidden: the server starts it for each program that loads a release, so that nothing of it is left
//! whatever becomes of the server.

use std::process::ExitCode;

use super::output::tell;

/// To be called before a second thread is started: a program without root's rights has them taken away from one thread.
pub(super) fn execute() -> ExitCode {
    match sealpost_hook_runner::serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tell(format_args!("error: {error}"));
            ExitCode::FAILURE
        }
    }
}
