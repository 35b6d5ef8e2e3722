//! The launcher: the beginning of `run` in every program of the agent, and what it comes back to whenever the daemon
//! ends for another program.
//!
//! Invariant: it waits for no server (but for half a minute at most ahead of a trial, see `ask`), and never gives up: if
//! nothing else can be executed, this program is the daemon. A process keeps its id through all of it, so that a service manager
//! goes on watching the same one.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sealpost_files::{FileLock, with_causes};
use sealpost_hook_runner::Runner;
use sealpost_manifests::wire::report::ReasonCode;
use sealpost_service::notify;
use sealpost_service::signals::Signals;
use tokio::task::spawn_blocking;

use crate::domain::self_update::launch::{Launch, Me, Watchdog, Why, launch};
use crate::domain::self_update::record::{SelfRecord, SlotProgram};
use crate::domain::self_update::step::TrialStep;
use crate::flows::context::{Context, Host, reload};
use crate::flows::daemon::{self, DaemonEnd};
use crate::flows::install_root;
use crate::home::HomeError;
use crate::platform::program::{self, OpenProgram, ProgramError};
use crate::ports::{DAEMON_BEGINS, EXECUTES, WATCH_BEGINS};
use crate::records::self_state::{self, Running};

use super::blocking::on_disk;
use super::error::LaunchError;
use super::record::{EXECUTED, PACKAGED, RecordError, load_or_put_aside, me, save};
use super::starts::starts;
use super::watch::{WatchEnd, stop_asked, watch, within};
use super::watchdog::OwnCommand;

/// For how long a stop that has come already is looked for before another program is executed: long enough for this
/// process to see what the system has delivered.
const LAST_LOOK: Duration = Duration::from_millis(20);

/// Runs as the program that is to run, until the agent is told to stop.
///
/// # Errors
/// [`LaunchError`].
pub async fn run(context: Arc<Context>, own: OwnCommand) -> Result<(), LaunchError> {
    // Listened to through everything that this process becomes: a stop between two of them is not lost.
    let mut signals =
        Signals::listen().map_err(|source| LaunchError::System { action: "listen for signals", source })?;
    // Alive as long as this thread gets to it: the network is here, and what blocks has threads of its own.
    let signs_of_life = tokio::spawn(notify::keep_watchdog(async || true));
    let launcher =
        Launcher { own, unwritten: Mutex::new(None), packaged_is_unusable: AtomicBool::new(false) };
    let end = Arc::new(launcher).run(context, &mut signals).await;
    signs_of_life.abort();
    end
}

/// In the watchdog's child: executes the program that is on trial in the place of this process.
///
/// # Errors
/// [`LaunchError`]; it never returns otherwise.
pub fn become_trial(host: &Host, own: &OwnCommand, watchdog: u32) -> Result<(), LaunchError> {
    program::die_with_parent(watchdog)
        .map_err(|source| LaunchError::System { action: "tie the new program to its watchdog", source })?;
    let trial = self_state::load(&host.home)?.trial.ok_or(LaunchError::NoTrial)?;
    let opened = program::open(&trial.to.path, &trial.to.sha256).map_err(LaunchError::NotExecuted)?;
    Err(LaunchError::NotExecuted(execute(own, &trial.to, &opened)))
}

/// What this process does next. To execute another program is not among it: that one begins anew.
enum Next {
    Daemon(Why, Box<SelfRecord>),
    Watch(Option<FileLock>, Box<SelfRecord>),
    LookAgain,
    Stop,
}

/// What is due by the record, and the lock under which that was found.
struct Due {
    lock: Option<FileLock>,
    record: SelfRecord,
    launch: Launch,
}

/// How watching a trial ended.
enum Watched {
    Stopped,
    Ended,
}

struct Launcher {
    own: OwnCommand,
    /// The record that the disk did not take.
    unwritten: Mutex<Option<SelfRecord>>,
    /// The packaged program could not be executed: it is not tried after each cycle.
    packaged_is_unusable: AtomicBool,
}

