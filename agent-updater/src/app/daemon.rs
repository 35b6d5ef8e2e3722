//! The daemon: a cycle when it is due, when the server says "contact now", or when a person asks.
//!
//! Invariants: one daemon per home; a cycle is never cut off: a signal lets the step that touches the product come to
//! its end first. The wake stream only causes contacts; without it everything happens at the next poll.

use std::collections::VecDeque;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use jiff::Timestamp;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use crate::domain::cadence::{WakeBudget, backoff_millis};
use crate::home::HomeError;
use crate::server::wake::{Ended as StreamEnded, listen};
use sealpost_manifests::wire::problem::ProblemCode;

use super::agent::{Access, Agent, seed};
use super::control::{Answer, Asked, Request, listen as listen_control, serve};
use super::cycle::Cycle;
use super::engine::Ended;
use super::{one_line, with_causes};

/// Requests that wait while a cycle is at work.
const WAITING_REQUESTS: usize = 8;

/// How long a wake stream holds for its end to be no failure of the server.
const STEADY: Duration = Duration::from_secs(30);

/// Why the daemon could not start, or had to end.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// The home, or its lock.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// The socket or the signals.
    #[error("the daemon cannot {action}")]
    System {
        /// What was attempted.
        action: &'static str,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A cycle panicked. The journal holds what it was doing; a restart goes on from there.
    #[error("a cycle ended by a fault of the program; restart the daemon and report what its log says")]
    Panicked,
}

/// What a daemon does next.
enum Turn {
    Cycle,
    Asked(Asked),
    Stop,
}

/// Runs until it is told to stop.
///
/// # Errors
/// [`DaemonError`].
pub async fn run(agent: Arc<Agent>) -> Result<(), DaemonError> {
    agent.home.prepare()?;
    let _lock = agent.home.lock_daemon()?;
    let system = |action| move |source| DaemonError::System { action, source };
    let listener = listen_control(&agent.home.socket()).map_err(system("open its control socket"))?;
    let (asked, mut requests) = mpsc::channel(WAITING_REQUESTS);
    let control = tokio::spawn(serve(listener, asked));
    let (access, seen_access) = watch::channel(None);
    let (wake, mut wakes) = mpsc::channel(1);
    let waker = tokio::spawn(keep_listening(seen_access, wake));
    let mut terminate = signal(SignalKind::terminate()).map_err(system("listen for signals"))?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(system("listen for signals"))?;
    ready();

    let started = Instant::now();
    let mut due = started;
    let mut budget = WakeBudget::default();
    let mut waiting: VecDeque<Asked> = VecDeque::new();
    let result = loop {
        let turn = tokio::select! {
            biased;
            () = std::future::ready(()), if !waiting.is_empty() => match waiting.pop_front() {
                Some(asked) => Turn::Asked(asked),
                None => continue,
            },
            _ = terminate.recv() => Turn::Stop,
            _ = interrupt.recv() => Turn::Stop,
            Some(asked) = requests.recv() => Turn::Asked(asked),
            () = tokio::time::sleep_until(due) => Turn::Cycle,
            Some(()) = wakes.recv() => {
                due = due.min(Instant::now() + Duration::from_millis(budget.pause_millis(started.elapsed(), seed())));
                continue;
            }
        };
        let work = match turn {
            Turn::Stop => break Ok(()),
            Turn::Cycle => tokio::task::spawn_blocking({
                let agent = Arc::clone(&agent);
                move || (agent.cycle(), None)
            }),
            Turn::Asked(asked) => tokio::task::spawn_blocking({
                let agent = Arc::clone(&agent);
                move || answer(&agent, asked)
            }),
        };
        let mut work = std::pin::pin!(work);
        let done = loop {
            tokio::select! {
                done = &mut work => break done,
                _ = terminate.recv() => agent.stop.store(true, Ordering::SeqCst),
                _ = interrupt.recv() => agent.stop.store(true, Ordering::SeqCst),
                Some(asked) = requests.recv(), if waiting.len() < WAITING_REQUESTS => match asked.request {
                    Request::Check => waiting.push_back(asked),
                    // No server, however slow, has a say in a rollback.
                    Request::Rollback(_) => {
                        agent.give_way.store(true, Ordering::SeqCst);
                        waiting.push_front(asked);
                    }
                },
            }
        };
        agent.give_way.store(false, Ordering::SeqCst);
        let Ok((cycle, reply)) = done else { break Err(DaemonError::Panicked) };
        // From here on by a clock that nobody sets.
        due = Instant::now()
            + cycle.next_contact.duration_since(agent.now()).try_into().unwrap_or(Duration::ZERO);
        if let Some(new) = cycle.access {
            access.send_replace(Some(new));
        }
        if let Some((to, answer)) = reply {
            // The caller may be gone; then nobody wants to know.
            let _: Result<(), Answer> = to.send(answer);
        }
        if agent.stop.load(Ordering::SeqCst) {
            break Ok(());
        }
    };
    control.abort();
    waker.abort();
    let _ = std::fs::remove_file(agent.home.socket());
    result
}

