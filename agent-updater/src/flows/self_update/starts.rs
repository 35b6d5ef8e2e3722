//! Whether a program of the agent starts at all: it says its version.
//!
//! Left out on purpose: whether it works, which only its trial shows.

use std::ffi::OsString;
use std::time::Duration;

use sealpost_files::with_causes;
use sealpost_hook_runner::{Ending, Leftovers, Runner, Task};

use crate::platform::program::OpenProgram;

/// How long a program may take to say its version.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Starts it with `--version`.
///
/// # Errors
/// Why it does not start, for people.
pub(super) fn starts(runner: &Runner, program: &OpenProgram) -> Result<(), String> {
    if !program.is_binary() {
        return Err("it is no binary program".to_owned());
    }
    let task = Task {
        program: program.path_for_others().into(),
        arguments: vec![OsString::from("--version")],
        environment: Vec::new(),
        folder: "/".into(),
        user: None,
        time_limit: TIMEOUT,
        memory_bytes: None,
        leftovers: Leftovers::Kill,
    };
    match runner
        .run(&task)
        .map_err(|error| format!("it cannot be executed here ({})", with_causes(&error)))?
        .ending
    {
        Ending::Exited(status) if status.success() => Ok(()),
        Ending::Exited(status) => Err(format!("`--version` ended with {status}")),
        Ending::TimedOut => Err("`--version` did not end".to_owned()),
    }
}
