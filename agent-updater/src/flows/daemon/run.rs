//! The loop of the daemon; see [`super`].

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use sealpost_files::with_causes;
use sealpost_service::notify;
use sealpost_service::output::print_line;
use sealpost_service::signals::{Signal, Signals};
use sealpost_service::supervision::Supervision;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::Instant;

use crate::control::{Answer, AnswerCode, PendingRequest, Request, listen as listen_control, serve};
use crate::domain::cadence::WakeBudget;
use crate::flows::context::{Context, Host, reload, seed};
use crate::flows::cycle::{self, CycleResult, Starts};
use crate::flows::hold;
use crate::flows::repair::repair;
use crate::flows::retry::retry;
use crate::flows::rollback;
use crate::flows::self_update::contacted;
use crate::home::HomeError;
use crate::ports::{CONTROL_BEGINS, CYCLE_BEGINS, Killed};

use super::wakes::{keep_listening, watch_folder};

/// Upper bound on requests that wait while a cycle runs.
const MAX_WAITING_REQUESTS: usize = 8;

/// Why the daemon could not start, or had to end.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    #[error(transparent)]
    Home(#[from] HomeError),
    #[error("the daemon cannot {action}")]
    System {
        action: &'static str,
        #[source]
        source: io::Error,
    },
    /// Something panicked that the daemon needs all the time.
    #[error("{what}; restart the daemon and report what its log says")]
    Failed { what: String },
    /// A cycle panicked. The journal holds what it was doing; a restart goes on from there.
    #[error("a cycle ended by a fault of the program; restart the daemon and report what its log says")]
    Panicked,
}

/// How the daemon ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DaemonEnd {
    /// It was told to stop.
    Stopped,
    /// Another program of the agent is to take its place.
    AnotherProgram,
}

/// What the daemon does next.
enum Turn {
    Cycle,
    Request(PendingRequest),
    Reload,
    Stop,
}

/// What reaches the daemon from outside, and what of it waits.
struct Inbox {
    requests: mpsc::Receiver<PendingRequest>,
    wakes: mpsc::Receiver<()>,
    waiting: VecDeque<PendingRequest>,
    wants_reload: bool,
    budget: WakeBudget,
    started: Instant,
}

impl Inbox {
    fn new(requests: mpsc::Receiver<PendingRequest>, wakes: mpsc::Receiver<()>) -> Self {
        let (waiting, budget) = (VecDeque::new(), WakeBudget::default());
        Self { requests, wakes, waiting, wants_reload: false, budget, started: Instant::now() }
    }

    /// When the contact is due that a wake asks for.
    fn contact_after_wake(&mut self) -> Instant {
        let pause = self.budget.pause_millis(self.started.elapsed(), seed());
        Instant::now() + Duration::from_millis(pause)
    }
}

/// What a turn led to.
struct Done {
    result: CycleResult,
    /// Of a program on trial.
    longest_pause: Option<Duration>,
    /// The answer to whoever asked for it.
    reply: Option<(oneshot::Sender<Answer>, Answer)>,
}

impl Done {
    fn new(context: &Context, result: CycleResult, reply: Option<(oneshot::Sender<Answer>, Answer)>) -> Self {
        // Here and not in the cycle: a person who has one run without a daemon is answered the same.
        for problem in result.problems.iter().chain(&result.notices) {
            tracing::warn!("{problem}");
        }
        Self { result, longest_pause: contacted::longest_pause(&context.host), reply }
    }
}

