//! The vendor's command line.

use std::process::ExitCode;

fn main() -> ExitCode {
    sealpost_publisher::cli::run()
}
