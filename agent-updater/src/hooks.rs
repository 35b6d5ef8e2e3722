//! Hooks: the administrator's own programs that test, stop, start and check a product.
//!
//! Invariants: a hook comes from the computer's own configuration, never from a package or a server; it is not run if
//! others than root and the agent's user can change it, a file that it is given, or a folder above either; its time and
//! output are bounded, and nothing of it is left afterwards but what a start hook started, whatever becomes of the agent
//! (`sealpost-hook-runner`). If the agent runs as root, the test-load hook runs without root's rights.
//! Left out on purpose: limits on what the administrator's program itself does.

use std::error::Error;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sealpost_files::with_causes;
use sealpost_hook_runner::{
    Ending, Finished, Leftovers, RunError, Runner, Task, UserIds, ensure_reachable_by_everybody,
    ensure_runnable, with_output,
};
use sealpost_manifests::release::ReleaseId;
use sealpost_manifests::wire::report::{MAX_DETAIL_BYTES, ReasonCode};

use crate::config::PackageConfig;
use crate::platform::ownership::ensure_not_writable_by_others;
use crate::platform::users;

#[cfg(test)]
pub(crate) mod runner_of_tests;

/// The hidden subcommand by which the agent starts the process that runs a hook.
pub const RUN_HOOK: &str = "run-hook";
/// The search path that hooks get.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hook {
    /// Loads the new release without using it: exit 0 means that the product can read it.
    TestLoad,
    /// Asked before a change touches the product: exit 0 means that it may begin, 75 that it may not yet.
    Ready,
    Stop,
    Start,
    /// Exit 0 means that the product works.
    Health,
}

impl Hook {
    pub const ALL: [Self; 5] = [Self::TestLoad, Self::Ready, Self::Stop, Self::Start, Self::Health];

    /// Its name in the configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::TestLoad => "test_load",
            Self::Ready => "ready",
            Self::Stop => "stop",
            Self::Start => "start",
            Self::Health => "health",
        }
    }

    /// The consequence if the hook is not configured.
    #[must_use]
    pub const fn without_it(self) -> &'static str {
        match self {
            Self::TestLoad => {
                "a release that the product cannot load is found only after the switch, if at all"
            }
            Self::Ready => "nothing asks the product whether it may be stopped now",
            Self::Stop => "the product keeps running while its files are switched",
            Self::Start => {
                "the product is not restarted; it uses the new release when it opens its files again"
            }
            Self::Health => {
                "every release whose hooks succeed is kept; nothing notices that the product fails"
            }
        }
    }

    fn command(self, config: &PackageConfig) -> Option<&[String]> {
        let command = match self {
            Self::TestLoad => &config.test_load,
            Self::Ready => &config.ready,
            Self::Stop => &config.stop,
            Self::Start => &config.start,
            Self::Health => &config.health,
        };
        command.as_deref().filter(|command| !command.is_empty())
    }

    #[must_use]
    pub fn is_configured(self, config: &PackageConfig) -> bool {
        self.command(config).is_some()
    }
}

impl fmt::Display for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What a hook is about, told to it by arguments and environment.
#[derive(Debug)]
pub struct HookContext<'a> {
    /// The release that the hook is about.
    pub release: &'a ReleaseId,
    pub slot: PathBuf,
    pub current: PathBuf,
}

/// A hook that did not succeed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct HookFault {
    pub reason: ReasonCode,
    /// For people, with the last lines that the hook printed.
    pub detail: String,
}

/// How a hook succeeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HookDone {
    /// It ran and ended with 0.
    Ran,
    NotConfigured,
}

/// What the `ready` hook says about a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ready {
    /// It may begin, or no hook is configured.
    Yes,
    NotNow,
    /// The hook could not be run, or did not end as it may. That counts as yes: only an answer puts an update off, and a slip
    /// in a script must not keep updates away.
    Broken(HookFault),
}

/// The exit status by which a `ready` hook says "not now": `EX_TEMPFAIL`.
const NOT_NOW: i32 = 75;

/// Checks that every configured hook of a package can be run, but for `ready`, without which a change goes on: nobody else can change it, whoever will run it may execute it,
/// and so it is with its interpreter. To be called before a product is stopped: if a start hook were refused only when it is
/// needed, the product would stay stopped. `slots` is the folder of new slots.
///
/// # Errors
/// [`HookFault`].
pub fn ensure_all_runnable(config: &PackageConfig, slots: &Path) -> Result<(), HookFault> {
    for hook in Hook::ALL.into_iter().filter(|hook| *hook != Hook::Ready) {
        if let Some((program, arguments)) = hook.command(config).and_then(<[String]>::split_first) {
            let user = ensure_usable(hook, config, program, arguments).map_err(refused)?;
            if user.is_some_and(|ids| ids.user != 0) {
                ensure_reachable_by_everybody(slots, &config.test_load_user).map_err(refused)?;
            }
        }
    }
    Ok(())
}

/// Runs a hook, if it is configured.
///
/// # Errors
/// [`HookFault`].
pub fn run_hook(
    runner: &Runner,
    hook: Hook,
    config: &PackageConfig,
    context: &HookContext<'_>,
) -> Result<HookDone, HookFault> {
    let Some((program, arguments)) = hook.command(config).and_then(<[String]>::split_first) else {
        return Ok(HookDone::NotConfigured);
    };
    let finished = run(runner, hook, config, context, (program, arguments))?;
    judge(hook, program, config.timeout_secs, &finished)
}