/// The one line on stdout.
fn ready() {
    let mut stdout = std::io::stdout().lock();
    // Whoever reads it may be gone; the daemon works all the same.
    let _ = writeln!(stdout, "running").and_then(|()| stdout.flush());
}

type Reply = Option<(tokio::sync::oneshot::Sender<Answer>, Answer)>;

fn answer(agent: &Agent, asked: Asked) -> (Cycle, Reply) {
    let (answer, cycle) = match &asked.request {
        Request::Check => {
            let cycle = agent.cycle();
            (check_answer(&cycle), cycle)
        }
        Request::Rollback(package) => {
            let answer = match agent.roll_back(package) {
                Ok(ended) => rollback_answer(package.as_str(), &ended),
                Err(error) => Answer { ok: false, lines: vec![with_causes(&error)] },
            };
            // The server hears of it in a cycle of its own, at once.
            (answer, Cycle { next_contact: agent.now(), access: None, problems: Vec::new() })
        }
    };
    (cycle, Some((asked.reply, answer)))
}

/// The answer to `check`.
#[must_use]
pub fn check_answer(cycle: &Cycle) -> Answer {
    if cycle.problems.is_empty() {
        Answer { ok: true, lines: vec!["up to date".to_owned()] }
    } else {
        Answer { ok: false, lines: cycle.problems.clone() }
    }
}

/// The answer to `rollback`.
#[must_use]
pub fn rollback_answer(package: &str, ended: &Ended) -> Answer {
    match ended {
        Ended::Kept => Answer {
            ok: true,
            lines: vec![format!(
                "{package} is back at the release before; it stays there until another release is assigned"
            )],
        },
        Ended::Refused(refusal) => Answer { ok: false, lines: vec![one_line(&refusal.detail)] },
        Ended::RolledBack(reason) => Answer {
            ok: false,
            lines: vec![format!("the release before does not work here ({reason}); {package} is as it was")],
        },
    }
}

/// Holds the wake stream open, and causes a contact for each wake, and whenever the stream needs a new token.
async fn keep_listening(mut access: watch::Receiver<Option<Access>>, wake: mpsc::Sender<()>) {
    let mut failures = 0;
    loop {
        let current: Option<Access> = access.borrow_and_update().clone();
        let Some(current) = current else {
            if access.changed().await.is_err() {
                return;
            }
            continue;
        };
        // A full channel means that a contact is due already.
        let contact = || {
            let _: Result<(), mpsc::error::TrySendError<()>> = wake.try_send(());
        };
        let mut opened = None;
        let ended = if current.until <= Timestamp::now() {
            StreamEnded::Closed
        } else {
            listen(&current.endpoint, &current.token, || opened = Some(Instant::now()), contact).await
        };
        if let Some(opened) = opened {
            tracing::debug!("the wake stream ended");
            // A server that opens a stream only to close it again is not asked every second.
            if opened.elapsed() >= STEADY {
                failures = 0;
            }
        }
        let needs_token = match &ended {
            StreamEnded::Closed => current.until <= Timestamp::now(),
            StreamEnded::NotOpened(error) => error.problem().is_some_and(|problem| {
                matches!(problem.code, ProblemCode::TokenExpired | ProblemCode::Unauthenticated)
            }),
        };
        let pause = Duration::from_millis(backoff_millis(failures, seed()));
        failures = failures.saturating_add(1);
        tokio::time::sleep(pause).await;
        if needs_token {
            contact();
            // The contact brings a token, or the server is lost and the next poll tries again.
            if access.changed().await.is_err() {
                return;
            }
        }
    }
}