/// Why no other program was executed.
enum NotExecuted {
    /// The agent was told to stop.
    Stopped,
    Failed(String),
}

impl Launcher {
    async fn run(
        self: &Arc<Self>,
        mut context: Arc<Context>,
        signals: &mut Signals,
    ) -> Result<(), LaunchError> {
        on_disk(&context, |host| host.home.prepare()).await??;
        loop {
            context = match self.next(&context, signals).await? {
                Next::Daemon(why, record) => match self.be_daemon(context, why, record, signals).await? {
                    (_, DaemonEnd::Stopped) => return Ok(()),
                    (context, DaemonEnd::AnotherProgram) => context,
                },
                Next::Watch(lock, record) => match self.watch(&context, lock, record, signals).await? {
                    Watched::Stopped => return Ok(()),
                    Watched::Ended => {
                        // The program on trial was told of changes, and this one was not.
                        reload(&mut context).await;
                        context
                    }
                },
                Next::LookAgain => context,
                Next::Stop => {
                    notify::stopping();
                    return Ok(());
                }
            }
        }
    }

    async fn next(
        self: &Arc<Self>,
        context: &Arc<Context>,
        signals: &mut Signals,
    ) -> Result<Next, LaunchError> {
        let launcher = Arc::clone(self);
        let Due { lock, record, launch } = on_disk(context, move |host| launcher.due(host)).await??;
        match launch {
            Launch::Here(why) => Ok(Next::Daemon(why, Box::new(record))),
            Launch::Watch => match on_disk(context, install_root::problem).await? {
                None => Ok(Next::Watch(lock, Box::new(record))),
                Some(problem) => Ok(without_install_root(&problem, record)),
            },
            Launch::Execute(next) => {
                context.host.faults.at(EXECUTES)?;
                let problem = match self.execute(&next, &context.host.runner, signals).await {
                    NotExecuted::Stopped => return Ok(Next::Stop),
                    NotExecuted::Failed(problem) => problem,
                };
                tracing::error!(program = %next.path.display(), "cannot be the agent: {problem}");
                if let Some(problem) = on_disk(context, install_root::problem).await? {
                    return Ok(without_install_root(&problem, record));
                }
                match lock {
                    lock if record.trial.is_some() => Ok(Next::Watch(lock, Box::new(record))),
                    None => Ok(Next::Daemon(Why::OtherUnusable, Box::new(record))),
                    Some(lock) => {
                        let lost = record.lost(problem, context.host.now());
                        self.write_on_disk(context, lock, TrialStep::Lost, lost).await?;
                        Ok(Next::LookAgain)
                    }
                }
            }
            Launch::ExecutePackaged => match self.execute_packaged(signals).await {
                NotExecuted::Stopped => Ok(Next::Stop),
                NotExecuted::Failed(problem) => {
                    tracing::error!("the packaged program cannot be the agent: {problem}");
                    self.packaged_is_unusable.store(true, Ordering::Relaxed);
                    Ok(Next::Daemon(Why::PackagedUnusable, Box::new(record)))
                }
            },
            Launch::Supersede => {
                let lock = lock.ok_or_else(|| HomeError::Busy(context.host.home.path().to_owned()))?;
                let detail = "the operating system's package brought a newer agent meanwhile".to_owned();
                let record = record.given_back(ReasonCode::ReleaseTooOld, detail, context.host.now());
                self.write_on_disk(context, lock, TrialStep::GivenBack, record).await?;
                Ok(Next::LookAgain)
            }
        }
    }

    /// Executes a program in the place of this one, if it starts; returns only with the reason why not. One that was
    /// confirmed long ago may miss a library today.
    async fn execute(&self, next: &SlotProgram, runner: &Runner, signals: &mut Signals) -> NotExecuted {
        let (path, sha256, runner) = (next.path.clone(), next.sha256, runner.clone());
        let tried = spawn_blocking(move || {
            let opened = program::open(&path, &sha256).map_err(|error| with_causes(&error))?;
            starts(&runner, &opened).map(|()| opened)
        });
        let opened = match tried.await {
            Ok(Ok(opened)) => opened,
            Ok(Err(problem)) => return NotExecuted::Failed(problem),
            Err(error) => return NotExecuted::Failed(error.to_string()),
        };
        // The program that follows does not hear what this one was told.
        if within(LAST_LOOK, stop_asked(signals)).await {
            return NotExecuted::Stopped;
        }
        NotExecuted::Failed(with_causes(&execute(&self.own, next, &opened)))
    }

