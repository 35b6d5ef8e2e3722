//! The watchdog: runs the program that is on trial as its child, until it is confirmed or given back.
//!
//! Invariants: the child ends with its watchdog, whatever ends that; a trial ends by what [`crate::domain::self_update`]
//! decides and by nothing else; a record that cannot be written delays a confirmation, and never the way back.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use sealpost_files::with_causes;
use sealpost_manifests::wire::report::ReasonCode;
use sealpost_service::notify;
use sealpost_service::signals::{Signal, Signals};
use tokio::time::{Instant, sleep};

use crate::domain::self_update::record::{SelfRecord, Trial};
use crate::domain::self_update::step::TrialStep;
use crate::domain::self_update::trial::{AfterExit, Bounds, Look, Verdict, after_exit, judge};
use crate::flows::context::Context;
use crate::records::self_state;

use super::ask::{Asked, ask};
use super::blocking::on_disk;
use super::error::LaunchError;
use super::reach::Reach;
use super::record::{RecordError, save};
use super::watchdog::{OwnCommand, TrialChild};
use super::withdrawn::{BY_SITE, is_called_off};

/// Longest pause between two looks at the child.
const LONGEST_LOOK: Duration = Duration::from_secs(5);
/// How often the time that counts is written, in seconds of it.
const WRITE_EVERY_SECS: u64 = 30;
/// How long the child may take to end once it is confirmed, or the site called it off: it works, and may be in the middle of an install with hooks.
const LET_FINISH: Duration = Duration::from_secs(15 * 60);
/// How long it may take when it is given back.
const LET_GO: Duration = Duration::from_secs(60);
/// When the whole system stops, the child may be told before its watchdog: within this time that is no end by itself.
const STOPPING_TOGETHER: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub(super) enum WatchEnd {
    /// The record has a new stable program; it is on disk.
    Confirmed,
    /// The program of before goes on. The record is not on disk if the disk does not take it.
    GivenBack(Box<SelfRecord>),
    /// The agent was told to stop; the trial stays open.
    Stopped,
}

/// What ended the attention to one child.
enum Attended {
    Confirmed,
    GiveBack {
        reason: ReasonCode,
        detail: String,
    },
    /// It ended by itself.
    Exited(String),
    Stop,
}

/// Waits until the agent is told to stop. A program that begins afterwards reads the configuration anyway.
pub(super) async fn stop_asked(signals: &mut Signals) {
    while signals.next().await != Signal::Stop {}
}

/// Watches the trial of a record. The caller holds the watch lock, listens to signals, and gives the service manager its
/// signs of life.
pub(super) async fn watch(
    context: &Arc<Context>,
    own: &OwnCommand,
    record: SelfRecord,
    signals: &mut Signals,
) -> Result<WatchEnd, LaunchError> {
    // The program on trial cannot say it: it is a child, and the service is this process.
    notify::ready();
    let bounds = context.host.settings.self_update;
    Watchdog { context, own, record, bounds, signals }.run().await
}

async fn stop(child: &mut TrialChild, within: Duration) {
    if let Err(error) = child.stop(within).await {
        tracing::error!(%error, "the program that is on trial could not be ended");
    }
}

/// Whether something happens within a time.
pub(super) async fn within(time: Duration, event: impl Future<Output = ()>) -> bool {
    tokio::time::timeout(time, event).await.is_ok()
}

struct Watchdog<'w> {
    context: &'w Arc<Context>,
    own: &'w OwnCommand,
    record: SelfRecord,
    bounds: Bounds,
    signals: &'w mut Signals,
}

