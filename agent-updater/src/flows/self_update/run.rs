//! The launcher: the beginning of `run` in every program of the agent, and what it comes back to whenever the daemon
//! ends for another program.
//!
//! Invariant: it never waits for a server, and never gives up: if nothing else can be executed, this program is the
//! daemon. A process keeps its id through all of it, so that a service manager goes on watching the same one.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sealpost_files::{FileLock, with_causes};
use sealpost_manifests::wire::report::ReasonCode;

use crate::domain::self_update::launch::{Launch, Me, Watched, Why, launch};
use crate::domain::self_update::record::{SelfRecord, SlotProgram};
use crate::domain::self_update::step::TrialStep;
use crate::flows::context::{Context, Host};
use crate::flows::daemon::{self, DaemonEnd};
use crate::home::HomeError;
use crate::platform::program::{self, ProgramError};
use crate::ports::DAEMON_BEGINS;
use crate::records::self_state::{self, Running};

use super::error::LaunchError;
use super::record::{EXECUTED, RecordError, load_or_put_aside, me, save};
use super::watch::{WatchEnd, watch};
use super::watchdog::OwnCommand;

/// Runs as the program that is to run, until the agent is told to stop.
///
/// # Errors
/// [`LaunchError`].
pub async fn run(context: Arc<Context>, own: OwnCommand) -> Result<(), LaunchError> {
    context.host.home.prepare()?;
    let launcher = Launcher { context, own, unwritten: Mutex::new(None) };
    while let Turn::Again = launcher.turn().await? {}
    Ok(())
}

/// In the watchdog's child: executes the program that is on trial in the place of this process.
///
/// # Errors
/// [`LaunchError`]; it never returns otherwise.
pub fn become_trial(host: &Host, own: &OwnCommand, watchdog: u32) -> Result<(), LaunchError> {
    program::die_with_parent(watchdog)
        .map_err(|source| LaunchError::System { action: "be tied to its child", source })?;
    let trial = self_state::load(&host.home)?.trial.ok_or(LaunchError::NoTrial)?;
    Err(LaunchError::NotExecuted(execute(own, &trial.to)))
}

enum Turn {
    Again,
    Stop,
}

struct Launcher {
    context: Arc<Context>,
    own: OwnCommand,
    /// The record that the disk did not take.
    unwritten: Mutex<Option<SelfRecord>>,
}

impl Launcher {
    async fn turn(&self) -> Result<Turn, LaunchError> {
        let host = &self.context.host;
        let lock = self.lock();
        let record = self.record(lock.as_ref())?;
        let watched = watched(lock.as_ref());
        match launch(&record, &me(&record), watched) {
            Launch::Here(why) => {
                drop(lock);
                self.be_daemon(why, &record).await
            }
            Launch::Execute(next) => {
                let problem = with_causes(&execute(&self.own, &next));
                tracing::error!(program = %next.path.display(), "cannot be the agent: {problem}");
                if record.trial.is_some() {
                    return self.watch(lock, record).await;
                }
                let Some(_lock) = lock else { return self.be_daemon(Why::OtherUnusable, &record).await };
                self.write(TrialStep::Lost, record.lost(problem, host.now()))?;
                Ok(Turn::Again)
            }
            Launch::Watch => self.watch(lock, record).await,
            Launch::Supersede => {
                let Some(_lock) = lock else {
                    return Err(HomeError::Busy(host.home.path().to_owned()).into());
                };
                let detail = "the operating system's package brought a newer agent meanwhile".to_owned();
                self.write(
                    TrialStep::GivenBack,
                    record.given_back(ReasonCode::ReleaseTooOld, detail, host.now()),
                )?;
                Ok(Turn::Again)
            }
        }
    }

    async fn be_daemon(&self, why: Why, record: &SelfRecord) -> Result<Turn, LaunchError> {
        let context = &self.context;
        // Said by the one daemon only.
        drop(context.host.home.lock_daemon()?);
        context.host.faults.at(DAEMON_BEGINS)?;
        let running = Running { version: version(record), why };
        if let Err(error) = self_state::save_running(&context.host.home, &running) {
            tracing::warn!("`status` cannot be told which program runs: {}", with_causes(&error));
        }
        tracing::info!(version = running.version, "this is {why}");
        match daemon::run(Arc::clone(context), || self.is_another_due()).await? {
            DaemonEnd::Stopped => Ok(Turn::Stop),
            DaemonEnd::AnotherProgram => Ok(Turn::Again),
        }
    }

    async fn watch(&self, lock: Option<FileLock>, record: SelfRecord) -> Result<Turn, LaunchError> {
        let host = &self.context.host;
        let Some(lock) = lock else { return Err(HomeError::Busy(host.home.path().to_owned()).into()) };
        // A daemon that is still at work must not be taken for an end of the new program by itself.
        drop(host.home.lock_daemon()?);
        let end = watch(host, &self.own, record).await?;
        drop(lock);
        match end {
            WatchEnd::Stopped => Ok(Turn::Stop),
            WatchEnd::Confirmed => Ok(Turn::Again),
            WatchEnd::GivenBack(record) => {
                if self_state::load(&host.home).ok().as_ref() != Some(&*record) {
                    *self.unwritten() = Some(*record);
                }
                Ok(Turn::Again)
            }
        }
    }

    /// Whether another program than this one is to be the daemon. Asked after each cycle.
    fn is_another_due(&self) -> bool {
        let lock = self.lock();
        let Ok(record) = self.record(lock.as_ref()) else { return false };
        !matches!(launch(&record, &me(&record), watched(lock.as_ref())), Launch::Here(_))
    }

    fn unwritten(&self) -> MutexGuard<'_, Option<SelfRecord>> {
        self.unwritten.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The watch lock, if nobody holds it.
    fn lock(&self) -> Option<FileLock> {
        self.context.host.home.lock_watch().ok()
    }

    /// The record: the one that is not on disk yet, else the one that is.
    fn record(&self, lock: Option<&FileLock>) -> Result<SelfRecord, LaunchError> {
        let host = &self.context.host;
        let unwritten = self.unwritten().clone();
        match (unwritten, lock) {
            (Some(record), Some(_)) => {
                self.write(TrialStep::GivenBack, record.clone())?;
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

    /// Writes the record, and keeps it in memory as long as the disk does not take it.
    fn write(&self, step: TrialStep, record: SelfRecord) -> Result<(), LaunchError> {
        let unwritten = match save(&self.context.host, step, &record) {
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
}

fn watched(lock: Option<&FileLock>) -> Watched {
    if lock.is_some() { Watched::No } else { Watched::Yes }
}

/// Executes a program in the place of this one; returns only if that fails.
fn execute(own: &OwnCommand, next: &SlotProgram) -> ProgramError {
    match program::open(&next.path, &next.sha256) {
        Ok(opened) => opened.execute(&own.arguments(), (EXECUTED, &next.manifest().to_string())),
        Err(error) => error,
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
            .map_or_else(String::new, |program| program.installed.release.version.to_string()),
    }
}