    /// Executes the packaged program in the place of this one; returns only with the reason why not.
    async fn execute_packaged(&self, signals: &mut Signals) -> NotExecuted {
        let Some(path) = packaged_path() else {
            return NotExecuted::Failed("it is not known where it is".to_owned());
        };
        let opened = match spawn_blocking(move || program::open_unsigned(&path)).await {
            Ok(Ok(opened)) => opened,
            Ok(Err(error)) => return NotExecuted::Failed(with_causes(&error)),
            Err(error) => return NotExecuted::Failed(error.to_string()),
        };
        if within(LAST_LOOK, stop_asked(signals)).await {
            return NotExecuted::Stopped;
        }
        let failed = opened.execute(&self.own.arguments(), &[(EXECUTED, None), (PACKAGED, None)]);
        NotExecuted::Failed(with_causes(&failed))
    }

    async fn be_daemon(
        self: &Arc<Self>,
        context: Arc<Context>,
        why: Why,
        record: Box<SelfRecord>,
        signals: &mut Signals,
    ) -> Result<(Arc<Context>, DaemonEnd), LaunchError> {
        // Said by the one daemon only.
        on_disk(&context, |host| host.home.lock_daemon().map(drop)).await??;
        context.host.faults.at(DAEMON_BEGINS)?;
        on_disk(&context, move |host| {
            let running = Running { version: version(&record), why };
            if let Err(error) = self_state::save_running(&host.home, &running) {
                tracing::warn!("`status` cannot be told which program runs: {}", with_causes(&error));
            }
            tracing::info!(version = running.version, "this is {why}");
        })
        .await?;
        let launcher = Arc::clone(self);
        Ok(daemon::run(context, signals, move |host| launcher.is_another_due(host)).await?)
    }

    async fn watch(
        &self,
        context: &Arc<Context>,
        lock: Option<FileLock>,
        record: Box<SelfRecord>,
        signals: &mut Signals,
    ) -> Result<Watched, LaunchError> {
        let _lock = lock.ok_or_else(|| HomeError::Busy(context.host.home.path().to_owned()))?;
        // A daemon that is still at work must not be taken for an end of the new program by itself.
        on_disk(context, |host| host.home.lock_daemon().map(drop)).await??;
        context.host.faults.at(WATCH_BEGINS)?;
        match watch(context, &self.own, *record, signals).await? {
            WatchEnd::Stopped => Ok(Watched::Stopped),
            WatchEnd::Confirmed => Ok(Watched::Ended),
            WatchEnd::GivenBack(record) => {
                let written = on_disk(context, |host| self_state::load(&host.home).ok()).await?;
                if written.as_ref() != Some(&*record) {
                    *self.unwritten() = Some(*record);
                }
                Ok(Watched::Ended)
            }
        }
    }

    /// Whether another program than this one is to be the daemon. Asked after each cycle.
    fn is_another_due(&self, host: &Host) -> bool {
        let Ok(Due { launch, .. }) = self.due(host) else { return false };
        match launch {
            Launch::Here(_) => false,
            Launch::ExecutePackaged => !self.packaged_is_unusable.load(Ordering::Relaxed),
            // Where the other program lies on a disk that is not mounted, this one goes on until it is.
            Launch::Execute(_) | Launch::Watch => install_root::problem(host).is_none(),
            Launch::Supersede => true,
        }
    }