impl Watchdog<'_> {
    async fn run(&mut self) -> Result<WatchEnd, LaunchError> {
        if ask(self.context, self.signals).await? == Asked::Stopped {
            return Ok(stopped());
        }
        loop {
            // A contact may have been answered since the trial began, or before this process did.
            if self.is_called_off().await? {
                return self.give_back(ReasonCode::AskedBySite, BY_SITE.to_owned()).await;
            }
            let attended = match self.start().await {
                Ok(mut child) => {
                    let attended = self.attend(&mut child).await?;
                    let within = match &attended {
                        Attended::Confirmed | Attended::GiveBack { reason: ReasonCode::AskedBySite, .. } => {
                            LET_FINISH
                        }
                        // The service manager says how long this may take.
                        Attended::Stop => {
                            notify::stopping();
                            Duration::MAX
                        }
                        Attended::GiveBack { .. } | Attended::Exited(_) => LET_GO,
                    };
                    stop(&mut child, within).await;
                    attended
                }
                Err(error) => Attended::Exited(error.to_string()),
            };
            let (reason, detail) = match attended {
                Attended::Confirmed => return Ok(WatchEnd::Confirmed),
                Attended::Stop => return Ok(WatchEnd::Stopped),
                Attended::GiveBack { reason, detail } => (reason, detail),
                Attended::Exited(what) => {
                    if within(STOPPING_TOGETHER, stop_asked(self.signals)).await {
                        return Ok(stopped());
                    }
                    match self.count_exit(&what).await? {
                        AfterExit::GiveBack { reason, detail } => (reason, detail),
                        AfterExit::StartAgain(pause) => {
                            if within(pause, stop_asked(self.signals)).await {
                                return Ok(stopped());
                            }
                            continue;
                        }
                    }
                }
            };
            return self.give_back(reason, detail).await;
        }
    }

    fn trial(&self) -> Result<&Trial, LaunchError> {
        self.record.trial.as_ref().ok_or(LaunchError::NoTrial)
    }

    /// Whether the site assigns the release no more, as the answers to the new program say.
    async fn is_called_off(&self) -> Result<bool, LaunchError> {
        let trial = self.trial()?.clone();
        on_disk(self.context, move |host| is_called_off(host, &trial)).await
    }

    async fn start(&self) -> Result<TrialChild, LaunchError> {
        // What an earlier process said counts for nothing.
        on_disk(self.context, |host| self_state::forget_contacted(&host.home)).await??;
        let child = TrialChild::start(self.own)
            .map_err(|source| LaunchError::System { action: "start the program that is on trial", source })?;
        let release = &self.trial()?.to.installed.release;
        tracing::info!(%release, pid = child.pid(), "is on trial");
        Ok(child)
    }

    /// Attends to a child until something is decided.
    async fn attend(&mut self, child: &mut TrialChild) -> Result<Attended, LaunchError> {
        let (pid, pause) = (child.pid(), look_every(&self.bounds));
        let mut contacted_at: Option<Instant> = None;
        let mut reachable_since: Option<Instant> = None;
        let mut reachable = Duration::from_secs(self.trial()?.reachable_secs);
        let mut wants_reload = false;
        let mut reach = Reach::default();
        loop {
            reach.renew(self.context).await?;
            wants_reload = wants_reload && !child.reload();
            let next_look = async {
                sleep(pause).await;
                reach.is_reachable().await
            };
            let is_reachable_now = tokio::select! {
                biased;
                signal = self.signals.next() => match signal {
                    Signal::Stop => return Ok(Attended::Stop),
                    Signal::Reload => {
                        notify::reloading();
                        wants_reload = true;
                        notify::ready();
                        continue;
                    }
                },
                ended = child.ended() => {
                    let what = ended.map_or_else(|error| error.to_string(), |status| status.to_string());
                    return Ok(Attended::Exited(what));
                }
                now = next_look => now,
            };
            let now = Instant::now();
            let contacted = on_disk(self.context, |host| self_state::contacted(&host.home)).await?;
            let is_own = contacted.is_some_and(|contacted| {
                contacted.pid == pid
                    && self.trial().is_ok_and(|trial| contacted.manifest == *trial.to.manifest())
            });
            if is_own && contacted_at.is_none() {
                contacted_at = Some(now);
            }
            if contacted_at.is_some() && self.is_called_off().await? {
                let (reason, detail) = (ReasonCode::AskedBySite, BY_SITE.to_owned());
                return Ok(Attended::GiveBack { reason, detail });
            }
            // Only time at both ends of which the server answered counts.
            let passed = reachable_since.filter(|_| is_reachable_now).map(|since| now - since);
            reachable_since = is_reachable_now.then_some(now);
            let look = Look {
                reachable_for: passed.unwrap_or(Duration::ZERO),
                contacted_for: contacted_at.map(|at| now - at),
            };
            let (total, verdict) = judge(reachable, look, &self.bounds);
            reachable = total;
            match verdict {
                Verdict::GoOn => self.count_reachable(reachable).await?,
                Verdict::Confirm => {
                    if self.confirm().await? {
                        return Ok(Attended::Confirmed);
                    }
                }
                Verdict::GiveBack { reason, detail } => return Ok(Attended::GiveBack { reason, detail }),
            }
        }
    }

    /// Records that the program is stable; `false` if the disk does not take it, and it is tried again.
    async fn confirm(&mut self) -> Result<bool, LaunchError> {
        let confirmed = self.record.clone().confirmed(self.context.host.now());
        match self.save(TrialStep::Confirmed, &confirmed).await? {
            Ok(()) => {
                self.record = confirmed;
                Ok(true)
            }
            Err(RecordError::Killed(killed)) => Err(killed.into()),
            Err(RecordError::State(error)) => {
                tracing::error!("the new agent works, and that cannot be recorded: {}", with_causes(&error));
                Ok(false)
            }
        }
    }

    async fn give_back(&mut self, reason: ReasonCode, detail: String) -> Result<WatchEnd, LaunchError> {
        tracing::warn!(%reason, "the agent of before goes on: {detail}");
        let given_back = self.record.clone().given_back(reason, detail, self.context.host.now());
        self.note(TrialStep::GivenBack, &given_back).await?;
        Ok(WatchEnd::GivenBack(Box::new(given_back)))
    }

    async fn count_exit(&mut self, what: &str) -> Result<AfterExit, LaunchError> {
        tracing::warn!(ended = what, "the program that is on trial ended by itself");
        if let Some(trial) = &mut self.record.trial {
            trial.exits = trial.exits.saturating_add(1);
        }
        self.note(TrialStep::Counted, &self.record).await?;
        Ok(after_exit(self.trial()?, what, &self.bounds))
    }

    async fn count_reachable(&mut self, reachable: Duration) -> Result<(), LaunchError> {
        let Some(trial) = &mut self.record.trial else { return Ok(()) };
        if reachable.as_secs() < trial.reachable_secs.saturating_add(WRITE_EVERY_SECS) {
            return Ok(());
        }
        trial.reachable_secs = reachable.as_secs();
        self.note(TrialStep::Counted, &self.record).await
    }

    /// Writes what a full disk may keep out: it is known in this process all the same.
    async fn note(&self, step: TrialStep, record: &SelfRecord) -> Result<(), LaunchError> {
        match self.save(step, record).await? {
            Ok(()) => Ok(()),
            Err(RecordError::Killed(killed)) => Err(killed.into()),
            Err(RecordError::State(error)) => {
                tracing::error!("the trial cannot be recorded: {}", with_causes(&error));
                Ok(())
            }
        }
    }

    async fn save(
        &self,
        step: TrialStep,
        record: &SelfRecord,
    ) -> Result<Result<(), RecordError>, LaunchError> {
        let record = record.clone();
        on_disk(self.context, move |host| save(host, step, &record)).await
    }
}

fn stopped() -> WatchEnd {
    notify::stopping();
    WatchEnd::Stopped
}

/// How often the child is looked at: often enough for the shortest bound.
fn look_every(bounds: &Bounds) -> Duration {
    (bounds.confirm_within / 10).min(LONGEST_LOOK).max(Duration::from_millis(100))
}
