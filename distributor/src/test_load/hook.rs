//! One test-load: the release is laid out for it alone, and the program runs with few rights, a time limit and bounded output.
//!
//! Invariant: a program that others could change, that cannot be executed, or of which something is left afterwards lets no
//! release through. What it is given is a copy that is removed: it changes nothing that the server keeps.

use std::error::Error;
use std::path::{Path, PathBuf};

use sealpost_files::with_causes;
use sealpost_hook_runner::ownership::ensure_not_writable_by_others;
use sealpost_hook_runner::{
    Ending, Finished, Leftovers, Runner, Task, UserIds, ensure_reachable_by_everybody, ensure_runnable,
    users, with_output,
};
use sealpost_site::rules::release::KnownRelease;
use sealpost_site::rules::test_load::TestOutcome;
use tempfile::TempDir;

use super::room::Room;
use crate::config::TestLoad;
use crate::ports::blobs::BlobError;
use crate::ports::staging::{LaidOut, Staging, StagingError};

/// The search path that programs get.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Longest text of a test, in bytes.
const MAX_DETAIL_BYTES: usize = 2 * 1024;

/// What came of a test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tested {
    pub(super) outcome: TestOutcome,
    /// What it said, or why it was not run, for people.
    pub(super) detail: String,
}

impl Tested {
    pub(super) fn not_run(detail: impl Into<String>) -> Self {
        Self { outcome: TestOutcome::NotRun, detail: detail.into() }
    }
}

/// Lays a release out and has it loaded. Blocks.
pub(super) fn load(
    staging: &dyn Staging,
    room: &Room,
    runner: &Runner,
    release: &KnownRelease,
    program: &TestLoad,
) -> Tested {
    match run(staging, room, runner, release, program) {
        Ok(finished) => judge(program, &finished),
        Err(detail) => Tested::not_run(detail),
    }
}

fn run(
    staging: &dyn Staging,
    room: &Room,
    runner: &Runner,
    release: &KnownRelease,
    program: &TestLoad,
) -> Result<Finished, String> {
    let user = usable(program)?;
    let (_folder, slot) = laid_out(staging, room, release)?;
    if user.is_some_and(|ids| ids.user != 0) {
        ensure_reachable_by_everybody(&slot, &program.user)?;
    }
    let [name, arguments @ ..] = program.command.as_slice() else {
        return Err("no program is named".to_owned());
    };
    let filled_in = |argument: &String| {
        let slot = slot.to_string_lossy();
        argument.replace("{slot}", &slot).replace("{version}", release.release.version.as_str()).into()
    };
    let task = Task {
        program: name.into(),
        arguments: arguments.iter().map(filled_in).collect(),
        environment: vec![
            ("PATH".to_owned(), PATH.into()),
            ("SEALPOST_HOOK".to_owned(), "test_load".into()),
            ("SEALPOST_PACKAGE".to_owned(), release.release.package.as_str().into()),
            ("SEALPOST_VERSION".to_owned(), release.release.version.as_str().into()),
            ("SEALPOST_SLOT".to_owned(), slot.clone().into()),
        ],
        folder: "/".into(),
        user,
        time_limit: program.time_limit,
        memory_bytes: Some(program.memory_bytes),
        leftovers: Leftovers::Kill,
    };
    runner.run(&task).map_err(|error| format!("{name} could not be run: {}", with_causes(&error)))
}

/// Checks that nobody else can change the program or a file that it is given, and that it can be executed; the user that it
/// runs as, if not the server's.
fn usable(program: &TestLoad) -> Result<Option<UserIds>, String> {
    let [name, arguments @ ..] = program.command.as_slice() else {
        return Err("no program is named".to_owned());
    };
    let not_run = |error: &(dyn Error + 'static)| format!("{name} is not run: {}", with_causes(error));
    ensure_not_writable_by_others(Path::new(name)).map_err(|error| not_run(&error))?;
    for argument in arguments {
        let path = Path::new(argument);
        if path.is_absolute() && path.is_file() {
            ensure_not_writable_by_others(path).map_err(|error| not_run(&error))?;
        }
    }
    let user = if rustix::process::geteuid().is_root() {
        Some(users::find(&program.user).map_err(|error| with_causes(&error))?)
    } else {
        None
    };
    ensure_runnable(Path::new(name), arguments, user, PATH).map_err(|error| not_run(&error))?;
    Ok(user)
}

/// The release in a folder of its own, which is removed with the first part of the answer.
fn laid_out(
    staging: &dyn Staging,
    room: &Room,
    release: &KnownRelease,
) -> Result<(TempDir, PathBuf), String> {
    let unusable = |error: StagingError| format!("it cannot be unpacked: {}", with_causes(&error));
    // A manifest that is not here needs no room; what is missing of the release is said below.
    let needed = match staging.manifest(&release.manifest) {
        Ok(manifest) => manifest.map_or(0, |manifest| manifest.payload.tar.length),
        Err(StagingError::Blobs { source: BlobError::Damaged { .. } }) => 0,
        Err(error) => return Err(unusable(error)),
    };
    let folder = room.make(needed)?;
    let slot = folder.path().join("slot");
    match staging.lay_out(&release.manifest, &slot).map_err(unusable)? {
        LaidOut::Whole => Ok((folder, slot)),
        LaidOut::Absent => Err("its payload is not stored here; `distributor pull` fetches it".to_owned()),
        LaidOut::Damaged => {
            Err("what is stored of it here was changed or damaged on the disk, and was put aside: check \
                                 the disk, then `distributor pull` fetches it again"
                .to_owned())
        }
    }
}

fn judge(program: &TestLoad, finished: &Finished) -> Tested {
    let name = program.command.first().map_or("?", String::as_str);
    let what = match finished.ending {
        // What is left of it has the release in its hands.
        Ending::Exited(status) if status.success() && finished.problem.is_none() => {
            return Tested { outcome: TestOutcome::Passed, detail: String::new() };
        }
        Ending::Exited(status) => format!("{name} ended with {status}"),
        Ending::TimedOut => format!("{name} was killed after {} s", program.time_limit.as_secs()),
    };
    let left = finished.problem.as_ref().map(|problem| format!("; {problem}")).unwrap_or_default();
    let detail = with_output(&format!("{what}{left}"), &finished.output, MAX_DETAIL_BYTES);
    let outcome = match finished.ending {
        Ending::TimedOut => TestOutcome::TimedOut,
        Ending::Exited(_) => TestOutcome::Failed,
    };
    Tested { outcome, detail }
}