/// Runs until it is told to stop, or until `is_another_due` says after a cycle that another program takes its place. Gives
/// the context back; while it runs nobody else holds it. A stop that came before its beginning counts too. The caller gives
/// the service manager its signs of life.
///
/// # Errors
/// [`DaemonError`].
pub async fn run(
    mut context: Arc<Context>,
    signals: &mut Signals,
    is_another_due: impl Fn(&Host) -> bool + Clone + Send + 'static,
) -> Result<(Arc<Context>, DaemonEnd), DaemonError> {
    let home = context.host.home.clone();
    let prepared = home.clone();
    let _lock = spawn_blocking(move || prepared.prepare().and_then(|()| prepared.lock_daemon()))
        .await
        .map_err(|_| DaemonError::Panicked)??;
    let (requests_in, requests) = mpsc::channel(MAX_WAITING_REQUESTS);
    let supervision = Supervision::new();
    let mut control = open_control(&context.host, &requests_in, &supervision)?;
    let (wake, wakes) = mpsc::channel(1);
    let access = context.access.subscribe();
    let told = wake.clone();
    let listen = move || keep_listening(access.clone(), told.clone());
    let waker = tokio::spawn(supervision.started_again("the wake stream", listen));
    let mut watcher = watch_configured(&context.host, &wake, &supervision);
    notify::ready();
    print_running();

    let mut due = Instant::now();
    // The start of the agent is a reason of its own to try again what could not be started.
    let mut starts = Starts::All;
    let mut inbox = Inbox::new(requests, wakes);
    let result = loop {
        // What waits is taken only to be carried out: whoever asked hears otherwise that the agent stops.
        let turn = if std::mem::take(&mut inbox.wants_reload) {
            Turn::Reload
        } else if let Some(request) = inbox.waiting.pop_front() {
            Turn::Request(request)
        } else {
            tokio::select! {
                biased;
                signal = signals.next() => match signal {
                    Signal::Stop => Turn::Stop,
                    Signal::Reload => Turn::Reload,
                },
                what = supervision.failed() => break Err(DaemonError::Failed { what }),
                Some(request) = inbox.requests.recv() => Turn::Request(request),
                () = tokio::time::sleep_until(due) => Turn::Cycle,
                Some(()) = inbox.wakes.recv() => {
                    due = due.min(inbox.contact_after_wake());
                    continue;
                }
            }
        };
        let work = match turn {
            Turn::Stop => break Ok(DaemonEnd::Stopped),
            Turn::Reload => {
                notify::reloading();
                let before = context.host.settings.folder.clone();
                reload(&mut context).await;
                if context.host.settings.folder != before {
                    let other = watch_configured(&context.host, &wake, &supervision);
                    if let Some(old) = std::mem::replace(&mut watcher, other) {
                        old.abort();
                    }
                }
                match open_control(&context.host, &requests_in, &supervision) {
                    Ok(opened) => std::mem::replace(&mut control, opened).abort(),
                    Err(error) => tracing::error!("{}; the old one stays", with_causes(&error)),
                }
                notify::ready();
                continue;
            }
            Turn::Cycle => start_cycle(&context, starts),
            Turn::Request(request) => start_request(&context, request),
        };
        let done = finish(&context, work, signals, &mut inbox).await;
        context.interrupt.store(false, Ordering::SeqCst);
        let Some(Done { result, longest_pause, reply }) = done else { break Err(DaemonError::Panicked) };
        // A cycle that another process held up, or that found the disk of the products not mounted, tried nothing.
        if result.has_tried_starts {
            starts = Starts::Due;
        }
        // From here on by a monotonic clock.
        due = Instant::now()
            + result.next_contact.duration_since(context.host.now()).try_into().unwrap_or(Duration::ZERO);
        if let Some(pause) = longest_pause {
            due = due.min(Instant::now() + pause);
        }
        if let Some(woken) = context.network.take_woken() {
            due = due.min(woken);
        }
        if let Some((to, answer)) = reply {
            // The caller may be gone.
            let _: Result<(), Answer> = to.send(answer);
        }
        if context.host.stop.load(Ordering::SeqCst) {
            break Ok(DaemonEnd::Stopped);
        }
        // It reads the disk, which may hang; this thread gives the signs of life.
        let (is_another_due, held) = (is_another_due.clone(), Arc::clone(&context));
        match spawn_blocking(move || is_another_due(&held.host)).await {
            Ok(false) => {}
            Ok(true) => break Ok(DaemonEnd::AnotherProgram),
            Err(_) => break Err(DaemonError::Panicked),
        }
    };
    // A service manager that hears this ends the process, and with it the program that follows.
    if !matches!(result, Ok(DaemonEnd::AnotherProgram)) {
        notify::stopping();
    }
    control.abort();
    waker.abort();
    if let Some(watcher) = watcher {
        watcher.abort();
    }
    let _ = std::fs::remove_file(home.socket());
    let end = result?;
    Ok((context, end))
}

