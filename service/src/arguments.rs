//! Reading a program's arguments.
//!
//! Left out on purpose: what the arguments mean.

use std::io;
use std::process::ExitCode;

use clap::Parser;

use crate::output::tell;

/// Reads the arguments of this process. Help, the version and what is wrong with the arguments are printed here; then the
/// status is answered with which the process is to end: 2 for arguments that are not understood, 1 for help that cannot
/// be printed.
///
/// # Errors
/// That status.
pub fn parse<P: Parser>() -> Result<P, ExitCode> {
    P::try_parse().map_err(|told| {
        let printed = told.print();
        let status = u8::try_from(told.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from);
        match printed {
            Err(error) if !told.use_stderr() => {
                if error.kind() != io::ErrorKind::BrokenPipe {
                    tell(format_args!("error: cannot write to standard output: {error}"));
                }
                ExitCode::FAILURE
            }
            _ => status,
        }
    })
}