    /// What is due by the record.
    fn due(&self, host: &Host) -> Result<Due, LaunchError> {
        let lock = host.home.lock_watch().ok();
        let record = self.record(host, lock.as_ref())?;
        let launch = launch(&record, &me(&record), watchdog(lock.as_ref()));
        Ok(Due { lock, record, launch })
    }

    /// The record: the one that is not on disk yet, else the one that is.
    fn record(&self, host: &Host, lock: Option<&FileLock>) -> Result<SelfRecord, LaunchError> {
        let unwritten = self.unwritten().clone();
        match (unwritten, lock) {
            (Some(record), Some(_)) => {
                self.write(host, TrialStep::GivenBack, record.clone())?;
                Ok(record)
            }
            (Some(record), None) => Ok(record),
            // A record that cannot be read must not keep the products without an agent.
            (None, lock) => {
                let loaded = match lock {
                    Some(_) => load_or_put_aside(host),
                    None => self_state::load(&host.home),
                };
                Ok(loaded.unwrap_or_else(|error| {
                    tracing::error!("this program goes on: {}", with_causes(&error));
                    SelfRecord::default()
                }))
            }
        }
    }

    /// As [`Launcher::write`]; the lock is held until it is done.
    async fn write_on_disk(
        self: &Arc<Self>,
        context: &Arc<Context>,
        lock: FileLock,
        step: TrialStep,
        record: SelfRecord,
    ) -> Result<(), LaunchError> {
        let launcher = Arc::clone(self);
        on_disk(context, move |host| {
            let _lock = lock;
            launcher.write(host, step, record)
        })
        .await?
    }

    /// Writes the record, and keeps it in memory as long as the disk does not take it.
    fn write(&self, host: &Host, step: TrialStep, record: SelfRecord) -> Result<(), LaunchError> {
        let unwritten = match save(host, step, &record) {
            Ok(()) => None,
            Err(RecordError::Killed(killed)) => return Err(killed.into()),
            Err(RecordError::State(error)) => {
                tracing::error!("{}", with_causes(&error));
                Some(record)
            }
        };
        *self.unwritten() = unwritten;
        Ok(())
    }

    fn unwritten(&self) -> MutexGuard<'_, Option<SelfRecord>> {
        self.unwritten.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is installed lies on a disk that is not mounted: this program is the daemon until it is, and nothing is recorded,
/// since nothing is lost and no trial failed.
fn without_install_root(problem: &str, record: SelfRecord) -> Next {
    tracing::error!("this program goes on: {problem}");
    Next::Daemon(Why::OtherUnusable, Box::new(record))
}

/// Whoever did not get the lock is watched, or came second.
fn watchdog(lock: Option<&FileLock>) -> Watchdog {
    if lock.is_some() { Watchdog::None } else { Watchdog::AtWork }
}

/// Executes a program in the place of this one; returns only if that fails.
fn execute(own: &OwnCommand, next: &SlotProgram, opened: &OpenProgram) -> ProgramError {
    let (manifest, packaged) = (next.manifest().to_string(), packaged_path());
    let packaged = packaged.as_ref().map(|path| path.as_os_str());
    opened.execute(&own.arguments(), &[(EXECUTED, Some(manifest.as_ref())), (PACKAGED, packaged)])
}

/// Where the packaged program is: this one, unless another one executed it and said where that is.
fn packaged_path() -> Option<PathBuf> {
    match std::env::var_os(EXECUTED) {
        Some(_) => std::env::var_os(PACKAGED).map(PathBuf::from),
        None => program::own_path().ok(),
    }
}

/// The version of this program, as people know it.
fn version(record: &SelfRecord) -> String {
    let trial = record.trial.as_ref().map(|trial| &trial.to);
    let named = trial.into_iter().chain(record.stable.as_ref());
    match me(record) {
        Me::Packaged(version) => version,
        Me::Slot(manifest) => named
            .into_iter()
            .find(|program| *program.manifest() == manifest)
            // No record names it; it was built as this version.
            .map_or_else(
                || env!("CARGO_PKG_VERSION").to_owned(),
                |program| program.installed.release.version.to_string(),
            ),
    }
}
