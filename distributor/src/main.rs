//! The Primary Server's command line.

use std::process::ExitCode;

fn main() -> ExitCode {
    sealpost_distributor::cli::run()
}
