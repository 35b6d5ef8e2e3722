//! One contact by the program of before, ahead of a trial that this computer slept through: the site may have halted the
//! release since, and nobody is to start it once more only to hear that.
//!
//! Invariants: the wait for a server is bounded, and no server, silent or not, keeps a trial from going on; it
//! installs nothing. The look at changed files before it takes as long as it takes.
//! Left out on purpose: a contact ahead of a trial that has just begun, as the cycle that began it made one.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use jiff::SignedDuration;
use sealpost_files::with_causes;
use sealpost_service::signals::{Signal, Signals};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep_until};

use crate::flows::contact::contact;
use crate::flows::context::{Context, Host};
use crate::flows::drift::{self, Keep};
use crate::flows::reports;
use crate::records::holdings::Holdings;
use crate::records::progress::Progress;

use super::error::LaunchError;

/// What was heard this recently counts.
const HEARD_WITHIN: SignedDuration = SignedDuration::from_mins(1);
/// Longest wait for the server.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// What became of the wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    /// What the server said is on disk, if it said anything.
    Done,
    /// The agent was told to stop.
    Stopped,
}

/// Contacts the server, if nothing was heard of it for a while. The caller holds the watch lock, and nobody else the context.
///
/// # Errors
/// [`LaunchError::Panicked`].
pub(super) async fn ask(context: &Arc<Context>, signals: &mut Signals) -> Result<Asked, LaunchError> {
    let held = Arc::clone(context);
    let mut work = spawn_blocking(move || {
        if !has_heard(&held.host)
            && let Err(problem) = contact_once(&held)
        {
            tracing::info!("the trial goes on without the server: {problem}");
        }
    });
    let latest = Instant::now() + LONGEST_WAIT;
    let mut asked = Asked::Done;
    loop {
        tokio::select! {
            done = &mut work => {
                context.interrupt.store(false, Ordering::SeqCst);
                return done.map(|()| asked).map_err(|_| LaunchError::Panicked);
            }
            // A program that begins afterwards reads the configuration anyway.
            signal = signals.next() => if signal == Signal::Stop {
                asked = Asked::Stopped;
                context.interrupt.store(true, Ordering::SeqCst);
            },
            () = sleep_until(latest), if !context.interrupt.load(Ordering::SeqCst) => {
                context.interrupt.store(true, Ordering::SeqCst);
            }
        }
    }
}

/// Whether the last answer is recent. Of a clock that was set back nothing is known.
fn has_heard(host: &Host) -> bool {
    let answered_at = Progress::load(&host.home).ok().and_then(|progress| progress.standing.answered_at);
    answered_at.is_some_and(|at| host.now().duration_since(at).abs() < HEARD_WITHIN)
}

fn contact_once(context: &Context) -> Result<(), String> {
    let host = &context.host;
    let _lock = host.home.lock_cycle().map_err(|error| with_causes(&error))?;
    let mut spool = reports::open(host).map_err(|error| with_causes(&error))?;
    let mut progress = Progress::load(&host.home).map_err(|error| with_causes(&error))?;
    let mut holdings =
        Holdings::load(&host.home, &progress, host.now()).map_err(|error| with_causes(&error))?;
    let found = drift::look(host, Keep::Yes).map_err(|error| with_causes(&error))?;
    let answered = contact(context, &mut holdings, &mut progress, Some(&mut spool), &found);
    answered.map(drop).map_err(|error| with_causes(&error))
}