/// Asks the product whether a change may begin.
#[must_use]
pub fn ask_ready(runner: &Runner, config: &PackageConfig, context: &HookContext<'_>) -> Ready {
    let hook = Hook::Ready;
    let Some((program, arguments)) = hook.command(config).and_then(<[String]>::split_first) else {
        return Ready::Yes;
    };
    let finished = match run(runner, hook, config, context, (program, arguments)) {
        Ok(finished) => finished,
        Err(fault) => return Ready::Broken(fault),
    };
    if matches!(finished.ending, Ending::Exited(status) if status.code() == Some(NOT_NOW)) {
        return Ready::NotNow;
    }
    match judge(hook, program, config.timeout_secs, &finished) {
        Ok(_) => Ready::Yes,
        Err(fault) => Ready::Broken(fault),
    }
}

fn run(
    runner: &Runner,
    hook: Hook,
    config: &PackageConfig,
    context: &HookContext<'_>,
    (program, arguments): (&String, &[String]),
) -> Result<Finished, HookFault> {
    let user = ensure_usable(hook, config, program, arguments).map_err(refused)?;
    if user.is_some_and(|ids| ids.user != 0) {
        ensure_reachable_by_everybody(&context.slot, &config.test_load_user).map_err(refused)?;
    }
    let task = Task {
        program: program.into(),
        arguments: arguments.iter().map(|argument| filled_in(argument, context)).collect(),
        environment: vec![
            ("PATH".to_owned(), PATH.into()),
            ("SEALPOST_HOOK".to_owned(), hook.name().into()),
            ("SEALPOST_PACKAGE".to_owned(), context.release.package.as_str().into()),
            ("SEALPOST_VERSION".to_owned(), context.release.version.as_str().into()),
            ("SEALPOST_SLOT".to_owned(), context.slot.clone().into()),
            ("SEALPOST_CURRENT".to_owned(), context.current.clone().into()),
        ],
        folder: "/".into(),
        user,
        time_limit: Duration::from_secs(u64::from(config.timeout_secs)),
        memory_bytes: None,
        leftovers: if hook == Hook::Start { Leftovers::Leave } else { Leftovers::Kill },
    };
    let finished = runner.run(&task).map_err(|error| {
        let detail = format!("the {hook} hook {program} could not be run: {}", with_causes(&error));
        match error {
            RunError::NotStarted(_) | RunError::Runner(_) => refused(detail),
            RunError::Died(_) | RunError::Silent => HookFault { reason: ReasonCode::HookFailed, detail },
        }
    })?;
    if let Some(problem) = &finished.problem {
        tracing::error!(%hook, program, "{problem}");
    }
    Ok(finished)
}

/// Checks that nobody else can change a hook, and that it can be executed; the user that it runs as, if not the agent's.
fn ensure_usable(
    hook: Hook,
    config: &PackageConfig,
    program: &str,
    arguments: &[String],
) -> Result<Option<UserIds>, String> {
    ensure_safe(hook, program, arguments)?;
    let user = user_of(hook, config)?;
    ensure_runnable(Path::new(program), arguments, user, PATH)
        .map_err(|error| not_run(hook, program, &error))?;
    Ok(user)
}

fn not_run(hook: Hook, program: &str, error: &(dyn Error + 'static)) -> String {
    format!("the {hook} hook {program} is not run: {}", with_causes(error))
}

fn refused(detail: String) -> HookFault {
    HookFault { reason: ReasonCode::HookRefused, detail }
}

/// The user that a hook runs as, if not the agent's.
fn user_of(hook: Hook, config: &PackageConfig) -> Result<Option<UserIds>, String> {
    if hook != Hook::TestLoad || !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    users::find(&config.test_load_user).map(Some).map_err(|error| with_causes(&error))
}

fn judge(hook: Hook, program: &str, timeout_secs: u32, finished: &Finished) -> Result<HookDone, HookFault> {
    // What a test of a new release leaves behind has that release's contents in its hands, and the next test's rights.
    let is_tested = hook == Hook::TestLoad;
    let (reason, what) = match finished.ending {
        Ending::Exited(status) if status.success() && (finished.problem.is_none() || !is_tested) => {
            return Ok(HookDone::Ran);
        }
        Ending::Exited(status) => {
            (ReasonCode::HookFailed, format!("the {hook} hook {program} ended with {status}"))
        }
        Ending::TimedOut => {
            (ReasonCode::HookTimedOut, format!("the {hook} hook {program} was killed after {timeout_secs} s"))
        }
    };
    let left = finished.problem.as_ref().map(|problem| format!("; {problem}")).unwrap_or_default();
    Err(HookFault {
        reason,
        detail: with_output(&format!("{what}{left}"), &finished.output, MAX_DETAIL_BYTES),
    })
}

/// Checks that nobody else can change the program, or a file that it is given, such as a script for a shell.
fn ensure_safe(hook: Hook, program: &str, arguments: &[String]) -> Result<(), String> {
    let unsafe_because = |error: &(dyn Error + 'static)| not_run(hook, program, error);
    ensure_not_writable_by_others(Path::new(program)).map_err(|error| unsafe_because(&error))?;
    for argument in arguments {
        let path = Path::new(argument);
        if path.is_absolute() && path.is_file() {
            ensure_not_writable_by_others(path).map_err(|error| unsafe_because(&error))?;
        }
    }
    Ok(())
}

fn filled_in(argument: &str, context: &HookContext<'_>) -> OsString {
    argument
        .replace("{slot}", &context.slot.to_string_lossy())
        .replace("{current}", &context.current.to_string_lossy())
        .replace("{version}", context.release.version.as_str())
        .into()
}

#[cfg(test)]
mod tests;
