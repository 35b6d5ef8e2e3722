//! What a program tells systemd (`Type=notify`): that it is ready, reloads, stops, what it does, and that it lives.
//!
//! Invariants: without `NOTIFY_SOCKET` each call does nothing; a message that cannot be delivered is logged and ends
//! nothing; a text from elsewhere cannot smuggle a second message in.
//! Left out on purpose: removing the variables from the environment. systemd hears the main process only
//! (`NotifyAccess=main`), and the watchdog's variable names the process that is meant.

use std::io;
use std::time::Duration;

use sd_notify::NotifyState;
use sealpost_files::escape;

/// The program answers: its listeners are open and its state is read. Also ends [`reloading`].
pub fn ready() {
    send(&[NotifyState::Ready]);
}

/// The program reads its configuration again; call [`ready`] afterwards, whether it succeeded or not.
pub fn reloading() {
    // The time is asked for by `Type=notify-reload`; older versions pass over it.
    match NotifyState::monotonic_usec_now() {
        Ok(now) => send(&[NotifyState::Reloading, now]),
        Err(_) => send(&[NotifyState::Reloading]),
    }
}

/// The program finishes what is under way and ends.
pub fn stopping() {
    send(&[NotifyState::Stopping]);
}

/// One line for `systemctl status`. Characters that could forge a line become spaces.
pub fn status(line: &str) {
    send(&[NotifyState::Status(&escape(line))]);
}

/// How long systemd waits for a sign of life from this process before it kills it; none without a watchdog.
#[must_use]
pub fn watchdog() -> Option<Duration> {
    sd_notify::watchdog_enabled().filter(|limit| !limit.is_zero())
}

/// Gives signs of life, three in each limit of the watchdog, as long as `healthy` answers true. An answer that is false
/// or does not come lets the watchdog end the process. Never returns; spawn it, or select on it. Without a watchdog it
/// waits for ever and asks nothing.
pub async fn keep_watchdog<Health, Answer>(mut healthy: Health)
where
    Health: FnMut() -> Answer,
    Answer: Future<Output = bool>,
{
    let Some(limit) = watchdog() else {
        return std::future::pending().await;
    };
    let mut ticks = tokio::time::interval(limit / 3);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if healthy().await {
            send(&[NotifyState::Watchdog]);
        } else {
            tracing::error!("not healthy: systemd gets no sign of life");
        }
    }
}

fn send(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        report(&error);
    }
}

/// A full queue of a busy systemd is no fault worth more than a line.
fn report(error: &io::Error) {
    tracing::warn!(%error, "cannot tell systemd how this program is");
}
