//! The test program itself as the process that runs hooks: it has no subcommands, so a test of it is one.

use sealpost_hook_runner::{Runner, serve};

/// The word by which the test below is told apart from its own run.
const AS_THE_RUNNER: &str = "as-the-runner";

/// This test program, as the runner: see `acts_as_the_runner`.
pub(crate) fn runner_of_tests() -> Runner {
    let arguments = ["--exact", "hooks::runner_of_tests::acts_as_the_runner", AS_THE_RUNNER, "--nocapture"];
    Runner {
        program: std::env::current_exe().unwrap(),
        arguments: arguments.map(std::ffi::OsString::from).to_vec(),
    }
}

/// The other tests start this one as a process of its own; otherwise it is idle.
#[test]
fn acts_as_the_runner() {
    if std::env::args().any(|argument| argument == AS_THE_RUNNER) {
        serve().unwrap();
        // What a test program says at its end is no hook's output.
        std::process::exit(0);
    }
}