/// Watches the folder of the configuration, if there is one.
fn watch_configured(
    host: &Host,
    wake: &mpsc::Sender<()>,
    supervision: &Supervision,
) -> Option<JoinHandle<()>> {
    let folder = host.settings.folder.clone()?;
    let (home, wake) = (host.home.clone(), wake.clone());
    let watch = move || watch_folder(home.clone(), folder.clone(), wake.clone());
    Some(tokio::spawn(supervision.started_again("the watch of the folder", watch)))
}

/// Opens the control socket and serves it.
fn open_control(
    host: &Host,
    requests: &mpsc::Sender<PendingRequest>,
    supervision: &Supervision,
) -> Result<JoinHandle<()>, DaemonError> {
    let listener = listen_control(&host.home.socket())
        .map_err(|source| DaemonError::System { action: "open its control socket", source })?;
    let (faults, requests) = (Arc::clone(&host.faults), requests.clone());
    let work = async move {
        // Nothing to clean up: a test ends the process here.
        if faults.at(CONTROL_BEGINS).is_ok() {
            serve(listener, requests).await;
        }
    };
    Ok(tokio::spawn(supervision.needed("the control socket", work)))
}

/// The one line on stdout.
fn print_running() {
    if let Err(error) = print_line("running") {
        tracing::warn!("nobody reads the ready line: {}", with_causes(&error));
    }
}

fn start_cycle(context: &Arc<Context>, starts: Starts) -> JoinHandle<Result<Done, Killed>> {
    let context = Arc::clone(context);
    spawn_blocking(move || {
        context.host.faults.at(CYCLE_BEGINS)?;
        Ok(Done::new(&context, cycle::run(&context, starts), None))
    })
}

fn start_request(context: &Arc<Context>, pending: PendingRequest) -> JoinHandle<Result<Done, Killed>> {
    let context = Arc::clone(context);
    spawn_blocking(move || {
        let (result, answer) = carry_out(&context, &pending.request);
        Ok(Done::new(&context, result, Some((pending.reply, answer))))
    })
}

fn carry_out(context: &Context, request: &Request) -> (CycleResult, Answer) {
    match request {
        Request::Check => {
            let result = cycle::run(context, Starts::All);
            let answer = result.answer();
            (result, answer)
        }
        Request::Rollback(package, to) => {
            let answer = rollback::asked(&context.host, package, *to).unwrap_or_else(|error| Answer {
                ok: false,
                code: AnswerCode::Failed,
                lines: vec![with_causes(&error)],
            });
            (CycleResult::at_once(&context.host), answer)
        }
        Request::Repair(package) => repair(context, package.as_ref()),
        Request::Retry(package) => retry(context, package),
        Request::Hold(package, length) => hold::hold(context, package.as_ref(), (*length).into()),
        Request::Install(package) => hold::install(context, package.as_ref()),
    }
}

/// Waits for the end of the work, and meanwhile takes signals and requests; `None` if the work panicked, or a test ended it.
async fn finish(
    context: &Context,
    mut work: JoinHandle<Result<Done, Killed>>,
    signals: &mut Signals,
    inbox: &mut Inbox,
) -> Option<Done> {
    loop {
        tokio::select! {
            done = &mut work => return done.ok()?.ok(),
            signal = signals.next() => match signal {
                Signal::Stop => context.host.stop.store(true, Ordering::SeqCst),
                Signal::Reload => inbox.wants_reload = true,
            },
            Some(pending) = inbox.requests.recv(), if inbox.waiting.len() < MAX_WAITING_REQUESTS => {
                match pending.request {
                    Request::Check | Request::Repair(_) | Request::Retry(_) | Request::Install(_) => {
                        inbox.waiting.push_back(pending);
                    }
                    // No server, however slow, may delay a rollback, or a person who says "not now".
                    Request::Rollback(..) | Request::Hold(..) => {
                        context.interrupt.store(true, Ordering::SeqCst);
                        inbox.waiting.push_front(pending);
                    }
                }
            }
            // Nor may a download delay what the server has to say.
            Some(()) = inbox.wakes.recv() => context.network.wake(inbox.contact_after_wake()),
        }
    }
}
